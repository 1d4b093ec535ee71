//! What happens during a build, the same for every builder.
//!
//! A builder writes [`BuildEvent`]s into an [`EventSink`]; displays read them from an [`EventStream`] and
//! read nothing else. An event about a step carries the step's *whole* state under a stable
//! [`StepId`]: a reader replaces what it holds, so a repeated event is harmless.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::Secret;

/// A name for a step that stays the same during one build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub String);

impl StepId {
    /// Makes the id from any text that is unique within the build.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }
}

/// What happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimedEvent {
    /// When wharf saw it, in UTC.
    pub time: Timestamp,
    /// Which image the event is about, where several are built at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What happened. In JSON its name stands under `event`, its fields under `data`.
    #[serde(flatten)]
    pub event: BuildEvent,
}

/// Something that happened during a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum BuildEvent {
    /// The build was accepted and waits for its turn.
    Queued(Queued),
    /// How much of the build context was sent so far.
    Context(ContextProgress),
    /// The whole state of a step.
    Step(Step),
    /// A counter inside a step moved: a layer being pulled, pushed or extracted.
    Progress(Progress),
    /// Output of a step, or of the builder itself.
    Log(LogLine),
    /// Something the user should know that does not stop the build.
    Warning(Warning),
    /// The image is in the registry under this name.
    Pushed(Pushed),
    /// The digest of the image is known.
    Digest(ImageDigest),
}

/// The build was accepted and waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Who builds: a flavor's name, with the engine's or service's name behind it where there is one.
    pub builder: String,
    /// The image to be built.
    pub image: String,
}

/// How much of the build context was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextProgress {
    /// Bytes sent so far.
    pub bytes: u64,
    /// Bytes that will be sent in all, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Files whose content was sent so far.
    pub files: u64,
    /// Whether this is the last word.
    pub done: bool,
}

/// The whole state of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Stays the same during the build.
    pub id: StepId,
    /// What the step does, for people: `[build 2/5] RUN pip install …`.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// When it began, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepState {
    /// Known, and not begun.
    Pending,
    /// Running now.
    Started,
    /// Not run: its result was in the cache.
    Cached,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed {
        /// Why, in the builder's words.
        error: String,
    },
    /// Stopped because the build was.
    Cancelled,
}

/// A counter inside a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The step it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// What is counted: a layer's short digest, `transferring context`.
    pub id: String,
    /// What is being done with it: `Pushing`, `Extracting`.
    pub action: String,
    /// How far, in bytes unless the action says otherwise.
    pub current: u64,
    /// How far it will go, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether this is the counter's last word.
    pub done: bool,
}

/// Which stream a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of output, without its line end.
///
/// Bytes that are not UTF-8 are replaced. A program that redraws its line with a carriage return gives one
/// line for each redraw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The step that wrote it; none: the builder itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// The stream it was written to.
    pub stream: Stream,
    /// The text.
    pub line: String,
}

/// Something the user should know that does not stop the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// One line.
    pub message: String,
    /// More lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// Where to read on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The file it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in that file, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Warning {
    /// A warning of one line.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            detail: Vec::new(),
            url: None,
            file: None,
            line: None,
        }
    }

    /// Adds lines below the first.
    #[must_use]
    pub fn with_detail(mut self, detail: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(detail);
        self
    }
}

/// The image is in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The name it was pushed under, with its tag.
    pub reference: String,
}

/// The digest of the image is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDigest {
    /// `repository@sha256:…`.
    pub reference: String,
}

/// Where a builder writes its events. Cloning is cheap; writing never blocks and never fails.
///
/// Values given to [`EventSink::redacting`] are replaced by `***` in every log line, warning, step error and
/// step name that passes.
#[derive(Debug, Clone, Default)]
pub struct EventSink {
    sender: Option<mpsc::UnboundedSender<TimedEvent>>,
    image: Option<Arc<str>>,
    redact: Arc<[Secret]>,
}

/// Where a display reads events: `None` once every sink is gone.
#[derive(Debug)]
pub struct EventStream(mpsc::UnboundedReceiver<TimedEvent>);

