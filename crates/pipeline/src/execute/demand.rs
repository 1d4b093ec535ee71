//! Whether an image that others are built on is wanted at all: it is not, when all of them are found.

use tokio::sync::watch;

/// What is known about those who might want an image.
#[derive(Debug)]
pub(super) struct Demand(watch::Sender<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    undecided: usize,
    is_wanted: bool,
}

impl Demand {
    /// The demand of this many images.
    pub(super) fn of(images: usize) -> Self {
        let state = State {
            undecided: images,
            is_wanted: false,
        };
        Self(watch::Sender::new(state))
    }

    /// One of them says whether it wants the image.
    pub(super) fn decide(&self, is_wanted: bool) {
        self.0.send_modify(|state| {
            state.undecided = state.undecided.saturating_sub(1);
            state.is_wanted |= is_wanted;
        });
    }

    /// Waits until one wants it, or none does.
    pub(super) async fn is_wanted(&self) -> bool {
        let mut state = self.0.subscribe();
        let decided = state.wait_for(|state| state.is_wanted || state.undecided == 0);
        // The sender is `self`.
        decided.await.is_ok_and(|state| state.is_wanted)
    }
}
