//! The calls the service answers itself.

use std::sync::Arc;

use serde_json::{Value, json};

use super::record::Record;
use super::{Shared, lock, runner};

type Answer = Option<(u16, Value)>;

/// Events in a page of the log.
const PAGE: u64 = 7;

/// The calls of CodeBuild that are not left to the server behind.
pub(super) async fn codebuild(shared: &Arc<Shared>, operation: &str, call: &Value) -> Answer {
    match operation {
        "StartBuild" => Some(start(shared, call).await),
        "BatchGetBuilds" => Some((200, get(shared, call))),
        "StopBuild" => Some(stop(shared, call)),
        "ListBuildsForProject" => Some((200, list(shared, call))),
        _ => None,
    }
}

fn refusal(code: &str, message: &str) -> (u16, Value) {
    (400, json!({"__type": code, "message": message}))
}

async fn start(shared: &Arc<Shared>, call: &Value) -> (u16, Value) {
    let project = call["projectName"].as_str().unwrap_or_default();
    if !has_project(shared, project).await {
        let message =
            format!("Project cannot be found: arn:aws:codebuild:us-east-1:123456789012:project/{project}");
        return refusal("ResourceNotFoundException", &message);
    }
    if let Some(known) = same_token(shared, call) {
        return known;
    }
    let buildspec = call["buildspecOverride"].as_str().unwrap_or_default();
    let buildspec: Value = match serde_saphyr::from_str(buildspec) {
        Ok(buildspec) => buildspec,
        Err(error) => {
            return refusal(
                "InvalidInputException",
                &format!("YAML_FILE_ERROR Message: {error}"),
            );
        }
    };
    let record = Record::new(project, &uuid(), call.clone());
    let answer = json!({"build": record.to_json()});
    lock(&shared.builds).insert(record.id.clone(), record.clone());
    tokio::spawn(runner::run(Arc::clone(shared), record, buildspec));
    (200, answer)
}

/// The same token with the same arguments is the same build; with others it is a mistake.
fn same_token(shared: &Shared, call: &Value) -> Option<(u16, Value)> {
    let token = call["idempotencyToken"].as_str()?;
    let builds = lock(&shared.builds);
    let known = builds
        .values()
        .find(|record| record.call["idempotencyToken"].as_str() == Some(token))?;
    Some(match known.call == *call {
        true => (200, json!({"build": known.to_json()})),
        false => refusal(
            "InvalidInputException",
            "The idempotency token was used with other parameters",
        ),
    })
}

async fn has_project(shared: &Shared, name: &str) -> bool {
    let call = json!({"names": [name]});
    let answer = behind(shared, "CodeBuild_20161006.BatchGetProjects", &call).await;
    answer["projects"]
        .as_array()
        .is_some_and(|projects| !projects.is_empty())
}

fn get(shared: &Shared, call: &Value) -> Value {
    let builds = lock(&shared.builds);
    let ids = call["ids"].as_array().cloned().unwrap_or_default();
    lock(&shared.polled).push(ids.len());
    let (known, unknown): (Vec<&Value>, Vec<&Value>) = ids
        .iter()
        .partition(|id| id.as_str().is_some_and(|id| builds.contains_key(id)));
    let known: Vec<Value> = known
        .iter()
        .filter_map(|id| builds.get(id.as_str()?))
        .map(Record::to_json)
        .collect();
    json!({"builds": known, "buildsNotFound": unknown})
}

fn stop(shared: &Arc<Shared>, call: &Value) -> (u16, Value) {
    let id = call["id"].as_str().unwrap_or_default();
    let mut builds = lock(&shared.builds);
    let Some(record) = builds.get_mut(id) else {
        return refusal(
            "ResourceNotFoundException",
            &format!("Build cannot be found: {id}"),
        );
    };
    if !record.has_ended() {
        record.stopped = true;
        runner::kill(&shared.engine, &record.container);
    }
    (200, json!({"build": record.to_json()}))
}

/// A page of the log, smaller than asked for; every third answer is empty, with the token unchanged, although there
/// may be more.
pub(super) async fn log_events(shared: &Shared, mut call: Value) -> Answer {
    let asked = lock(&shared.calls)
        .iter()
        .filter(|call| *call == "GetLogEvents")
        .count();
    let token = call["nextToken"].clone();
    if asked.is_multiple_of(3) && token.is_string() {
        let empty = json!({"events": [], "nextForwardToken": token, "nextBackwardToken": token});
        return Some((200, empty));
    }
    call["limit"] = json!(PAGE);
    let answer = behind(shared, "Logs_20140328.GetLogEvents", &call).await;
    let status = if answer.get("__type").is_some() { 400 } else { 200 };
    Some((status, answer))
}

/// The ids of a project's builds, a few at a time.
fn list(shared: &Shared, call: &Value) -> Value {
    const PAGE: usize = 2;
    let builds = lock(&shared.builds);
    let mut found: Vec<&Record> = builds
        .values()
        .filter(|record| call["projectName"] == record.project.as_str())
        .collect();
    found.sort_by(|one, other| one.started.total_cmp(&other.started));
    if call["sortOrder"] != "ASCENDING" {
        found.reverse();
    }
    let from: usize = call["nextToken"]
        .as_str()
        .and_then(|token| token.parse().ok())
        .unwrap_or(0);
    let ids: Vec<&str> = found
        .iter()
        .skip(from)
        .take(PAGE)
        .map(|record| record.id.as_str())
        .collect();
    let next = (from + PAGE < found.len()).then(|| (from + PAGE).to_string());
    json!({"ids": ids, "nextToken": next})
}

/// Calls the server behind. It checks no signatures.
pub(super) async fn behind(shared: &Shared, target: &str, call: &Value) -> Value {
    let service = match target.split(['_', '.']).next() {
        Some("Logs") => "logs",
        Some("AmazonEC2ContainerRegistry") => "ecr",
        Some("secretsmanager") => "secretsmanager",
        _ => "codebuild",
    };
    let call = shared
        .http
        .post(format!("{}/", shared.behind))
        .header("x-amz-target", target)
        .header("content-type", "application/x-amz-json-1.1")
        .header("authorization", signature(service))
        .body(call.to_string());
    match shared.ask(call).await {
        Ok((_, text)) => serde_json::from_str(&text).unwrap_or_default(),
        Err(error) => json!({"__type": "Unreachable", "message": error.to_string()}),
    }
}

/// What stands in place of a signature, which the server behind does not check; it only wants to see one.
pub(super) fn signature(service: &str) -> String {
    let scope = format!("testkit/20260101/us-east-1/{service}/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0")
}

/// A name that no other build has.
fn uuid() -> String {
    use std::hash::{BuildHasher, RandomState};
    let word = || RandomState::new().hash_one(std::time::SystemTime::now());
    let (a, b) = (word(), word());
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}