impl EventSink {
    /// A sink and the stream that gives what is written into it.
    #[must_use]
    pub fn channel() -> (Self, EventStream) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (
            Self {
                sender: Some(sender),
                ..Self::default()
            },
            EventStream(receiver),
        )
    }

    /// A sink that throws away what is written into it.
    #[must_use]
    pub fn discard() -> Self {
        Self::default()
    }

    /// The same sink; its events carry the image's name.
    #[must_use]
    pub fn for_image(mut self, image: &str) -> Self {
        self.image = Some(image.into());
        self
    }

    /// The same sink; these values never pass it. Values shorter than four characters are not replaced, as
    /// that would make every text unreadable and hide nothing.
    #[must_use]
    pub fn redacting(mut self, secrets: impl IntoIterator<Item = Secret>) -> Self {
        self.redact = self
            .redact
            .iter()
            .cloned()
            .chain(secrets)
            .filter(|s| s.expose().len() >= 4)
            .collect();
        self
    }

    /// Writes an event, with the time of now.
    pub fn send(&self, event: BuildEvent) {
        let Some(sender) = &self.sender else { return };
        let image = self.image.as_deref().map(str::to_owned);
        // A reader that went away is no reason to stop a build.
        let _ = sender.send(TimedEvent {
            time: Timestamp::now(),
            image,
            event: self.redacted(event),
        });
    }

    /// Writes a warning.
    pub fn warn(&self, warning: Warning) {
        self.send(BuildEvent::Warning(warning));
    }

    fn redacted(&self, mut event: BuildEvent) -> BuildEvent {
        if self.redact.is_empty() {
            return event;
        }
        match &mut event {
            BuildEvent::Log(log) => self.redact_text(&mut log.line),
            BuildEvent::Step(step) => {
                self.redact_text(&mut step.name);
                if let StepState::Failed { error } = &mut step.state {
                    self.redact_text(error);
                }
            }
            BuildEvent::Warning(warning) => {
                self.redact_text(&mut warning.message);
                warning.detail.iter_mut().for_each(|line| self.redact_text(line));
            }
            BuildEvent::Queued(_)
            | BuildEvent::Context(_)
            | BuildEvent::Progress(_)
            | BuildEvent::Pushed(_)
            | BuildEvent::Digest(_) => {}
        }
        event
    }

    /// Replaces in a text what must not pass this sink, for messages that leave a build in another way.
    pub fn redact_text(&self, text: &mut String) {
        for secret in self.redact.iter().filter(|secret| !secret.is_empty()) {
            if text.contains(secret.expose()) {
                *text = text.replace(secret.expose(), "***");
            }
        }
    }
}

impl EventStream {
    /// The next event; `None` once every sink is gone.
    pub async fn next(&mut self) -> Option<TimedEvent> {
        self.0.recv().await
    }

    /// Everything that was written so far, without waiting.
    pub fn drain(&mut self) -> Vec<TimedEvent> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(line: &str) -> BuildEvent {
        BuildEvent::Log(LogLine {
            step: None,
            stream: Stream::Stdout,
            line: line.into(),
        })
    }

    #[test]
    fn a_secret_does_not_pass_the_sink() {
        let (sink, mut stream) = EventSink::channel();
        let sink = sink.redacting([Secret::new("s3cret-token")]);
        sink.send(log("token is s3cret-token!"));
        sink.warn(Warning::new("x").with_detail(["s3cret-token".to_owned()]));
        let printed = serde_json::to_string(&stream.drain()).unwrap();
        assert!(printed.contains("token is ***!"));
        assert!(!printed.contains("s3cret"));
    }

    #[test]
    fn the_json_form_is_stable() {
        let event = TimedEvent {
            time: Timestamp::UNIX_EPOCH,
            image: None,
            event: BuildEvent::Step(Step {
                id: StepId::new("1"),
                name: "[1/2] FROM scratch".into(),
                state: StepState::Failed { error: "no".into() },
                started: Some(Timestamp::UNIX_EPOCH),
                completed: None,
            }),
        };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(
            json,
            r#"{"time":"1970-01-01T00:00:00Z","event":"step","data":{"id":"1","name":"[1/2] FROM scratch","state":{"is":"failed","error":"no"},"started":"1970-01-01T00:00:00Z"}}"#
        );
        assert_eq!(serde_json::from_str::<TimedEvent>(&json).unwrap(), event);
    }

    #[tokio::test]
    async fn the_stream_ends_when_every_sink_is_gone() {
        let (sink, mut stream) = EventSink::channel();
        let other = sink.clone().for_image("app");
        other.send(log("a"));
        drop((sink, other));
        assert_eq!(
            stream.next().await.and_then(|event| event.image).as_deref(),
            Some("app")
        );
        assert!(stream.next().await.is_none());
    }
}
