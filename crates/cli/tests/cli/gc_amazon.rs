//! `wharf gc` in AWS, where only the services are played.

use std::process::Command;

use serde_json::{Value, json};
use wharf_core::builder::Owner;
use wharf_testkit::codebuild::{Behaviour, CodeBuild};
use wharf_testkit::services;

use crate::support::{Run, Sandbox};

/// Stores an object as the process of this name would have.
fn upload(service: &CodeBuild, bucket: &str, name: &str, owner: &str) {
    let key = format!("wharf/code-build-contexts/{name}.zip");
    let metadata = format!("wharf-owner={owner}");
    let put = [
        "s3api",
        "put-object",
        "--bucket",
        bucket,
        "--key",
        &key,
        "--metadata",
        &metadata,
    ];
    let mut aws = Command::new(services::amazon_command());
    aws.args(put).env_clear().envs([
        ("AWS_ENDPOINT_URL", service.url()),
        ("AWS_ACCESS_KEY_ID", "caller"),
        ("AWS_SECRET_ACCESS_KEY", "caller"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("PATH", "/usr/bin:/bin"),
    ]);
    Run::from(aws.output().unwrap()).ok();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services and a Docker engine"]
async fn amazon_engine_contexts_of_processes_that_ended_are_removed() {
    let service = CodeBuild::start(&services::amazon(), &services::engine(), Behaviour::default()).await;
    let name = format!("wharf-gc-{}", std::process::id());
    service.make(&name).await;
    let this = Owner::this_process().to_string();
    // A process with this one's number that began with the machine.
    let ended = format!("{}/1", this.rsplit_once('/').unwrap().0);
    for (context, owner) in [("ended", &ended), ("running", &this)] {
        tokio::task::block_in_place(|| upload(&service, &name, context, owner));
    }
    let credentials = json!({
        "auth_method": "secret-key", "aws_access_key_id": "caller", "aws_secret_access_key": "caller",
        "region": "us-east-1", "endpoint_url": service.url(),
    });
    let stack = |keep: bool| {
        json!({
            "name": "amazon",
            "image_builder": {"flavor": "aws", "config": {
                "code_build_project": name, "credentials": credentials, "keep_context": keep,
            }},
            "artifact_store": {"flavor": "s3", "config": {
                "path": format!("s3://{name}/wharf"), "credentials": credentials,
            }},
        })
        .to_string()
    };
    let sandbox = Sandbox::with(&[("stack.yaml", &stack(false)), ("keep.yaml", &stack(true))]);
    let gc = |file: &str, more: &[&str]| -> Value {
        let arguments = [&["gc", "--stack-file", file, "--output", "json"], more].concat();
        let said = tokio::task::block_in_place(|| sandbox.run(&arguments)).ok();
        serde_json::from_str(&said).unwrap()
    };
    let found = |removed: bool| {
        json!([{
            "what": format!("build context s3://{name}/wharf/code-build-contexts/ended.zip"),
            "reason": "the wharf that made it has ended",
            "removed": removed,
        }])
    };
    assert_eq!(gc("keep.yaml", &[]), json!([]));
    assert_eq!(gc("stack.yaml", &["--dry-run"]), found(false));
    assert_eq!(service.objects(&name).await.len(), 2);
    assert_eq!(gc("stack.yaml", &[]), found(true));
    assert_eq!(
        service.objects(&name).await,
        ["wharf/code-build-contexts/running.zip"]
    );
}
