//! A build as the service knows it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// One build.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) project: String,
    /// The arguments of `StartBuild`.
    pub(super) call: Value,
    /// The name of its container.
    pub(super) container: String,
    pub(super) status: &'static str,
    /// Somebody asked for its end.
    pub(super) stopped: bool,
    pub(super) log_is_known: bool,
    pub(super) exported: Vec<(String, String)>,
    phases: Vec<Phase>,
    pub(super) started: f64,
    ended: Option<f64>,
}

#[derive(Debug, Clone)]
struct Phase {
    kind: String,
    status: String,
    start: f64,
    end: Option<f64>,
    context: Option<Value>,
}

pub(super) const REGION: &str = "us-east-1";
pub(super) const ACCOUNT: &str = "123456789012";

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

impl Record {
    pub(super) fn new(project: &str, uuid: &str, call: Value) -> Self {
        let mut record = Self {
            id: format!("{project}:{uuid}"),
            project: project.to_owned(),
            call,
            container: format!("wharf-test-codebuild-{uuid}"),
            status: "IN_PROGRESS",
            stopped: false,
            log_is_known: false,
            exported: Vec::new(),
            phases: Vec::new(),
            started: now(),
            ended: None,
        };
        record.phase("SUBMITTED", "SUCCEEDED", None);
        record.phase("QUEUED", "IN_PROGRESS", None);
        record
    }

    /// A phase begins, or ends.
    pub(super) fn phase(&mut self, kind: &str, status: &str, context: Option<Value>) {
        let end = (status != "IN_PROGRESS").then(now);
        match self.phases.iter_mut().find(|phase| phase.kind == kind) {
            Some(phase) => (phase.status, phase.end, phase.context) = (status.to_owned(), end, context),
            None => self.phases.push(Phase {
                kind: kind.to_owned(),
                status: status.to_owned(),
                start: now(),
                end,
                context,
            }),
        }
    }

    /// The phase that runs, if one does.
    pub(super) fn running_phase(&self) -> Option<String> {
        self.phases
            .iter()
            .rev()
            .find(|phase| phase.status == "IN_PROGRESS")
            .map(|phase| phase.kind.clone())
    }

    pub(super) fn has_failed(&self) -> bool {
        self.phases
            .iter()
            .any(|phase| !matches!(phase.status.as_str(), "SUCCEEDED" | "IN_PROGRESS"))
    }

    pub(super) fn end(&mut self, status: &'static str) {
        self.phase("COMPLETED", "SUCCEEDED", None);
        (self.status, self.ended) = (status, Some(now()));
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn log_group(&self) -> String {
        let given = self
            .call
            .pointer("/logsConfigOverride/cloudWatchLogs/groupName")
            .and_then(Value::as_str);
        given.map_or_else(|| format!("/aws/codebuild/{}", self.project), str::to_owned)
    }

    pub(super) fn log_stream(&self) -> String {
        self.id
            .split_once(':')
            .map_or_else(|| self.id.clone(), |(_, uuid)| uuid.to_owned())
    }

    pub(super) fn arn(&self) -> String {
        format!("arn:aws:codebuild:{REGION}:{ACCOUNT}:build/{}", self.id)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut build = json!({
            "id": self.id,
            "arn": self.arn(),
            "buildNumber": 1,
            "startTime": self.started,
            "currentPhase": self.phases.last().map_or("SUBMITTED", |phase| phase.kind.as_str()),
            "buildStatus": self.status,
            "projectName": self.project,
            "phases": self.phases.iter().map(Phase::to_json).collect::<Vec<_>>(),
            "source": {"type": "S3", "location": self.call["sourceLocationOverride"], "buildspec": self.call["buildspecOverride"]},
            "artifacts": {"location": ""},
            "cache": {"type": "NO_CACHE"},
            "environment": {
                "type": self.call["environmentTypeOverride"],
                "image": self.call["imageOverride"],
                "computeType": self.call["computeTypeOverride"],
                "environmentVariables": self.call["environmentVariablesOverride"],
                "privilegedMode": self.call["privilegedModeOverride"],
            },
            "logs": self.logs(),
            "timeoutInMinutes": self.call["timeoutInMinutesOverride"].as_i64().unwrap_or(60),
            "queuedTimeoutInMinutes": 480,
            "buildComplete": self.has_ended(),
            "initiator": "somebody",
            "exportedEnvironmentVariables": self.exported.iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>(),
        });
        if let (Some(end), Some(build)) = (self.ended, build.as_object_mut()) {
            build.insert("endTime".into(), json!(end));
        }
        build
    }

    /// Right after the start nobody knows where the log will be.
    fn logs(&self) -> Value {
        let (group, stream) = match self.log_is_known {
            true => (json!(self.log_group()), json!(self.log_stream())),
            false => (Value::Null, Value::Null),
        };
        let word = |value: &Value| value.as_str().unwrap_or("null").to_owned();
        let mut logs = Map::new();
        logs.insert(
            "cloudWatchLogsArn".into(),
            json!(format!(
                "arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{}:log-stream:{}",
                word(&group),
                word(&stream)
            )),
        );
        logs.insert(
            "deepLink".into(),
            json!("https://console.aws.amazon.com/cloudwatch/home"),
        );
        logs.insert("groupName".into(), group);
        logs.insert("streamName".into(), stream);
        Value::Object(logs)
    }
}

impl Phase {
    fn to_json(&self) -> Value {
        let mut phase = json!({"phaseType": self.kind, "startTime": self.start});
        let Some(fields) = phase.as_object_mut() else {
            return phase;
        };
        // A phase that runs has neither status nor end.
        if let Some(end) = self.end {
            fields.insert("endTime".into(), json!(end));
            #[allow(clippy::cast_possible_truncation)]
            fields.insert("durationInSeconds".into(), json!((end - self.start) as i64));
            fields.insert("phaseStatus".into(), json!(self.status));
        }
        fields.insert("contexts".into(), json!(self.context.iter().collect::<Vec<_>>()));
        phase
    }
}
