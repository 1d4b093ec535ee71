use super::*;
use crate::ErrorKind;

fn parsed(text: &str) -> ImageReference {
    text.parse().unwrap()
}

fn refused(text: &str) -> Error {
    match text.parse::<ImageReference>() {
        Ok(image) => panic!("{text:?} was taken as {image}"),
        Err(error) => error,
    }
}

const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn short_and_full_forms() {
    let cases = [
        ("python", "docker.io/library/python", "python"),
        ("python:3.12", "docker.io/library/python:3.12", "python:3.12"),
        ("library/python", "docker.io/library/python", "python"),
        ("user/app:1", "docker.io/user/app:1", "user/app:1"),
        ("docker.io/app", "docker.io/library/app", "app"),
        ("index.docker.io/user/app", "docker.io/user/app", "user/app"),
        ("index.docker.io/app", "docker.io/library/app", "app"),
        ("localhost/app", "localhost/app", "localhost/app"),
        (
            "localhost:5000/app:1",
            "localhost:5000/app:1",
            "localhost:5000/app:1",
        ),
        (
            "localhost:5000",
            "docker.io/library/localhost:5000",
            "localhost:5000",
        ),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1", "[::1]:5000/app:1"),
        ("[fd00::1]/app", "[fd00::1]/app", "[fd00::1]/app"),
        ("REG/app", "REG/app", "REG/app"),
        (
            "Reg.Example.com/app",
            "Reg.Example.com/app",
            "Reg.Example.com/app",
        ),
        (
            "r.example/a.b_c__d---e/f",
            "r.example/a.b_c__d---e/f",
            "r.example/a.b_c__d---e/f",
        ),
        // The short form of this one would be read as a host.
        (
            "docker.io/my.org/app",
            "docker.io/my.org/app",
            "docker.io/my.org/app",
        ),
    ];
    for (text, full, familiar) in cases {
        let image = parsed(text);
        assert_eq!(image.to_string(), full, "{text}");
        assert_eq!(image.familiar(), familiar, "{text}");
        assert_eq!(parsed(full), image, "{text}");
        assert_eq!(parsed(familiar), image, "{text}");
    }
}

#[test]
fn parts_are_told_apart() {
    let image = parsed(&format!("localhost:5000/team/app:v1.0@{SHA}"));
    assert_eq!((image.domain(), image.path()), ("localhost:5000", "team/app"));
    assert_eq!(image.repository(), "localhost:5000/team/app");
    assert_eq!(image.tag(), Some("v1.0"));
    assert_eq!(image.digest().map(Digest::as_str), Some(SHA));
    assert_eq!(
        image.without_tag().to_string(),
        format!("localhost:5000/team/app@{SHA}")
    );
    assert_eq!(image.without_digest().to_string(), "localhost:5000/team/app:v1.0");
    assert_eq!(
        image.with_tag("v2").unwrap().to_string(),
        "localhost:5000/team/app:v2"
    );
    let digest = Digest::of_bytes(b"");
    assert_eq!(
        parsed("app:1").with_digest(digest).to_string(),
        format!("docker.io/library/app:1@{SHA}")
    );
    assert_eq!(parsed("app").tag_or_latest(), "latest");
    assert_eq!(parsed("app").tag(), None);
}

#[test]
fn wrong_texts_are_refused_with_what_is_wrong_and_the_right_form() {
    let cases = [
        ("", "empty", None),
        ("App", "lower case", Some("\"app\"")),
        (
            "r.example/Team/App:V1",
            "lower case",
            Some("\"r.example/team/app:V1\""),
        ),
        ("app:1\n", "spaces", Some("\"app:1\"")),
        ("https://r.example/app", "scheme", Some("\"r.example/app\"")),
        ("r.example//app", "empty part", Some("\"r.example/app\"")),
        ("r.example/app/", "empty part", Some("\"r.example/app\"")),
        ("/app", "empty part", Some("\"app\"")),
        ("r.example/", "missing", None),
        ("app:", "tag is empty", Some("\"app\"")),
        ("app:-x", "begins", Some("\"app:_x\"")),
        ("app:a+b", "not allowed in a tag", Some("\"app:ab\"")),
        ("app@sha256:abc", "64 hexadecimal", None),
        ("app@md5:abc", "algorithm", None),
        ("app@", "digest", None),
        ("a___b", "not allowed", None),
        ("a..b", "not allowed", None),
        ("-app", "not allowed", None),
        ("app_", "not allowed", None),
        ("localhost:500000/app", "port", None),
        ("localhost:0/app", "port", None),
        ("r.example:+5/app", "port", None),
        ("[::zz]/app", "IPv6", None),
        ("r..example/app", "host name", None),
        ("under_score.example/app", "host name", None),
        ("é/app", "not allowed", None),
    ];
    for (text, problem, right) in cases {
        let error = refused(text);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains(problem), "{text:?}: {error}");
        match right {
            Some(right) => assert!(
                error.hint().unwrap().contains(right),
                "{text:?}: {:?}",
                error.hint()
            ),
            None => assert!(
                error.hint().unwrap().contains("The form is"),
                "{text:?}: {:?}",
                error.hint()
            ),
        }
    }
}

