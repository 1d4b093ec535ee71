//! What the state of a pod means: is it running, has it ended, or can it never run. Sources: the API reference of
//! `PodStatus`, and the kubelet's `images` and `kuberuntime` packages for the reasons.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodStatus};
use wharf_core::{Error, ErrorKind};

use crate::manifest::CONTAINER;

/// Where a pod stands.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It is not running yet.
    Waiting,
    /// It fits on no node at the moment, and why.
    Unschedulable(String),
    /// The executor runs.
    Running,
    /// The executor has ended.
    Ended(End),
    /// It will never run, or does not any more, for a reason that is not the build's.
    Broken(Error),
}

/// How an executor ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) exit_code: i32,
    /// The digest, or the last words.
    pub(crate) message: String,
    /// `OOMKilled`, `Error`, `Completed`.
    pub(crate) reason: String,
}

/// Reasons to wait that do not pass: reason, kind, and what to do.
const HOPELESS: [(&str, ErrorKind, &str); 9] = [
    ("ImagePullBackOff", ErrorKind::InvalidConfiguration, PULL_HINT),
    ("ErrImageNeverPull", ErrorKind::InvalidConfiguration, PULL_HINT),
    (
        "InvalidImageName",
        ErrorKind::InvalidConfiguration,
        "Correct `executor_image`.",
    ),
    ("ImageInspectError", ErrorKind::Unavailable, PULL_HINT),
    (
        "CreateContainerConfigError",
        ErrorKind::InvalidConfiguration,
        CONFIG_HINT,
    ),
    (
        "CreateContainerError",
        ErrorKind::InvalidConfiguration,
        CONFIG_HINT,
    ),
    ("RunContainerError", ErrorKind::InvalidConfiguration, CONFIG_HINT),
    ("PreCreateHookError", ErrorKind::InvalidConfiguration, CONFIG_HINT),
    ("CrashLoopBackOff", ErrorKind::InvalidConfiguration, CONFIG_HINT),
];

const PULL_HINT: &str = "Check `executor_image`, and that the nodes reach its registry; a private one needs `image_pull_secrets`.";
const CONFIG_HINT: &str = "Check what the configuration of the image builder names: Secrets, ConfigMaps, volumes, \
     the security context.";

/// What a node says when an image cannot be had at any time. Anything else about a pull may pass.
const NO_SUCH_IMAGE: [&str; 6] = [
    "not found",
    "manifest unknown",
    "does not exist",
    "unauthorized",
    "denied",
    "no basic auth",
];

/// Reads a pod.
pub(crate) fn standing(pod: &Pod) -> Standing {
    let status = pod.status.clone().unwrap_or_default();
    if let Some(terminated) = executor(&status).and_then(|status| state(status).terminated)
        && !is_taken_away(&status)
    {
        return Standing::Ended(end(terminated));
    }
    if let Some(error) = broken_pod(pod, &status).or_else(|| broken_container(&status)) {
        return Standing::Broken(error);
    }
    if executor(&status).is_some_and(|status| state(status).running.is_some()) {
        return Standing::Running;
    }
    match unschedulable(&status) {
        Some(why) => Standing::Unschedulable(why),
        None => Standing::Waiting,
    }
}

/// The memory limit that the executor ran with.
pub(crate) fn memory_limit(pod: &Pod) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    let container = containers.iter().find(|container| container.name == CONTAINER)?;
    let limits = container.resources.as_ref()?.limits.as_ref()?;
    Some(limits.get("memory")?.0.clone())
}

fn executor(status: &PodStatus) -> Option<&ContainerStatus> {
    status
        .container_statuses
        .iter()
        .flatten()
        .find(|status| status.name == CONTAINER)
}

fn state(status: &ContainerStatus) -> ContainerState {
    status.state.clone().unwrap_or_default()
}

fn end(terminated: ContainerStateTerminated) -> End {
    End {
        exit_code: terminated.exit_code,
        message: terminated.message.unwrap_or_default().trim().to_owned(),
        reason: terminated.reason.unwrap_or_default(),
    }
}

/// Whether the cluster ended the pod, and the executor's exit code says nothing about the build.
fn is_taken_away(status: &PodStatus) -> bool {
    status.phase.as_deref() == Some("Failed")
        && status.reason.as_deref().is_some_and(|reason| !reason.is_empty())
}

fn broken_pod(pod: &Pod, status: &PodStatus) -> Option<Error> {
    let message = status.message.clone().unwrap_or_default();
    let reason = status.reason.clone().unwrap_or_default();
    let node = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.clone())
        .unwrap_or_default();
    let failed = status.phase.as_deref() == Some("Failed");
    let error = match reason.as_str() {
        "Evicted" => Error::new(ErrorKind::ResourceExhausted, format!("the node evicted the pod: {message}"))
            .with_hint("The build needs more than the node had left: set `resources.requests`, for memory and ephemeral-storage.")
            .set_retryable(true),
        "DeadlineExceeded" => Error::new(ErrorKind::Timeout, "the build took longer than allowed, and the cluster ended it")
            .with_hint("Raise `build_timeout`."),
        "NodeLost" | "NodeShutdown" | "Terminated" | "Shutdown" | "Preempting" | "NodeAffinity" => {
            Error::new(ErrorKind::Unavailable, format!("the node was lost ({reason}): {message}")).set_retryable(true)
        }
        _ if status.phase.as_deref() == Some("Unknown") => {
            Error::new(ErrorKind::Unavailable, "the node does not answer any more").set_retryable(true)
        }
        _ if pod.metadata.deletion_timestamp.is_some() => deleted(),
        _ if failed => Error::new(ErrorKind::Unavailable, format!("the pod failed: {reason} {message}").trim_end().to_owned())
            .set_retryable(true),
        _ => return None,
    };
    Some(if node.is_empty() {
        error
    } else {
        error.with_context("node", node)
    })
}

