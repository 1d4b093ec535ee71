//! Runs a build in a container.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use super::api::{behind, signature};
use super::record::{REGION, Record};
use super::{Shared, lock};

const AGENT: &str = include_str!("agent.py");

/// How many lines are written to the log at once.
const BATCH: usize = 50;

/// Runs a build to its end, whatever that is.
pub(super) async fn run(shared: Arc<Shared>, record: Record, buildspec: Value) {
    let id = record.id.clone();
    let change = |change: &dyn Fn(&mut Record)| shared.change(&id, change);
    tokio::time::sleep(shared.behaviour.log_delay).await;
    change(&|record| {
        record.phase("QUEUED", "SUCCEEDED", None);
        record.phase("PROVISIONING", "IN_PROGRESS", None);
    });
    let limit = record.call["timeoutInMinutesOverride"].as_u64().unwrap_or(60);
    let limit = shared.behaviour.minute * u32::try_from(limit).unwrap_or(60);
    let status = match tokio::time::timeout(limit, provision(&shared, &record, buildspec)).await {
        Ok(status) => status,
        Err(_) => {
            kill(&shared.engine, &record.container);
            let context = json!({"statusCode": "BUILD_TIMED_OUT", "message": "Build has timed out."});
            change(&|record| end_running_phase(record, "TIMED_OUT", Some(context.clone())));
            "TIMED_OUT"
        }
    };
    change(&|record| {
        if record.stopped {
            end_running_phase(record, "STOPPED", None);
            record.end("STOPPED");
        } else {
            record.phase("FINALIZING", "SUCCEEDED", None);
            record.end(status);
        }
    });
}

fn end_running_phase(record: &mut Record, status: &str, context: Option<Value>) {
    if let Some(phase) = record.running_phase() {
        record.phase(&phase, status, context);
    }
}

async fn provision(shared: &Arc<Shared>, record: &Record, buildspec: Value) -> &'static str {
    let image = record.call["imageOverride"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let failed = |message: String, code: &str| {
        let context = json!({"statusCode": code, "message": message});
        shared.change(&record.id, |record| {
            end_running_phase(record, "FAILED", Some(context))
        });
        "FAILED"
    };
    if !has_image(&shared.engine, &image).await {
        let message = format!(
            "Unable to pull customer's container image. CannotPullContainerError: pull access denied for {image}"
        );
        return failed(message, "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE");
    }
    if shared.behaviour.has_a_fault {
        return "FAULT";
    }
    let first = lock(&shared.builds).len() == 1;
    if shared.behaviour.loses_the_source_once && first {
        let location = record.call["sourceLocationOverride"].as_str().unwrap_or_default();
        let delete = shared.http.delete(format!("{}/{location}", shared.behind));
        let _ = delete.header("authorization", signature("s3")).send().await;
    }
    let variables = match variables(shared, record).await {
        Ok(variables) => variables,
        Err(message) => return failed(message, "CLIENT_ERROR"),
    };
    match follow(shared, record, &image, variables, &buildspec).await {
        Ok(()) => {
            let builds = lock(&shared.builds);
            let good = builds.get(&record.id).is_some_and(|record| !record.has_failed());
            if good { "SUCCEEDED" } else { "FAILED" }
        }
        Err(error) => failed(error.to_string(), "CLIENT_ERROR"),
    }
}

async fn has_image(engine: &str, image: &str) -> bool {
    let mut docker = docker(engine);
    docker
        .args(["image", "inspect", image])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    docker.status().await.is_ok_and(|status| status.success())
}

/// The variables of the build; a secret is looked up as the real service does it.
async fn variables(shared: &Shared, record: &Record) -> Result<BTreeMap<String, String>, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let url = lock(&shared.url).clone();
    let mut found: BTreeMap<String, String> = [
        ("CODEBUILD_BUILD_ID", record.id.as_str()),
        ("CODEBUILD_BUILD_ARN", &record.arn()),
        ("CODEBUILD_INITIATOR", "somebody"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ENDPOINT_URL", &url),
        ("AWS_ACCESS_KEY_ID", "service-role"),
        ("AWS_SECRET_ACCESS_KEY", "service-role"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for variable in record.call["environmentVariablesOverride"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let mut value = text(&variable["value"]);
        if variable["type"] == "SECRETS_MANAGER" {
            let call = json!({"SecretId": value});
            let secret = behind(shared, "secretsmanager.GetSecretValue", &call).await;
            value = secret["SecretString"]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| format!("Secrets Manager Error Message: {}", text(&secret["message"])))?;
        }
        found.insert(text(&variable["name"]), value);
    }
    Ok(found)
}

async fn follow(
    shared: &Arc<Shared>,
    record: &Record,
    image: &str,
    variables: BTreeMap<String, String>,
    buildspec: &Value,
) -> std::io::Result<()> {
    let mut child = start(shared, record, image, &variables)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(job(shared, record, buildspec).to_string().as_bytes())
            .await?;
    }
    let Some(output) = child.stdout.take() else {
        return Ok(());
    };
    let (sender, receiver) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write_log(Arc::clone(shared), record.clone(), receiver));
    let mut lines = BufReader::new(output).lines();
    shared.change(&record.id, |record| {
        record.phase("PROVISIONING", "SUCCEEDED", None)
    });
    read(shared, record, &mut lines, &sender).await?;
    drop(sender);
    let _ = child.wait().await?;
    // Nobody waits for the log: it may be complete long after the build.
    drop(writer);
    Ok(())
}

