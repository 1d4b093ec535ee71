//! From Kaniko's log to events: the only place that reads it.
//!
//! Kaniko is told to log as JSON, one object a line with `level`, `msg` and `time`; every other line was printed
//! by the instruction that runs. The messages are those of `pkg/executor/build.go` and `push.go`.

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::Deserialize;
use wharf_core::event::{BuildEvent, EventSink, LogLine, Step, StepId, StepState, Stream, Warning};
use wharf_core::{Error, ErrorKind};

use crate::dockerfile::Instructions;

/// Lines that are kept for an error.
const KEPT_LINES: usize = 20;

/// Words that a message begins with when an instruction does.
const INSTRUCTIONS: [&str; 16] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
];
const WORKDIR: &str = "WORKDIR";

/// A line of Kaniko's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    level: String,
    msg: String,
    #[serde(rename = "time")]
    _time: String,
}

/// Turns Kaniko's log into events.
#[derive(Debug)]
pub(crate) struct KanikoLog {
    events: EventSink,
    instructions: Instructions,
    /// Instructions of the Dockerfile before this were found already.
    read_until: usize,
    stage: String,
    cached: BTreeSet<String>,
    steps: usize,
    current: Option<Current>,
    failure: Option<String>,
    last_lines: VecDeque<String>,
    last_warning: Option<String>,
}

/// The step that is running.
#[derive(Debug)]
struct Current {
    step: Step,
    lines: Option<(u32, u32)>,
}

impl KanikoLog {
    pub(crate) fn new(events: EventSink, dockerfile: &str) -> Self {
        Self {
            events,
            instructions: Instructions::read(dockerfile),
            read_until: 0,
            stage: "0".to_owned(),
            cached: BTreeSet::new(),
            steps: 0,
            current: None,
            failure: None,
            last_lines: VecDeque::new(),
            last_warning: None,
        }
    }

    /// Reads one line.
    pub(crate) fn line(&mut self, line: &str) {
        match serde_json::from_str::<Entry>(line) {
            Ok(entry) => self.message(&entry.level, entry.msg.trim_end()),
            Err(_) => self.printed(line.trim_end_matches('\r')),
        }
    }

    /// Something that an instruction printed, or Kaniko's last words, which are no JSON.
    fn printed(&mut self, line: &str) {
        if line.starts_with("error ") {
            self.failure = Some(line.to_owned());
        }
        self.log(Stream::Stdout, line);
    }

    fn message(&mut self, level: &str, message: &str) {
        match level {
            "warning" => return self.warning(message),
            "error" | "fatal" | "panic" => {
                self.failure = Some(message.to_owned());
                return self.log(Stream::Stderr, message);
            }
            _ => {}
        }
        if let Some(stage) = stage_of(message) {
            self.end(StepState::Done);
            self.stage = stage.to_owned();
        } else if let Some(command) = message.strip_prefix("Using caching version of cmd: ") {
            self.cached.insert(command.to_owned());
        } else if is_instruction(message) {
            return self.instruction(message);
        } else if message.starts_with("Unpacking rootfs as cmd ") {
            self.begin(format!("[{}] unpack the parent image", self.stage), None);
        } else if let Some(image) = message.strip_prefix("Pushing image to ") {
            self.begin(format!("push {image}"), None);
        }
        self.log(Stream::Stderr, message);
        if message.starts_with("Pushed ") {
            self.end(StepState::Done);
        }
    }

    fn instruction(&mut self, text: &str) {
        let found = self.instructions.find(text, self.read_until);
        let found = found.map(|(place, found)| (place, (found.first_line, found.last_line)));
        if let Some((place, _)) = found {
            self.read_until = place + 1;
        }
        self.begin(format!("[{}] {text}", self.stage), found.map(|(_, lines)| lines));
        if self.cached.contains(text) {
            self.end(StepState::Cached);
        }
    }

    fn warning(&mut self, message: &str) {
        if self.last_warning.as_deref() != Some(message) {
            self.events.warn(Warning::new(message));
            self.last_warning = Some(message.to_owned());
        }
    }