/// The pod was removed, and not by this build.
pub(crate) fn deleted() -> Error {
    Error::new(ErrorKind::Unavailable, "somebody deleted the pod while it was building")
        .with_hint("Build again. If it happens again, ask the cluster's operators: a drained or preempted node removes pods.")
        .set_retryable(true)
}

fn broken_container(status: &PodStatus) -> Option<Error> {
    let all = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    all.filter_map(|status| {
        let waiting = state(status).waiting?;
        let reason = waiting.reason.unwrap_or_default();
        let message = waiting.message.unwrap_or_default();
        let (_, kind, hint) = HOPELESS
            .into_iter()
            .find(|(known, ..)| *known == reason)
            .or_else(|| {
                let hopeless = NO_SUCH_IMAGE.iter().any(|words| message.contains(words));
                (reason == "ErrImagePull" && hopeless).then_some((
                    "",
                    ErrorKind::InvalidConfiguration,
                    PULL_HINT,
                ))
            })?;
        let message = if message.is_empty() {
            reason
        } else {
            format!("{reason}: {message}")
        };
        Some(
            Error::new(kind, format!("the executor cannot start: {message}"))
                .with_context("executor_image", status.image.clone())
                .with_hint(hint),
        )
    })
    .next()
}

fn unschedulable(status: &PodStatus) -> Option<String> {
    let conditions = status.conditions.iter().flatten();
    let mut refused = conditions.filter(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    refused
        .next()
        .map(|condition| condition.message.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "x"},
            "spec": {"nodeName": "n1", "containers": [
                {"name": "kaniko", "resources": {"limits": {"memory": "1Gi"}}}
            ]},
            "status": status,
        }))
        .unwrap()
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({"phase": "Pending", "containerStatuses": [{
            "name": "kaniko", "image": "x:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}}
        }]})
    }

    fn terminated(code: i32, reason: &str, message: &str) -> Value {
        json!({"phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": [{
            "name": "kaniko", "image": "x:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}
        }]})
    }

    fn broken(status: Value) -> Error {
        match standing(&pod(status)) {
            Standing::Broken(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_can_never_run_is_told_with_what_to_do() {
        let table = [
            (
                waiting("ImagePullBackOff", "Back-off pulling image"),
                ErrorKind::InvalidConfiguration,
            ),
            (
                waiting("ErrImagePull", "manifest unknown"),
                ErrorKind::InvalidConfiguration,
            ),
            (waiting("ErrImageNeverPull", ""), ErrorKind::InvalidConfiguration),
            (
                waiting("InvalidImageName", "couldn't parse"),
                ErrorKind::InvalidConfiguration,
            ),
            (
                waiting("CreateContainerConfigError", "secret \"s\" not found"),
                ErrorKind::InvalidConfiguration,
            ),
            (
                waiting("CreateContainerError", "x"),
                ErrorKind::InvalidConfiguration,
            ),
            (waiting("RunContainerError", "x"), ErrorKind::InvalidConfiguration),
            (
                json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
                ErrorKind::ResourceExhausted,
            ),
            (
                json!({"phase": "Failed", "reason": "DeadlineExceeded"}),
                ErrorKind::Timeout,
            ),
            (
                json!({"phase": "Running", "reason": "NodeLost", "message": "m"}),
                ErrorKind::Unavailable,
            ),
            (
                json!({"phase": "Failed", "reason": "Shutdown"}),
                ErrorKind::Unavailable,
            ),
            (json!({"phase": "Unknown"}), ErrorKind::Unavailable),
            (json!({"phase": "Failed"}), ErrorKind::Unavailable),
        ];
        for (status, kind) in table {
            let error = broken(status.clone());
            assert_eq!(error.kind(), kind, "{status}");
            assert!(error.hint().is_some() || error.is_retryable(), "{status}");
        }
    }

    #[test]
    fn an_image_that_may_still_arrive_is_waited_for() {
        for status in [
            waiting("ErrImagePull", "net/http: TLS handshake timeout"),
            waiting("ContainerCreating", ""),
            json!({"phase": "Pending"}),
        ] {
            assert!(matches!(standing(&pod(status)), Standing::Waiting));
        }
    }

    #[test]
    fn a_pod_without_a_node_says_why() {
        let status = json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"
        }]});
        assert!(matches!(standing(&pod(status)), Standing::Unschedulable(why) if why == "0/3 nodes"));
    }

    #[test]
    fn the_end_has_code_and_last_words() {
        let Standing::Ended(end) = standing(&pod(terminated(137, "OOMKilled", "bye\n"))) else {
            panic!("it has ended");
        };
        assert_eq!(
            (end.exit_code, end.reason.as_str(), end.message.as_str()),
            (137, "OOMKilled", "bye")
        );
        assert_eq!(memory_limit(&pod(json!({}))).as_deref(), Some("1Gi"));
    }

    #[test]
    fn an_executor_that_the_cluster_ended_did_not_end_by_itself() {
        let mut status = terminated(143, "Error", "");
        status["reason"] = "DeadlineExceeded".into();
        assert_eq!(broken(status).kind(), ErrorKind::Timeout);
        let mut deleted = pod(json!({"phase": "Running"}));
        deleted.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert!(matches!(standing(&deleted), Standing::Broken(error) if error.message().contains("deleted")));
    }
}
