//! `wharf context`.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::Sandbox;

fn project() -> Sandbox {
    let sandbox = Sandbox::with(&[
        ("Dockerfile", "FROM scratch\n"),
        (".dockerignore", "# comment\n*.log\nout\n!out/keep\n"),
        ("a.log", "dropped"),
        ("b/c.txt", "12345"),
        ("b.txt", "1"),
        ("out/drop", "x"),
        ("out/keep", "y"),
    ]);
    symlink("b.txt", sandbox.path().join("link")).unwrap();
    sandbox
}

const LISTED: [&str; 8] = [
    ".dockerignore",
    "Dockerfile",
    "b.txt",
    "b/",
    "b/c.txt",
    "link",
    "out/",
    "out/keep",
];

#[test]
fn ls_prints_sorted_paths_with_slashes_behind_directories() {
    let sandbox = project();
    let text = sandbox.run(&["context", "ls"]).ok();
    assert_eq!(text.lines().collect::<Vec<_>>(), LISTED);
    let json = sandbox.run(&["context", "ls", "--output", "json"]).ok();
    assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), LISTED);
    let root = sandbox.path().to_str().unwrap();
    assert_eq!(Sandbox::new().run(&["context", "ls", root]).ok(), text);
}

#[test]
fn ls_takes_the_ignore_file_that_it_is_given() {
    let sandbox = project();
    sandbox.write("other.ignore", "*\n!b.txt\n");
    let text = sandbox
        .run(&["context", "ls", "--dockerignore", "other.ignore"])
        .ok();
    assert_eq!(text, "b.txt\n");
}

#[test]
fn the_ignore_file_of_the_dockerfile_comes_first() {
    let sandbox = project();
    sandbox.write("Dockerfile.dockerignore", "*\n!b\n");
    assert_eq!(sandbox.run(&["context", "ls"]).ok(), "b/\nb/c.txt\n");
}

#[test]
fn a_name_with_a_line_feed_cannot_forge_a_line() {
    let sandbox = Sandbox::with(&[("a\nb", "")]);
    let text = sandbox.run(&["context", "ls"]).ok();
    assert_eq!(text.lines().count(), 1, "{text:?}");
    let json = sandbox.run(&["context", "ls", "--output", "json"]).ok();
    assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), ["a\nb"]);
}

#[test]
fn archives_are_reproducible_and_hold_what_ls_lists() {
    let sandbox = project();
    for (format, list) in [("tar", "tar -tf"), ("tar.gz", "tar -tzf")] {
        let archive = |name: &str| {
            sandbox
                .run(&["context", "archive", "-o", name, "--format", format])
                .ok();
            let path = sandbox.path().join(name);
            let bytes = std::fs::read(&path).unwrap();
            let listed = std::process::Command::new("sh")
                .args(["-c", &format!("{list} \"$0\""), path.to_str().unwrap()])
                .output()
                .unwrap();
            std::fs::remove_file(path).unwrap();
            (bytes, String::from_utf8(listed.stdout).unwrap())
        };
        let (first, names) = archive("one");
        assert_eq!(first, archive("two").0, "{format}");
        let mut names: Vec<&str> = names.lines().collect();
        names.sort_unstable();
        assert_eq!(names, LISTED, "{format}");
    }
}

#[test]
fn a_zip_is_a_zip() {
    let sandbox = project();
    sandbox
        .run(&["context", "archive", "-o", "a.zip", "--format", "zip"])
        .ok();
    let bytes = std::fs::read(sandbox.path().join("a.zip")).unwrap();
    assert!(bytes.starts_with(b"PK\x03\x04"));
}