async fn read(
    shared: &Shared,
    record: &Record,
    lines: &mut Lines<BufReader<ChildStdout>>,
    log: &mpsc::UnboundedSender<String>,
) -> std::io::Result<()> {
    while let Some(line) = lines.next_line().await? {
        let Some(event) = line.strip_prefix('\u{1}') else {
            let _ = log.send(line);
            continue;
        };
        let event: Value = serde_json::from_str(event).unwrap_or_default();
        shared.change(&record.id, |record| {
            if let (Some(phase), Some(status)) = (event["phase"].as_str(), event["status"].as_str()) {
                record.phase(
                    phase,
                    status,
                    Some(event["context"].clone()).filter(|context| !context.is_null()),
                );
            }
            if let (Some(name), Some(value)) = (event["exported"].as_str(), event["value"].as_str()) {
                record.exported.push((name.to_owned(), value.to_owned()));
            }
        });
        if event["end"] == true {
            return Ok(());
        }
    }
    Ok(())
}

fn start(
    shared: &Shared,
    record: &Record,
    image: &str,
    variables: &BTreeMap<String, String>,
) -> std::io::Result<Child> {
    let mut docker = docker(&shared.engine);
    docker.args([
        "run",
        "--rm",
        "--interactive",
        "--network",
        "host",
        "--name",
        &record.container,
    ]);
    // Without privileges nothing in the container reaches a Docker daemon.
    if record.call["privilegedModeOverride"] == true
        && let Some(socket) = shared.engine.strip_prefix("unix://")
    {
        docker.args(["--volume", &format!("{socket}:/var/run/docker.sock")]);
    }
    for (name, value) in variables {
        docker.args(["--env", name]).env(name, value);
    }
    docker.args(["--entrypoint", "python3", image, "-c", AGENT]);
    docker
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    docker.spawn()
}

fn job(shared: &Shared, record: &Record, buildspec: &Value) -> Value {
    let location = record.call["sourceLocationOverride"].as_str().unwrap_or_default();
    let exported = &buildspec["env"]["exported-variables"];
    json!({
        "source": format!("{}/{location}", shared.behind),
        "authorization": signature("s3"),
        "phases": buildspec["phases"],
        "exported": if exported.is_null() { json!([]) } else { exported.clone() },
        "knows_on_failure": shared.behaviour.knows_on_failure,
        "keeps_modes": shared.behaviour.keeps_modes,
    })
}

/// Writes what the container prints to the log, late and in batches.
async fn write_log(shared: Arc<Shared>, record: Record, mut lines: mpsc::UnboundedReceiver<String>) {
    let (group, stream) = (record.log_group(), record.log_stream());
    let mut batch = Vec::new();
    behind(
        &shared,
        "Logs_20140328.CreateLogGroup",
        &json!({"logGroupName": group}),
    )
    .await;
    let place = json!({"logGroupName": group, "logStreamName": stream});
    behind(&shared, "Logs_20140328.CreateLogStream", &place).await;
    while lines.recv_many(&mut batch, BATCH).await > 0 {
        tokio::time::sleep(shared.behaviour.log_delay).await;
        let events: Vec<Value> = batch
            .drain(..)
            .map(|line| json!({"timestamp": milliseconds(), "message": format!("{line}\n")}))
            .collect();
        let call = json!({"logGroupName": group, "logStreamName": stream, "logEvents": events});
        behind(&shared, "Logs_20140328.PutLogEvents", &call).await;
        shared.change(&record.id, |record| record.log_is_known = true);
    }
}

fn milliseconds() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(now.as_millis()).unwrap_or(0)
}

/// Ends a container. One that is not there is fine.
pub(super) fn kill(engine: &str, container: &str) {
    let mut docker = std::process::Command::new("docker");
    docker
        .args(["rm", "--force", container])
        .env("DOCKER_HOST", engine);
    let _ = docker
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .and_then(|mut child| child.wait());
}

fn docker(engine: &str) -> Command {
    let mut docker = Command::new("docker");
    docker.env("DOCKER_HOST", engine).env_remove("DOCKER_CONTEXT");
    docker
}
