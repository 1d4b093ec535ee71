//! What the events so far add up to: one model that every display draws from.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use wharf_core::event::{
    BuildEvent, ContextProgress, LogLine, Progress, Queued, Step, StepId, StepState, TimedEvent,
};

use super::text::sanitize;

/// How many lines of a step's output are kept, for the live view and for the summary of a failure.
pub const TAIL: usize = 20;

/// What an event changed, apart from what the event itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that must be shown again: a repeated state.
    None,
    /// A step began.
    Began(usize),
    /// A step ended, perhaps without ever having begun: it was cached.
    Ended(usize),
    /// A line of output: of this step, or of the builder itself.
    Log(Option<usize>),
    /// The counter at the second index moved; it belongs to this step or to the build as a whole.
    Counter(Option<usize>, usize),
    /// The context at this index moved.
    Context(usize),
    /// The event speaks for itself.
    Event,
}

/// A line of output with its time since the step began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailLine {
    /// Time since the step began.
    pub at: Duration,
    /// The line, sanitized.
    pub text: String,
}

/// A step as it stands.
#[derive(Debug, Clone)]
pub struct StepView {
    /// The image it is for, where several are built at once.
    pub image: Option<String>,
    /// The id the builder gave it.
    pub id: StepId,
    /// What it does, sanitized.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// When wharf saw it begin.
    pub seen: Option<Timestamp>,
    /// How long it took by the builder's clock, once it ended.
    pub took: Option<Duration>,
    /// The last lines of output.
    pub tail: VecDeque<TailLine>,
    /// The counters inside it.
    pub counters: Vec<Progress>,
    end_shown: bool,
}

/// How much of one image's context was sent.
#[derive(Debug, Clone)]
pub struct ContextView {
    /// The image, where several are built at once.
    pub image: Option<String>,
    /// The newest word.
    pub progress: ContextProgress,
}

/// Everything known about the builds of one stream.
#[derive(Debug, Default)]
pub struct Model {
    /// Every step, in the order in which they became known.
    pub steps: Vec<StepView>,
    /// Counters that belong to no step.
    pub counters: Vec<Progress>,
    /// What is sent, for each image.
    pub contexts: Vec<ContextView>,
    /// What was accepted, in order.
    pub queued: Vec<Queued>,
    /// When the first event was seen.
    pub begun: Option<Timestamp>,
    index: HashMap<(Option<String>, StepId), usize>,
}

impl StepView {
    fn new(image: Option<String>, id: StepId) -> Self {
        Self {
            image,
            name: sanitize(&id.0),
            id,
            state: StepState::Pending,
            seen: None,
            took: None,
            tail: VecDeque::new(),
            counters: Vec::new(),
            end_shown: false,
        }
    }

    /// Whether it runs now.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == StepState::Started
    }

    /// Whether it is over, one way or the other.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !matches!(self.state, StepState::Pending | StepState::Started)
    }

    /// Time since it began, by wharf's own clock: the builder's may be wrong.
    #[must_use]
    pub fn elapsed(&self, now: Timestamp) -> Duration {
        since(self.seen, now)
    }

    /// The name, behind that of the image where several are built at once.
    #[must_use]
    pub fn title(&self) -> String {
        prefixed(self.image.as_deref(), &self.name)
    }
}

/// A text behind the name of the image it is about.
#[must_use]
pub fn prefixed(image: Option<&str>, text: &str) -> String {
    match image {
        Some(image) => format!("{}: {text}", sanitize(image)),
        None => text.to_owned(),
    }
}

/// The time between two moments, zero where the clock went back.
#[must_use]
pub fn since(start: Option<Timestamp>, now: Timestamp) -> Duration {
    start
        .and_then(|start| Duration::try_from(now.duration_since(start)).ok())
        .unwrap_or_default()
}

impl Model {
    /// Takes an event in and says what it changed.
    pub fn apply(&mut self, event: &TimedEvent) -> Change {
        self.begun.get_or_insert(event.time);
        let image = event.image.as_deref();
        match &event.event {
            BuildEvent::Queued(queued) => {
                self.queued.push(queued.clone());
                Change::Event
            }
            BuildEvent::Step(step) => self.step(image, step, event.time),
            BuildEvent::Log(log) => self.log(image, log, event.time),
            BuildEvent::Progress(progress) => self.progress(image, progress),
            BuildEvent::Context(progress) => self.context(image, progress),
            _ => Change::Event,
        }
    }