#[test]
fn an_archive_on_standard_output_is_the_archive_and_nothing_else() {
    let sandbox = project();
    let output = sandbox
        .command(&["context", "archive", "-o", "-"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    sandbox
        .run(&["context", "archive", "-o", "-", "--output", "json"])
        .failed(2, &["--output json"]);
    let path = sandbox.path().join("file.tar");
    let path = path.to_str().unwrap();
    sandbox.run(&["context", "archive", "-o", path]).ok();
    assert_eq!(std::fs::read(path).unwrap(), output.stdout);
}

#[test]
fn what_an_archive_cannot_hold_is_named() {
    let sandbox = project();
    let pipe = sandbox.path().join("a.pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let output = sandbox.run(&["context", "archive", "-o", "out.tar"]);
    assert!(output.stderr.contains("a.pipe"), "{output:#?}");
    output.ok();
}

#[test]
fn the_digest_is_that_of_the_tar() {
    let sandbox = project();
    let digest = sandbox.run(&["context", "digest"]).ok();
    let output = sandbox
        .command(&["context", "archive", "-o", "-"])
        .output()
        .unwrap();
    assert_eq!(
        digest.trim_end(),
        wharf_core::Digest::of_bytes(&output.stdout).as_str()
    );
    let json = sandbox.run(&["context", "digest", "--output", "json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["digest"].as_str(), Some(digest.trim_end()));
}

#[test]
fn an_archive_with_json_output_says_what_was_written() {
    let sandbox = project();
    let json = sandbox
        .run(&["context", "archive", "-o", "out.tar", "--output", "json"])
        .ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    let size = std::fs::metadata(sandbox.path().join("out.tar")).unwrap().len();
    assert_eq!(json["bytes"], size);
    assert_eq!(json["path"], "out.tar");
}

#[test]
fn a_failed_archive_leaves_the_old_file_and_no_other() {
    let sandbox = project();
    sandbox.write("old.tar", "old");
    let before = sandbox.names();
    let secret = sandbox.path().join("b/c.txt");
    if is_root() {
        // Root reads everything, so the failure is a root that is a file.
        sandbox
            .run(&["context", "archive", "b.txt", "-o", "old.tar"])
            .failed(2, &["b.txt"]);
    } else {
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).unwrap();
        sandbox
            .run(&["context", "archive", "-o", "old.tar"])
            .failed(12, &["b/c.txt"]);
    }
    assert_eq!(
        std::fs::read_to_string(sandbox.path().join("old.tar")).unwrap(),
        "old"
    );
    assert_eq!(sandbox.names(), before);
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn a_reader_of_an_archive_that_goes_away_is_no_failure() {
    let sandbox = project();
    sandbox.write("large", &"x".repeat(1 << 20));
    let mut child = sandbox
        .command(&["context", "archive", "-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
}

#[test]
fn explain_names_the_rule_for_each_path_and_what_is_big() {
    let sandbox = project();
    let text = sandbox.run(&["context", "explain"]).ok();
    for part in ["a.log", "*.log", "!out/keep", "b/c.txt"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json = sandbox.run(&["context", "explain", "--output", "json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json.is_object(), "{json:#}");
}

#[test]
fn a_signal_ends_an_archive_that_nobody_reads() {
    let sandbox = Sandbox::new();
    large(&sandbox);
    let mut child = sandbox
        .command(&["context", "archive", "-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // From the first byte on the archive is being written; nobody reads the rest.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    signal("-INT", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_signal_leaves_neither_a_file_nor_a_part_of_one() {
    let sandbox = Sandbox::new();
    large(&sandbox);
    let arguments = [
        "context",
        "archive",
        "-o",
        "out.tar.gz",
        "--format",
        "tar.gz",
        "--progress",
        "json",
    ];
    let mut child = sandbox
        .command(&arguments)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(lines.any(|line| line.contains("\"context\"")));
    signal("-TERM", &child);
    let rest: Vec<Value> = lines.map(|line| serde_json::from_str(&line).unwrap()).collect();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let last = rest.last().unwrap();
    assert_eq!(
        (&last["event"], &last["data"]["exit_code"]),
        (&"error".into(), &143.into())
    );
    assert_eq!(sandbox.names(), ["large"]);
}

/// A file that takes long to archive, and no room.
fn large(sandbox: &Sandbox) {
    let file = std::fs::File::create(sandbox.path().join("large")).unwrap();
    file.set_len(64 << 30).unwrap();
}

fn signal(name: &str, child: &std::process::Child) {
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args([name, &id])
        .status()
        .unwrap();
    assert!(sent.success());
}
