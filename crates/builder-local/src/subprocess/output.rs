//! What a command prints, as events.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use wharf_core::event::{BuildEvent, EventSink, LogLine, Step, StepId, StepState, Stream};
use wharf_core::{Error, ErrorKind};

use super::ToolKind;
use crate::classic::ClassicEvents;
use crate::engine::message::Message;
use crate::plan::BuildPlan;

/// How many lines of standard error an error repeats.
const TAIL_LINES: usize = 20;

/// Reads what a command prints, on both streams at once.
pub(super) struct Output(Mutex<State>);

struct State {
    reader: Reader,
    events: EventSink,
    errors: VecDeque<String>,
}

/// How the lines are understood.
enum Reader {
    /// The classic builder's text, which Podman's command prints too: its steps become steps.
    Classic(ClassicEvents),
    /// Any other text: the whole command is one step.
    Whole(Step),
}

impl Output {
    /// For `docker build` or `podman build`.
    pub(super) fn of_build(tool: ToolKind, plan: &BuildPlan, events: &EventSink) -> Self {
        match tool {
            ToolKind::Buildx => Self::of_command("docker build", events),
            ToolKind::DockerClassic | ToolKind::Podman => {
                let classic = ClassicEvents::new(events.clone(), &plan.dockerfile_text());
                Self::new(Reader::Classic(classic), events)
            }
        }
    }

    /// For a command whose text is not understood.
    pub(super) fn of_command(name: &str, events: &EventSink) -> Self {
        let step = Step {
            id: StepId::new(name),
            name: name.to_owned(),
            state: StepState::Started,
            started: Some(Timestamp::now()),
            completed: None,
        };
        events.send(BuildEvent::Step(step.clone()));
        Self::new(Reader::Whole(step), events)
    }

    fn new(reader: Reader, events: &EventSink) -> Self {
        Self(Mutex::new(State {
            reader,
            events: events.clone(),
            errors: VecDeque::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line in.
    pub(super) fn line(&self, stream: Stream, line: &str) {
        let mut state = self.lock();
        if stream == Stream::Stderr {
            if state.errors.len() == TAIL_LINES {
                state.errors.pop_front();
            }
            state.errors.push_back(line.to_owned());
        }
        match &mut state.reader {
            Reader::Classic(classic) => classic.read(&Message::of_line(line)),
            Reader::Whole(step) => {
                let log = LogLine {
                    step: Some(step.id.clone()),
                    stream,
                    line: line.to_owned(),
                };
                state.events.send(BuildEvent::Log(log));
            }
        }
    }

    /// The command ended well.
    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        let events = state.events.clone();
        match &mut state.reader {
            Reader::Classic(classic) => classic.finished(),
            Reader::Whole(step) => end(step, StepState::Done, &events),
        }
    }

    /// The command ended badly; what it printed last says why.
    pub(super) fn failed(&self, status: ExitStatus) -> Error {
        let mut state = self.lock();
        let events = state.events.clone();
        let said = state
            .errors
            .iter()
            .filter(|line| !line.trim().is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join("\n");
        let message = if said.is_empty() {
            format!("the command ended with {status}")
        } else {
            said
        };
        match &mut state.reader {
            Reader::Classic(classic) => classic.failed(&message, None),
            Reader::Whole(step) => {
                end(
                    step,
                    StepState::Failed {
                        error: message.clone(),
                    },
                    &events,
                );
                crate::error::from_message(&message, ErrorKind::BuildFailed)
                    .with_context("step", step.name.clone())
            }
        }
    }
}

fn end(step: &mut Step, state: StepState, events: &EventSink) {
    step.state = state;
    step.completed = Some(Timestamp::now());
    events.send(BuildEvent::Step(step.clone()));
}