#[test]
fn lengths_are_limited() {
    let name = |length: usize| format!("r.example/{}", "a".repeat(length - "r.example/".len()));
    assert!(name(255).parse::<ImageReference>().is_ok());
    assert!(refused(&name(256)).message().contains("256 characters, 255"));
    assert!(
        format!("app:{}", "t".repeat(128))
            .parse::<ImageReference>()
            .is_ok()
    );
    assert!(
        refused(&format!("app:{}", "t".repeat(129)))
            .message()
            .contains("129 characters")
    );
    assert!(refused(&"ß".repeat(10_000)).message().chars().count() < 1000);
    assert!(refused(&"a".repeat(64)).message().contains("id"));
    assert_eq!(parsed(&format!("{}/x", "a".repeat(64))).domain(), "docker.io");
}

#[test]
fn a_password_in_a_wrong_reference_is_not_shown() {
    for text in [
        "https://user:planted@r.example/app",
        "user:planted@r.example/app",
        "planted@r.example/app",
        "user:planted@localhost",
        "user:planted@sha.example/app",
    ] {
        let error = refused(text);
        let shown = format!("{error} {error:?} {}", error.report());
        assert!(!shown.contains("planted"), "{shown}");
    }
    for text in ["app@md5:abc", "app:1@sha256:abc", "app@latest"] {
        assert!(refused(text).message().contains(text), "{text}");
    }
}

#[test]
fn the_official_prefix_of_an_id_stays() {
    let name = format!("docker.io/library/{}", "a".repeat(64));
    let image = parsed(&name);
    assert_eq!(parsed(&image.familiar()), image);
}

#[test]
fn parts_are_checked_like_the_text() {
    let image = ImageReference::from_parts("localhost:5000", "a/b", Some("1"), None).unwrap();
    assert_eq!(image, parsed("localhost:5000/a/b:1"));
    let image = ImageReference::from_parts("index.docker.io", "python", None, None).unwrap();
    assert_eq!(image, parsed("python"));
    assert!(ImageReference::from_parts("localhost:5000", "A/b", None, None).is_err());
    assert!(ImageReference::from_parts("localhost/x", "b", None, None).is_err());
    assert!(ImageReference::from_parts("r.example", "b", Some("a b"), None).is_err());
}

#[test]
fn digests_are_checked_by_length() {
    assert_eq!(Digest::of_bytes(b"").to_string(), SHA);
    let digest: Digest = SHA.parse().unwrap();
    assert_eq!((digest.algorithm(), digest.hex().len()), ("sha256", 64));
    assert!(format!("sha512:{}", "0".repeat(128)).parse::<Digest>().is_ok());
    for wrong in [
        "",
        "sha256",
        "sha256:",
        "sha256:00",
        &SHA.to_uppercase(),
        &format!("{SHA}0"),
    ] {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
    }
    assert!(format!("sha512:{}", "0".repeat(64)).parse::<Digest>().is_err());
    assert!(digest.matches(b"") && !digest.matches(b"x"));
    let long = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877\
                eec2f63b931bd47417a81a538327af927da3e";
    assert!(long.parse::<Digest>().unwrap().matches(b""));
}

#[test]
fn the_text_form_is_the_serialized_form() {
    let image = parsed("python:3.12");
    let json = serde_json::to_string(&image).unwrap();
    assert_eq!(json, "\"docker.io/library/python:3.12\"");
    assert_eq!(
        serde_json::from_str::<ImageReference>("\"python:3.12\"").unwrap(),
        image
    );
    let error = serde_json::from_str::<ImageReference>("\"Python\"").unwrap_err();
    assert!(error.to_string().contains("lower case"), "{error}");
}

#[test]
fn a_tag_from_nothing_is_an_error() {
    assert!(sanitize_tag("é ü").is_err());
    assert_eq!(sanitize_tag(&"x".repeat(200)).unwrap().len(), 128);
}
