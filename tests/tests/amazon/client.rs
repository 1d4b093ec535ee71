//! Amazon's own command is content with the played CodeBuild; so what passes here would pass there.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;
use wharf::core::{ArchiveFormat, BuildContext, FileSource};
use wharf_testkit::services;

use super::setup::Setup;

/// The command `aws`, talking to the played services.
pub(super) struct Aws(String);

impl Aws {
    pub(super) fn new(setup: &Setup) -> Self {
        Self(setup.service.url().to_owned())
    }

    /// Runs the command, which must succeed, and gives its answer.
    pub(super) async fn run(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "aws {}: {said}", arguments.join(" "));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(services::amazon_command());
        command.args(arguments).stdin(Stdio::null()).env_clear();
        command.envs([
            ("AWS_ENDPOINT_URL", self.0.as_str()),
            ("AWS_ACCESS_KEY_ID", "caller"),
            ("AWS_SECRET_ACCESS_KEY", "caller"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_CONFIG_FILE", "/nonexistent"),
            ("PATH", "/usr/bin:/bin"),
        ]);
        command
    }
}

const BUILDSPEC: &str = "
version: 0.2
env:
  exported-variables: [ANSWER]
phases:
  build:
    commands:
      - cd folder && ls -l && test -x run.sh && docker version
      - export ANSWER=\"$(cat file) from $(basename \"$PWD\")\"
  post_build:
    commands: [ 'echo the answer is $ANSWER; i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); done' ]
";

/// The build when it has ended and its log has a place, which may come later.
async fn wait_for(aws: &Aws, id: &str) -> Value {
    loop {
        let answer = aws
            .run(&["codebuild", "batch-get-builds", "--ids", id, "no-such-build:1"])
            .await;
        assert_eq!(answer["buildsNotFound"], json!(["no-such-build:1"]));
        let build = answer["builds"][0].clone();
        if build["buildComplete"] == true && build["logs"]["groupName"].is_string() {
            return build;
        }
    }
}

async fn read_log(aws: &Aws, logs: &Value) -> String {
    let (group, stream) = (
        logs["groupName"].as_str().unwrap(),
        logs["streamName"].as_str().unwrap(),
    );
    let place = [
        "logs",
        "get-log-events",
        "--log-group-name",
        group,
        "--log-stream-name",
        stream,
        "--start-from-head",
    ];
    let (mut text, mut token) = (String::new(), None::<String>);
    while !text.contains("line 39") {
        let mut arguments = place.to_vec();
        arguments.extend(token.iter().flat_map(|token| ["--next-token", token.as_str()]));
        let page = aws.run(&arguments).await;
        for event in page["events"].as_array().unwrap() {
            text += event["message"].as_str().unwrap();
        }
        token = page["nextForwardToken"].as_str().map(str::to_owned);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services and a Docker engine"]
async fn amazon_engine_the_command_aws_drives_a_build() {
    let setup = Setup::new().await;
    let aws = Aws::new(&setup);
    let directory = tempfile::tempdir().unwrap();
    let mut source = BuildContext::empty();
    source
        .add_file("folder/file", FileSource::Bytes("forty-two".into()), None)
        .unwrap();
    source
        .add_file("folder/run.sh", FileSource::Bytes("".into()), Some(0o755))
        .unwrap();
    let zip = directory.path().join("source.zip");
    let mut file = std::fs::File::create(&zip).unwrap();
    source
        .write_archive(ArchiveFormat::Zip, &mut file, &mut |_| {})
        .unwrap();
    let place = format!("s3://{}/source.zip", setup.name);
    aws.run(&["s3", "cp", "--only-show-errors", zip.to_str().unwrap(), &place])
        .await;
    let location = format!("{}/source.zip", setup.name);
    let started = aws
        .run(&[
            "codebuild",
            "start-build",
            "--project-name",
            &setup.name,
            "--source-type-override",
            "S3",
            "--source-location-override",
            &location,
            "--buildspec-override",
            BUILDSPEC,
            "--image-override",
            &services::codebuild_image(),
            "--privileged-mode-override",
            "--environment-type-override",
            "LINUX_CONTAINER",
        ])
        .await;
    assert_eq!(
        started["build"]["logs"]["groupName"],
        Value::Null,
        "nobody knows yet where the log will be"
    );
    let build = wait_for(&aws, started["build"]["id"].as_str().unwrap()).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{build}");
    let expected = json!([{"name": "ANSWER", "value": "forty-two from folder"}]);
    assert_eq!(build["exportedEnvironmentVariables"], expected);
    let phases: Vec<&str> = build["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["phaseType"].as_str().unwrap())
        .collect();
    let order = [
        "SUBMITTED",
        "QUEUED",
        "PROVISIONING",
        "DOWNLOAD_SOURCE",
        "INSTALL",
        "PRE_BUILD",
        "BUILD",
        "POST_BUILD",
        "FINALIZING",
        "COMPLETED",
    ];
    assert_eq!(phases, order);
    let log = read_log(&aws, &build["logs"]).await;
    assert!(
        log.contains("the answer is forty-two from folder") && log.contains("Entering phase POST_BUILD"),
        "{log}"
    );
}
