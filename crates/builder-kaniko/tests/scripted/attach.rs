//! The context reaches servers of both protocols, whole and with its end.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::server::{DIGEST, Script, Server};

async fn sent(protocol: &'static str) -> (String, Option<&'static str>) {
    let server = Server::start(Script {
        protocol,
        ..Script::default()
    })
    .await;
    let (result, _) = server.build().await;
    assert_eq!(result.unwrap().digest.unwrap().to_string(), DIGEST);
    let script = server.script.lock().unwrap();
    (names(&script.input), script.end_of_input)
}

/// The names in a tar.gz, which fails if it is not whole.
fn names(archive: &[u8]) -> String {
    let mut tar = Command::new("tar")
        .args(["--list", "--gzip"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(archive).unwrap();
    let output = tar.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_v5_only_the_input_is_closed() {
    let (names, end) = sent("v5.channel.k8s.io").await;
    assert!(names.contains("Dockerfile"), "{names}");
    assert_eq!(end, Some("half-close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_v4_the_connection_is_closed() {
    let (names, end) = sent("v4.channel.k8s.io").await;
    assert!(names.contains("Dockerfile"), "{names}");
    assert_eq!(end, Some("close"));
}