    /// Time since the first event.
    #[must_use]
    pub fn elapsed(&self, now: Timestamp) -> Duration {
        since(self.begun, now)
    }

    /// The step with this id, or else the one that failed last; of this image, if there are steps of it.
    #[must_use]
    pub fn failed_step(&self, image: Option<&str>, id: Option<&str>) -> Option<&StepView> {
        let image = image.filter(|image| {
            self.steps
                .iter()
                .any(|step| step.image.as_deref() == Some(*image))
        });
        let of_image = |step: &&StepView| image.is_none() || step.image.as_deref() == image;
        let named = |id| {
            self.steps
                .iter()
                .rev()
                .filter(of_image)
                .find(|step| step.id.0 == id)
        };
        id.and_then(named).or_else(|| {
            let failed = |step: &&StepView| matches!(step.state, StepState::Failed { .. });
            self.steps.iter().rev().filter(of_image).find(failed)
        })
    }

    /// For each image, where several were built at once, the step that failed last.
    #[must_use]
    pub fn failed_steps(&self) -> Vec<&StepView> {
        let mut images: Vec<Option<&str>> = Vec::new();
        for step in &self.steps {
            let image = step.image.as_deref();
            if image.is_some() && !images.contains(&image) {
                images.push(image);
            }
        }
        let failed = |image| {
            self.failed_step(image, None)
                .filter(|step| step.image.as_deref() == image)
        };
        images.into_iter().filter_map(failed).collect()
    }

    fn entry(&mut self, image: Option<&str>, id: &StepId) -> usize {
        let key = (image.map(str::to_owned), id.clone());
        *self.index.entry(key).or_insert_with_key(|(image, id)| {
            self.steps.push(StepView::new(image.clone(), id.clone()));
            self.steps.len() - 1
        })
    }

    fn step(&mut self, image: Option<&str>, step: &Step, time: Timestamp) -> Change {
        let at = self.entry(image, &step.id);
        let view = &mut self.steps[at];
        view.name = sanitize(&step.name);
        let before = std::mem::replace(&mut view.state, step.state.clone());
        if view.is_running() {
            view.seen.get_or_insert(time);
        }
        if view.is_over() {
            let by_builder = step.completed.map(|end| since(step.started, end));
            view.took = by_builder.or(Some(since(view.seen, time)));
            return view.ended(at, &before);
        }
        let began = view.is_running() && before == StepState::Pending;
        if began { Change::Began(at) } else { Change::None }
    }

    fn log(&mut self, image: Option<&str>, log: &LogLine, time: Timestamp) -> Change {
        let Some(id) = &log.step else {
            return Change::Log(None);
        };
        let at = self.entry(image, id);
        let view = &mut self.steps[at];
        if view.tail.len() == TAIL {
            view.tail.pop_front();
        }
        view.tail.push_back(TailLine {
            at: view.elapsed(time),
            text: sanitize(&log.line),
        });
        Change::Log(Some(at))
    }

    fn progress(&mut self, image: Option<&str>, progress: &Progress) -> Change {
        let step = progress.step.as_ref().map(|id| self.entry(image, id));
        let counters = match step {
            Some(at) => &mut self.steps[at].counters,
            None => &mut self.counters,
        };
        let mut progress = progress.clone();
        progress.id = prefixed(image.filter(|_| step.is_none()), &sanitize(&progress.id));
        progress.action = sanitize(&progress.action);
        let at = counters.iter().position(|known| known.id == progress.id);
        let at = at.unwrap_or(counters.len());
        if at == counters.len() {
            counters.push(progress);
        } else if counters[at] == progress {
            return Change::None;
        } else {
            counters[at] = progress;
        }
        Change::Counter(step, at)
    }

    fn context(&mut self, image: Option<&str>, progress: &ContextProgress) -> Change {
        let known = self
            .contexts
            .iter()
            .position(|view| view.image.as_deref() == image);
        let at = known.unwrap_or(self.contexts.len());
        if known.is_none() {
            self.contexts.push(ContextView {
                image: image.map(str::to_owned),
                progress: progress.clone(),
            });
        } else if self.contexts[at].progress == *progress {
            return Change::None;
        } else {
            self.contexts[at].progress = progress.clone();
        }
        Change::Context(at)
    }
}

