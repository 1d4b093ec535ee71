//! The messages of a build or a push through the engine's own API.

use serde::Deserialize;
use wharf_core::event::Progress;
use wharf_core::event::StepId;

/// One message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Message {
    /// Output of a build.
    pub(crate) stream: Option<String>,
    /// What happens with a layer.
    pub(crate) status: Option<String>,
    /// The layer.
    pub(crate) id: Option<String>,
    /// Why it failed. It comes inside an answer with status 200.
    pub(crate) error: Option<String>,
    #[serde(rename = "errorDetail")]
    pub(crate) error_detail: Option<ErrorDetail>,
    #[serde(rename = "progressDetail")]
    progress_detail: Option<ProgressDetail>,
    /// The image's id, or what was pushed.
    pub(crate) aux: Option<Aux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorDetail {
    pub(crate) message: Option<String>,
    pub(crate) code: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProgressDetail {
    current: Option<u64>,
    total: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Aux {
    #[serde(rename = "ID")]
    pub(crate) id: Option<String>,
    #[serde(rename = "Digest")]
    pub(crate) digest: Option<String>,
}

/// The last words of a layer.
const FINAL: [&str; 7] = [
    "Pushed",
    "Layer already exists",
    "Mounted from",
    "Pull complete",
    "Already exists",
    "Download complete",
    "Copied",
];

impl Message {
    /// A message with a line of output.
    pub(crate) fn of_line(line: &str) -> Self {
        Self {
            stream: Some(format!("{line}\n")),
            ..Self::default()
        }
    }

    /// The failure this message tells of.
    pub(crate) fn failure(&self) -> Option<&str> {
        let detail = self
            .error_detail
            .as_ref()
            .and_then(|detail| detail.message.as_deref());
        detail.or(self.error.as_deref()).filter(|text| !text.is_empty())
    }

    /// The counter this message moves.
    pub(crate) fn progress(&self, step: &StepId) -> Option<Progress> {
        let (id, action) = (self.id.clone()?, self.status.clone()?);
        let detail = self.progress_detail.as_ref();
        Some(Progress {
            step: Some(step.clone()),
            id,
            done: FINAL.iter().any(|last| action.starts_with(last)),
            action,
            current: detail.and_then(|detail| detail.current).unwrap_or_default(),
            total: detail.and_then(|detail| detail.total).filter(|total| *total > 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn docker_and_podman_tell_failures_in_their_own_ways() {
        let docker = message(r#"{"errorDetail":{"code":1,"message":"no"},"error":"no"}"#);
        assert_eq!(docker.failure(), Some("no"));
        assert_eq!(message(r#"{"error":"bad"}"#).failure(), Some("bad"));
        assert_eq!(message(r#"{"stream":"x"}"#).failure(), None);
    }

    #[test]
    fn a_layer_s_message_moves_its_counter() {
        let step = StepId::new("push");
        let moving = message(r#"{"status":"Pushing","progressDetail":{"current":5,"total":9},"id":"abc"}"#);
        let progress = moving.progress(&step).unwrap();
        assert_eq!(
            (progress.current, progress.total, progress.done),
            (5, Some(9), false)
        );
        assert!(
            message(r#"{"status":"Pushed","progressDetail":{},"id":"abc"}"#)
                .progress(&step)
                .unwrap()
                .done
        );
        assert!(
            message(r#"{"status":"1: digest: sha256:00 size: 5"}"#)
                .progress(&step)
                .is_none()
        );
    }
}
