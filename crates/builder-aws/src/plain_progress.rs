//! BuildKit's plain progress, as `docker build` prints it where no terminal is, as events.
//!
//! ```text
//! #5 [2/3] RUN make
//! #5 0.312 a line of output
//! #5 DONE 0.4s          or CACHED, CANCELED, ERROR: why
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharf_core::event::{BuildEvent, EventSink, LogLine, Step, StepId, StepState, Stream};

/// The step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedStep {
    pub(crate) name: String,
    pub(crate) error: String,
}

/// Reads lines, and tells the steps.
#[derive(Debug)]
pub(crate) struct PlainProgress {
    events: EventSink,
    steps: BTreeMap<u32, Step>,
    failed: Option<FailedStep>,
}

/// What a line says about a step.
#[derive(Debug, PartialEq, Eq)]
enum Word<'a> {
    /// The step begins, or goes on after another one was printed.
    Name(&'a str),
    Cached,
    Done,
    Cancelled,
    Failed(&'a str),
    Output(&'a str),
    /// A counter, or the sign that another step's lines follow.
    Status(&'a str),
}

impl PlainProgress {
    pub(crate) fn new(events: EventSink) -> Self {
        Self {
            events,
            steps: BTreeMap::new(),
            failed: None,
        }
    }

    /// Reads a line; gives false for one that is not about a step.
    pub(crate) fn read(&mut self, line: &str) -> bool {
        let Some((number, text)) = numbered(line) else {
            return false;
        };
        let known = self.steps.get(&number).map(|step| step.name.clone());
        match word(text, known.is_some()) {
            Word::Name(name) if known.is_none() => self.begin(number, name),
            Word::Name(_) => {}
            Word::Cached => self.change(number, StepState::Cached),
            Word::Done => self.change(number, StepState::Done),
            Word::Cancelled => self.change(number, StepState::Cancelled),
            Word::Failed(error) => {
                self.change(
                    number,
                    StepState::Failed {
                        error: error.to_owned(),
                    },
                );
                let name = known.unwrap_or_default();
                self.failed.get_or_insert(FailedStep {
                    name,
                    error: error.to_owned(),
                });
            }
            Word::Output(text) => self.log(number, text),
            Word::Status("...") => {}
            Word::Status(text) => self.log(number, text),
        }
        true
    }

    /// The first step that failed.
    pub(crate) fn failed_step(&self) -> Option<FailedStep> {
        self.failed.clone()
    }

    /// Nothing more comes: what was not said to have ended was cut off.
    pub(crate) fn finish(&mut self) {
        let open = self
            .steps
            .iter()
            .filter(|(_, step)| step.state == StepState::Started);
        let open: Vec<u32> = open.map(|(number, _)| *number).collect();
        open.into_iter()
            .for_each(|number| self.change(number, StepState::Cancelled));
    }

    fn begin(&mut self, number: u32, name: &str) {
        let step = Step {
            id: StepId::new(format!("buildkit:{number}")),
            name: name.to_owned(),
            state: StepState::Started,
            started: Some(Timestamp::now()),
            completed: None,
        };
        self.events.send(BuildEvent::Step(step.clone()));
        self.steps.insert(number, step);
    }

    fn change(&mut self, number: u32, state: StepState) {
        let Some(step) = self.steps.get_mut(&number) else {
            return;
        };
        if step.state == StepState::Started {
            step.state = state;
            step.completed = Some(Timestamp::now());
            self.events.send(BuildEvent::Step(step.clone()));
        }
    }

    fn log(&self, number: u32, text: &str) {
        self.events.send(BuildEvent::Log(LogLine {
            step: self.steps.get(&number).map(|step| step.id.clone()),
            stream: Stream::Stdout,
            line: text.to_owned(),
        }));
    }
}

/// `#5 text`
fn numbered(line: &str) -> Option<(u32, &str)> {
    let (number, text) = line.strip_prefix('#')?.split_once(' ')?;
    Some((number.parse().ok()?, text))
}

fn word(text: &str, known: bool) -> Word<'_> {
    if !known {
        return Word::Name(text);
    }
    if let Some(error) = text
        .strip_prefix("ERROR: ")
        .or_else(|| text.strip_prefix("ERROR "))
    {
        return Word::Failed(error);
    }
    match text {
        "CACHED" => return Word::Cached,
        "CANCELED" => return Word::Cancelled,
        _ if text == "DONE" || is_done(text) => return Word::Done,
        _ => {}
    }
    let is_time = |word: &str| word.contains('.') && word.parse::<f64>().is_ok();
    match text.split_once(' ') {
        Some((time, output)) if is_time(time) => Word::Output(output),
        None if is_time(text) => Word::Output(""),
        _ if text.starts_with('[') => Word::Name(text),
        _ => Word::Status(text),
    }
}

/// `DONE 0.4s`
fn is_done(text: &str) -> bool {
    let seconds = text.strip_prefix("DONE ").and_then(|rest| rest.strip_suffix('s'));
    seconds.is_some_and(|seconds| seconds.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 80B done
#1 DONE 0.0s
#2 [1/3] FROM docker.io/library/python
#2 CACHED
#3 [2/3] RUN echo one
#3 0.212 one
#3 0.213 
#3 ...

#4 [other 1/1] RUN x
#4 0.1 #9 not a step
#3 [2/3] RUN echo one
#3 0.300 2.5 apples
#3 ERROR: process did not complete successfully: exit code: 7
#4 CANCELED
";

    fn read(text: &str) -> (Vec<BuildEvent>, Option<FailedStep>) {
        let (sink, mut stream) = EventSink::channel();
        let mut progress = PlainProgress::new(sink);
        let others: Vec<&str> = text.lines().filter(|line| !progress.read(line)).collect();
        assert!(others.iter().all(|line| line.is_empty()), "{others:?}");
        progress.finish();
        let events = stream.drain().into_iter().map(|event| event.event).collect();
        (events, progress.failed_step())
    }

    #[test]
    fn steps_begin_and_end_and_own_their_output() {
        let (events, failed) = read(TEXT);
        let states: Vec<(String, StepState)> = events
            .iter()
            .filter_map(|event| match event {
                BuildEvent::Step(step) => Some((step.id.0.clone(), step.state.clone())),
                _ => None,
            })
            .collect();
        let of = |number: u32| {
            let id = format!("buildkit:{number}");
            states
                .iter()
                .filter(|(found, _)| *found == id)
                .map(|(_, state)| state.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(1), [StepState::Started, StepState::Done]);
        assert_eq!(of(2), [StepState::Started, StepState::Cached]);
        assert_eq!(of(4), [StepState::Started, StepState::Cancelled]);
        assert!(matches!(of(3)[1], StepState::Failed { .. }));
        let lines: Vec<&str> = events
            .iter()
            .filter_map(|event| match event {
                BuildEvent::Log(log) if log.step == Some(StepId::new("buildkit:3")) => {
                    Some(log.line.as_str())
                }
                _ => None,
            })
            .collect();
        assert_eq!(lines, ["one", "", "2.5 apples"]);
        let failed = failed.unwrap();
        assert_eq!(failed.name, "[2/3] RUN echo one");
        assert!(failed.error.ends_with("exit code: 7"));
    }

    #[test]
    fn what_was_cut_off_is_ended() {
        let (events, failed) = read("#1 [1/1] RUN x\n#1 0.1 y\n");
        assert!(matches!(events.last(), Some(BuildEvent::Step(step)) if step.state == StepState::Cancelled));
        assert_eq!(failed, None);
    }

    #[test]
    fn other_lines_are_left_to_others() {
        let mut progress = PlainProgress::new(EventSink::discard());
        for line in [
            "[Container] Entering phase BUILD",
            "# comment",
            "#x y",
            "------",
            "",
        ] {
            assert!(!progress.read(line), "{line}");
        }
    }
}