    fn log(&mut self, stream: Stream, line: &str) {
        if self.last_lines.len() == KEPT_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.to_owned());
        self.events.send(BuildEvent::Log(LogLine {
            step: self.current.as_ref().map(|current| current.step.id.clone()),
            stream,
            line: line.to_owned(),
        }));
    }

    fn begin(&mut self, name: String, lines: Option<(u32, u32)>) {
        self.end(StepState::Done);
        self.steps += 1;
        let step = Step {
            id: StepId::new(format!("kaniko {}", self.steps)),
            name,
            state: StepState::Started,
            started: Some(Timestamp::now()),
            completed: None,
        };
        self.events.send(BuildEvent::Step(step.clone()));
        self.current = Some(Current { step, lines });
    }

    /// Ends the step that is running, if one is.
    pub(crate) fn end(&mut self, state: StepState) {
        if let Some(Current { mut step, .. }) = self.current.take() {
            step.completed = Some(Timestamp::now());
            step.state = state;
            self.events.send(BuildEvent::Step(step));
        }
    }

    /// The error of an executor that ended with this code, from what it said. Ends the step that was running.
    pub(crate) fn failed(&mut self, exit_code: i32, last_words: &str) -> Error {
        let said = self
            .failure
            .clone()
            .or_else(|| last_line(last_words))
            .unwrap_or_default();
        let (step, lines) = match &self.current {
            Some(current) => (Some(current.step.name.clone()), current.lines),
            None => (None, None),
        };
        let reason = if said.is_empty() {
            format!("exit code {exit_code}")
        } else {
            said
        };
        self.end(StepState::Failed {
            error: reason.clone(),
        });
        let kind = kind_of(&reason);
        let mut error = Error::new(kind, reason);
        if let (ErrorKind::BuildFailed, Some(step)) = (kind, step) {
            error = error.with_context("step", step);
            if let Some((first, last)) = lines {
                error = error
                    .with_context("dockerfile_line", first.to_string())
                    .with_context("dockerfile_end_line", last.to_string());
            }
        }
        match hint_of(&error) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// The last lines of the log, for an error that the log does not explain.
    pub(crate) fn tail(&self) -> String {
        let lines: Vec<&str> = self.last_lines.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}

impl Drop for KanikoLog {
    /// A step that runs when the build is given up was cancelled.
    fn drop(&mut self) {
        self.end(StepState::Cancelled);
    }
}

fn last_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.to_owned())
}

/// `Building stage 'python:3.12' [idx: '0', base-idx: '-1']`.
fn stage_of(message: &str) -> Option<&str> {
    let (_, rest) = message.strip_prefix("Building stage ")?.split_once("[idx: '")?;
    rest.split_once('\'').map(|(index, _)| index)
}

fn is_instruction(message: &str) -> bool {
    message
        .split_once(' ')
        .is_some_and(|(word, _)| word == WORKDIR || INSTRUCTIONS.contains(&word))
}

/// What Kaniko's last line means.
fn kind_of(reason: &str) -> ErrorKind {
    let says = |words: &[&str]| words.iter().any(|words| reason.contains(words));
    let pushing = says(&["error pushing image", "checking push permission"]);
    if says(&["no space left on device"]) {
        ErrorKind::ResourceExhausted
    } else if says(&["is not a valid target build stage"]) {
        ErrorKind::InvalidInput
    } else if pushing && says(&["UNAUTHORIZED", "401"]) {
        ErrorKind::Unauthenticated
    } else if pushing && says(&["DENIED", "403"]) {
        ErrorKind::PermissionDenied
    } else if pushing {
        ErrorKind::PushFailed
    } else {
        ErrorKind::BuildFailed
    }
}

