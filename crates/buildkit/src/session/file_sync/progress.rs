//! How much of the build context was sent.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wharf_core::event::{BuildEvent, ContextProgress, EventSink};

/// Between two events about progress; more could not be seen.
const INTERVAL: Duration = Duration::from_millis(50);

/// Adds up what all transfers of one build send, and says so now and then.
#[derive(Debug)]
pub(crate) struct Meter {
    events: EventSink,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    files: u64,
    said: Option<Instant>,
}

impl Meter {
    pub(crate) fn new(events: EventSink) -> Self {
        Self {
            events,
            state: Mutex::default(),
        }
    }

    /// A piece of a file was sent.
    pub(crate) fn add_bytes(&self, bytes: usize) {
        self.update(|state| state.bytes += bytes as u64);
    }

    /// A file was sent to its end.
    pub(crate) fn add_file(&self) {
        self.update(|state| state.files += 1);
    }

    /// A transfer ended well.
    pub(crate) fn finish(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.say(&state, true);
    }

    /// Bytes and files sent so far.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.bytes, state.files)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if state.said.is_none_or(|said| said.elapsed() >= INTERVAL) {
            state.said = Some(Instant::now());
            self.say(&state, false);
        }
    }

    fn say(&self, state: &State, done: bool) {
        self.events.send(BuildEvent::Context(ContextProgress {
            bytes: state.bytes,
            total_bytes: done.then_some(state.bytes),
            files: state.files,
            done,
        }));
    }
}