impl StepView {
    /// An end is shown once, unless it turned out to be a worse one: builders may run a step in parts, and
    /// call it done after each.
    fn ended(&mut self, at: usize, before: &StepState) -> Change {
        let worse = matches!(self.state, StepState::Failed { .. }) && *before != self.state;
        let first = !std::mem::replace(&mut self.end_shown, true);
        if first || worse {
            Change::Ended(at)
        } else {
            Change::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, log, step};
    use super::*;

    #[test]
    fn a_repeated_state_changes_nothing() {
        let mut model = Model::default();
        assert_eq!(model.apply(&step(0, "1", "a", StepState::Pending)), Change::None);
        assert_eq!(
            model.apply(&step(10, "1", "a", StepState::Started)),
            Change::Began(0)
        );
        assert_eq!(model.apply(&step(20, "1", "a", StepState::Started)), Change::None);
        assert_eq!(
            model.apply(&step(30, "1", "a", StepState::Done)),
            Change::Ended(0)
        );
        assert_eq!(model.apply(&step(40, "1", "a", StepState::Done)), Change::None);
        assert_eq!(model.apply(&step(50, "1", "a", StepState::Started)), Change::None);
        assert_eq!(model.apply(&step(60, "1", "a", StepState::Done)), Change::None);
        let failed = StepState::Failed { error: "no".into() };
        assert_eq!(model.apply(&step(70, "1", "a", failed)), Change::Ended(0));
    }

    #[test]
    fn only_the_last_lines_are_kept_with_their_time() {
        let mut model = Model::default();
        model.apply(&step(1000, "1", "a", StepState::Started));
        for n in 0..30 {
            model.apply(&log(1000 + n, Some("1"), &format!("line {n}\x1b[2J")));
        }
        let tail = &model.steps[0].tail;
        assert_eq!(tail.len(), TAIL);
        assert_eq!(
            tail.front(),
            Some(&TailLine {
                at: Duration::from_millis(10),
                text: "line 10".into()
            })
        );
    }

    #[test]
    fn the_same_id_in_two_images_is_two_steps() {
        let mut model = Model::default();
        for image in ["train", "serve"] {
            let mut event = step(0, "1", "a", StepState::Started);
            event.image = Some(image.into());
            model.apply(&event);
        }
        assert_eq!(model.steps.len(), 2);
        assert_eq!(model.steps[1].title(), "serve: a");
    }

    #[test]
    fn the_failed_step_is_the_named_one_or_the_last_that_failed() {
        let mut model = Model::default();
        let failed = || StepState::Failed { error: "no".into() };
        model.apply(&step(0, "1", "a", failed()));
        model.apply(&step(0, "2", "b", failed()));
        model.apply(&step(0, "3", "c", StepState::Done));
        assert_eq!(
            model.failed_step(None, Some("1")).map(|s| s.name.as_str()),
            Some("a")
        );
        assert_eq!(
            model.failed_step(None, Some("gone")).map(|s| s.name.as_str()),
            Some("b")
        );
        assert_eq!(model.failed_step(None, None).map(|s| s.name.as_str()), Some("b"));
    }

    #[test]
    fn every_image_has_a_failed_step_of_its_own() {
        let mut model = Model::default();
        let failed = || StepState::Failed { error: "no".into() };
        for (image, name, state) in [
            ("a", "1", failed()),
            ("b", "2", failed()),
            ("c", "3", StepState::Done),
        ] {
            let mut event = step(0, "s", name, state);
            event.image = Some(image.into());
            model.apply(&event);
        }
        let titles: Vec<String> = model.failed_steps().iter().map(|step| step.title()).collect();
        assert_eq!(titles, ["a: 1", "b: 2"]);
        let of = |image| model.failed_step(Some(image), Some("gone")).map(StepView::title);
        assert_eq!(of("a").as_deref(), Some("a: 1"));
        assert_eq!(of("c"), None);
    }

    #[test]
    fn a_builder_whose_clock_is_wrong_does_not_spoil_the_elapsed_time() {
        let mut model = Model::default();
        let mut event = step(5000, "1", "a", StepState::Started);
        if let BuildEvent::Step(step) = &mut event.event {
            step.started = Some(at(900_000_000));
        }
        model.apply(&event);
        assert_eq!(model.steps[0].elapsed(at(7000)), Duration::from_secs(2));
    }
}