fn hint_of(error: &Error) -> Option<&'static str> {
    let says = |words: &str| error.message().contains(words);
    match error.kind() {
        ErrorKind::ResourceExhausted => {
            Some("The node's disk is full: ask for `ephemeral-storage` in `resources.requests`.")
        }
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => Some(
            "Kaniko pushes with the registry's own credentials, or what is mounted at /kaniko/.docker; \
             docs/builders/kaniko.md shows how to push to each kind of registry.",
        ),
        ErrorKind::BuildFailed if says("exit status 137") || says("signal: killed") => {
            Some("The step was killed, most likely because memory ran out: raise the memory in `resources`.")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use wharf_core::event::EventStream;

    use super::*;

    const DOCKERFILE: &str = "FROM busybox\nRUN echo a\nRUN echo a\nRUN false\n";

    fn log() -> (KanikoLog, EventStream) {
        let (sink, stream) = EventSink::channel();
        (KanikoLog::new(sink, DOCKERFILE), stream)
    }

    fn info(log: &mut KanikoLog, message: &str) {
        let message = serde_json::to_string(message).unwrap();
        log.line(&format!(
            r#"{{"level":"info","msg":{message},"time":"2026-01-01T00:00:00Z"}}"#
        ));
    }

    fn steps(stream: &mut EventStream) -> Vec<(String, StepState)> {
        let events = stream.drain().into_iter();
        let steps = events.filter_map(|event| match event.event {
            BuildEvent::Step(step) => Some((step.name, step.state)),
            _ => None,
        });
        steps.collect()
    }

    #[test]
    fn instructions_become_steps_and_what_they_print_belongs_to_them() {
        let (mut log, mut stream) = log();
        info(&mut log, "Building stage 'busybox' [idx: '0', base-idx: '-1']");
        info(&mut log, "Using caching version of cmd: RUN echo a");
        info(&mut log, "RUN echo a");
        info(&mut log, "RUN echo b");
        log.line("b");
        log.end(StepState::Done);
        let lines: Vec<_> = stream.drain();
        let printed = lines.iter().find_map(|event| match &event.event {
            BuildEvent::Log(line) if line.line == "b" => line.step.clone(),
            _ => None,
        });
        assert_eq!(printed, Some(StepId::new("kaniko 2")));
        let states: Vec<_> = lines
            .into_iter()
            .filter_map(|event| match event.event {
                BuildEvent::Step(step) => Some((step.name, step.state)),
                _ => None,
            })
            .collect();
        let expected = [
            ("[0] RUN echo a".to_owned(), StepState::Started),
            ("[0] RUN echo a".to_owned(), StepState::Cached),
            ("[0] RUN echo b".to_owned(), StepState::Started),
            ("[0] RUN echo b".to_owned(), StepState::Done),
        ];
        assert_eq!(states, expected);
    }

    #[test]
    fn the_failed_step_is_named_with_its_line_even_if_another_has_the_same_text() {
        let (mut log, mut stream) = log();
        info(&mut log, "RUN echo a");
        info(&mut log, "RUN echo a");
        log.line("error building image: error building stage: failed to execute command: exit status 7");
        let error = log.failed(1, "");
        assert_eq!(error.kind(), ErrorKind::BuildFailed);
        assert!(error.message().contains("exit status 7"));
        let facts: Vec<_> = error.context().collect();
        assert!(
            facts.contains(&("step", "[0] RUN echo a")) && facts.contains(&("dockerfile_line", "3")),
            "{facts:?}"
        );
        assert!(matches!(
            steps(&mut stream).last(),
            Some((_, StepState::Failed { .. }))
        ));
    }

    #[test]
    fn pushes_are_steps_and_their_failures_are_no_failed_builds() {
        let (mut log, mut stream) = log();
        info(&mut log, "Pushing image to r.example/app:1");
        info(&mut log, "Pushed r.example/app@sha256:00");
        assert_eq!(
            steps(&mut stream).last().unwrap(),
            &("push r.example/app:1".to_owned(), StepState::Done)
        );
        for (line, kind) in [
            (
                "error pushing image: failed to push: UNAUTHORIZED: authentication required",
                ErrorKind::Unauthenticated,
            ),
            (
                "error checking push permissions: DENIED: no",
                ErrorKind::PermissionDenied,
            ),
            ("error pushing image: connection reset", ErrorKind::PushFailed),
            (
                "error building image: write /x: no space left on device",
                ErrorKind::ResourceExhausted,
            ),
        ] {
            log.line(line);
            assert_eq!(log.failed(1, "").kind(), kind, "{line}");
        }
    }

    #[test]
    fn an_executor_that_says_nothing_is_known_by_its_code_or_last_words() {
        assert_eq!(log().0.failed(3, "").message(), "exit code 3");
        assert_eq!(
            log().0.failed(3, "flag provided\nunknown flag: --x\n").message(),
            "unknown flag: --x"
        );
    }
}
