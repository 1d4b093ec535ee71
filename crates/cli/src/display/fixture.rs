//! Events for the tests of the displays, at given milliseconds.

use jiff::Timestamp;
use wharf_core::event::{
    BuildEvent, ContextProgress, LogLine, Progress, Step, StepId, StepState, Stream, TimedEvent,
};

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap()
}

pub(crate) fn event(millis: i64, event: BuildEvent) -> TimedEvent {
    TimedEvent {
        time: at(millis),
        image: None,
        event,
    }
}

pub(crate) fn step(millis: i64, id: &str, name: &str, state: StepState) -> TimedEvent {
    event(
        millis,
        BuildEvent::Step(Step {
            id: StepId::new(id),
            name: name.into(),
            state,
            started: None,
            completed: None,
        }),
    )
}

pub(crate) fn log(millis: i64, step: Option<&str>, line: &str) -> TimedEvent {
    event(
        millis,
        BuildEvent::Log(LogLine {
            step: step.map(StepId::new),
            stream: Stream::Stdout,
            line: line.into(),
        }),
    )
}

pub(crate) fn counter(millis: i64, step: &str, id: &str, current: u64, total: Option<u64>) -> TimedEvent {
    event(
        millis,
        BuildEvent::Progress(Progress {
            step: Some(StepId::new(step)),
            id: id.into(),
            action: "Pushing".into(),
            current,
            total,
            done: total == Some(current),
        }),
    )
}

pub(crate) fn context(millis: i64, bytes: u64, done: bool) -> TimedEvent {
    event(
        millis,
        BuildEvent::Context(ContextProgress {
            bytes,
            total_bytes: None,
            files: 3,
            done,
        }),
    )
}
