//! Builds that succeed.

use std::fs;
use std::io::Write as _;

use serde_json::json;
use wharf_core::event::{BuildEvent, StepState};
use wharf_registry::RegistryClient;
use wharf_testkit::services;

use crate::support::{World, subject};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_context_of_300_mb_arrives_whole_and_nothing_stays() {
    let world = World::new().await;
    let subject = world.subject(json!({}));
    let dockerfile =
        "FROM PARENT\nCOPY . /x\nRUN cat /x/part-* | sha256sum | cut -c1-64 > /sum && echo sum=$(cat /sum)\n";
    let (request, directory) = subject.request("large", dockerfile, &[]);
    let sum = fill(directory.path());
    let built = subject.build(request).await;
    let outcome = built.outcome();
    assert!(
        built.log().contains(&format!("sum={sum}")),
        "{sum} is not in\n{}",
        built.log()
    );
    let client = RegistryClient::new(subject.registry.clone()).unwrap();
    assert_eq!(client.digest_of(&built.image).await.unwrap(), outcome.digest);
    let last = built.events.iter().rev().find_map(|event| match event {
        BuildEvent::Context(progress) => Some(progress.clone()),
        _ => None,
    });
    assert!(last.unwrap().done);
    world.is_empty().await;
}

/// 300 MB that do not compress, made quickly; gives their sum.
fn fill(directory: &std::path::Path) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    for part in 0..3 {
        let mut file =
            std::io::BufWriter::new(fs::File::create(directory.join(format!("part-{part}"))).unwrap());
        for _ in 0..(100 << 20) / 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes()).unwrap();
        }
        file.flush().unwrap();
    }
    let command = "cat part-* | sha256sum | cut -c1-64";
    let output = std::process::Command::new("sh")
        .args(["-c", command])
        .current_dir(directory)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn credentials_reach_kaniko_and_go_with_it() {
    let world = World::new().await;
    let subject = subject(world.config(json!({})), services::registry_with_password(None));
    let built = subject
        .build_files("closed", "FROM scratch\nCOPY a /a\n", &[("a", "1")])
        .await;
    assert!(built.outcome().reference().contains("@sha256:"));
    world.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn every_line_is_told_once_and_in_order() {
    let world = World::new().await;
    let subject = world.subject(json!({}));
    let dockerfile = "FROM PARENT\nRUN i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done\n";
    let built = subject.build_files("lines", dockerfile, &[]).await;
    built.outcome();
    let log = built.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("line-")).collect();
    let expected: Vec<String> = (0..3000).map(|number| format!("line-{number}")).collect();
    assert_eq!(lines, expected);
    let done = built.events.iter().filter(|event| {
        matches!(event, BuildEvent::Step(step) if step.state == StepState::Done && step.name.contains("RUN"))
    });
    assert_eq!(done.count(), 1);
}
