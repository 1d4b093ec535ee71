//! Digests, manifests, tags and the right to push, where everybody is let in.

use wharf_core::{Digest, ErrorKind};

use crate::server::{Seen, Server, reply};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &[u8] =
    b"{\"schemaVersion\":2, \"mediaType\":\"application/vnd.oci.image.index.v1+json\"}\n ";

fn digest() -> Digest {
    Digest::of_bytes(MANIFEST)
}

#[tokio::test]
async fn a_digest_is_asked_for_with_every_kind_of_manifest() {
    let digest = digest();
    let server =
        Server::start(move |_, _| reply(200, &[("docker-content-digest", digest.as_str())], "")).await;
    let found = server
        .client()
        .digest_of(&server.image("team/app:1"))
        .await
        .unwrap();
    assert_eq!(found, Some(self::digest()));
    let seen = server.seen();
    assert_eq!(seen[0].line, "HEAD /v2/team/app/manifests/1");
    for kind in [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ] {
        assert!(
            seen[0].accept.split(", ").any(|accepted| accepted == kind),
            "{kind}"
        );
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_digest_that_is_not_named_is_made_from_the_bytes() {
    for (head, header) in [(200, "x-none"), (405, "x-none"), (200, "docker-content-digest")] {
        let server = Server::start(move |seen, _| match seen.line.starts_with("HEAD") {
            true => reply(head, &[(header, "sha256:nonsense")], ""),
            false => reply(200, &[("content-type", INDEX)], MANIFEST),
        })
        .await;
        let found = server.client().digest_of(&server.image("app")).await.unwrap();
        assert_eq!(found, Some(digest()), "{head} {header}");
        assert_eq!(
            server.lines(),
            ["HEAD /v2/app/manifests/latest", "GET /v2/app/manifests/latest"]
        );
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_has_no_digest() {
    let server = Server::start(|_, _| reply(404, &[], "")).await;
    assert_eq!(
        server.client().digest_of(&server.image("app:1")).await.unwrap(),
        None
    );
    let error = server
        .client()
        .manifest(&server.image("app:1"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.report().contains("/app:1"), "{}", error.report());
}

#[tokio::test]
async fn content_that_changed_on_the_way_is_refused() {
    let digest = digest();
    let wrong = Digest::of_bytes(b"other");
    let named = wrong.clone();
    let server = Server::start(move |_, _| {
        reply(
            200,
            &[("content-type", INDEX), ("docker-content-digest", named.as_str())],
            MANIFEST,
        )
    })
    .await;
    let client = server.client();
    let pinned = server.image("app").with_digest(digest);
    for error in [
        client.digest_of(&pinned).await.unwrap_err(),
        client.manifest(&pinned).await.unwrap_err(),
        client.manifest(&server.image("app:1")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
        assert!(error.message().contains("digest"), "{error}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_read() {
    let server = Server::start(|_, _| reply(200, &[("content-type", INDEX)], vec![b' '; 9 << 20])).await;
    let error = server
        .client()
        .manifest(&server.image("app:1"))
        .await
        .unwrap_err();
    assert!(error.message().contains("larger than"), "{error}");
}

fn tagging(old: u16) -> impl Fn(&Seen, std::net::SocketAddr) -> crate::server::Reply {
    move |seen, _| match seen.line.as_str() {
        "HEAD /v2/app/manifests/new" => reply(old, &[("docker-content-digest", digest().as_str())], ""),
        line if line.starts_with("GET") => reply(200, &[("content-type", INDEX)], MANIFEST),
        line if line.starts_with("PUT") => reply(201, &[], ""),
        line => reply(500, &[], line.to_owned()),
    }
}

#[tokio::test]
async fn a_tag_is_the_same_bytes_under_another_name() {
    let server = Server::start(tagging(404)).await;
    let source = server.image("app").with_digest(digest());
    let tagged = server.client().tag(&source, "new").await.unwrap();
    assert_eq!(tagged, server.image("app:new").with_digest(digest()));
    let put = server.seen().pop().unwrap();
    assert_eq!(put.line, "PUT /v2/app/manifests/new");
    assert_eq!((put.content_type.as_str(), put.body.as_ref()), (INDEX, MANIFEST));
    assert!(
        server.lines().iter().all(|line| !line.contains("blobs")),
        "nothing else is moved"
    );
}

#[tokio::test]
async fn a_tag_that_is_right_already_is_left_alone() {
    let server = Server::start(tagging(200)).await;
    let source = server.image("app").with_digest(digest());
    server.client().tag(&source, "new").await.unwrap();
    assert!(
        server.lines().iter().all(|line| !line.starts_with("PUT")),
        "{:?}",
        server.lines()
    );
}

#[tokio::test]
async fn an_immutable_tag_is_a_conflict() {
    let server = Server::start(|seen, address| match seen.line.starts_with("PUT") {
        true => reply(
            400,
            &[],
            r#"{"errors":[{"code":"TAG_INVALID","message":"the tag is immutable"}]}"#,
        ),
        false => tagging(404)(seen, address),
    })
    .await;
    let error = server
        .client()
        .tag(&server.image("app:1"), "new")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error.report().contains("the tag is immutable"),
        "{}",
        error.report()
    );
    assert_eq!(
        server
            .client()
            .tag(&server.image("app:1"), "a b")
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
}

#[tokio::test]
async fn the_right_to_push_is_tried_and_taken_back() {
    for location in ["/v2/app/blobs/uploads/u1?_state=s", "absolute"] {
        let server = Server::start(move |seen, address| match seen.line.split(' ').next() {
            Some("POST") => {
                let absolute = format!("http://{address}/v2/app/blobs/uploads/u1?_state=s");
                let to = if location == "absolute" {
                    &absolute
                } else {
                    location
                };
                reply(202, &[("location", to)], "")
            }
            _ => reply(204, &[], ""),
        })
        .await;
        server.client().check_push(&server.image("app:1")).await.unwrap();
        let lines = [
            "POST /v2/app/blobs/uploads/",
            "DELETE /v2/app/blobs/uploads/u1?_state=s",
        ];
        assert_eq!(server.lines(), lines);
    }
}

#[tokio::test]
async fn a_registry_that_cannot_cancel_still_takes_pushes() {
    let server = Server::start(|seen, _| match seen.line.starts_with("POST") {
        true => reply(202, &[("location", "/up")], ""),
        false => reply(405, &[], ""),
    })
    .await;
    server.client().check_push(&server.image("app:1")).await.unwrap();
}

#[tokio::test]
async fn refusals_have_the_kind_of_their_status() {
    use ErrorKind as K;
    for (status, kind, retryable) in [
        (401, K::Unauthenticated, false),
        (403, K::PermissionDenied, false),
        (404, K::NotFound, false),
        (429, K::RateLimited, true),
        (500, K::Unavailable, true),
        (503, K::Unavailable, true),
        (418, K::Unexpected, false),
    ] {
        let body = r#"{"errors":[{"code":"SOME_CODE","message":"in its own words"}]}"#;
        let server = Server::start(move |_, _| reply(status, &[("retry-after", "9")], body)).await;
        let (client, image) = (server.client(), server.image("app:1"));
        let manifest = client.manifest(&image).await.unwrap_err();
        let push = client.check_push(&image).await.unwrap_err();
        for error in [&manifest, &push] {
            assert_eq!(
                (error.kind(), error.is_retryable()),
                (kind, retryable),
                "{status}: {error:?}"
            );
            assert!(
                error
                    .context()
                    .any(|(key, value)| key == "image" && value.ends_with("/app:1"))
            );
        }
        if status != 401 {
            assert!(
                push.report().contains("SOME_CODE: in its own words"),
                "{}",
                push.report()
            );
        }
        assert_eq!(push.operation(), Some("check that the image can be pushed"));
    }
}

#[tokio::test]
async fn an_image_of_another_registry_is_not_asked_for() {
    let server = Server::start(|_, _| reply(200, &[], "")).await;
    let error = server
        .client()
        .digest_of(&"other.example/app".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(server.seen().is_empty());
}
