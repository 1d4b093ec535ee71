//! The phases of a build as steps.

use aws_sdk_codebuild::types::{Build, BuildPhase, BuildPhaseType, StatusType};
use jiff::Timestamp;
use wharf_core::event::{BuildEvent, EventSink, Step, StepId, StepState};

/// Tells each change of a phase once.
#[derive(Debug)]
pub(super) struct Phases {
    events: EventSink,
    told: Vec<Step>,
    /// The phase that the log is in, which may be another than the build is in.
    logged: Option<String>,
}

impl Phases {
    pub(super) fn new(events: EventSink) -> Self {
        Self {
            events,
            told: Vec::new(),
            logged: None,
        }
    }

    /// The id of the phase that the log is in.
    pub(super) fn current(&self) -> Option<&str> {
        self.logged.as_deref()
    }

    /// Takes in what CodeBuild says. A phase that failed is told at the end, after the log that says why.
    pub(super) fn update(&mut self, build: &Build) {
        self.tell(build, false);
    }

    /// The build has ended; so has every phase.
    pub(super) fn finish(&mut self, build: &Build) {
        self.tell(build, true);
        let open: Vec<Step> = self
            .told
            .iter()
            .filter(|step| step.state == StepState::Started)
            .cloned()
            .collect();
        for step in open {
            let ended = Step {
                state: StepState::Cancelled,
                completed: Some(Timestamp::now()),
                ..step
            };
            self.send(ended);
        }
    }

    /// Learns from the log which phase its next lines are about.
    pub(super) fn read(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("[Container] ") else {
            return;
        };
        if let Some((_, phase)) = rest.split_once("Entering phase ") {
            let id = step_id(phase.trim());
            if !self.told.iter().any(|step| step.id.0 == id) {
                self.send(step(
                    phase.trim(),
                    StepState::Started,
                    Some(Timestamp::now()),
                    None,
                ));
            }
            self.logged = Some(id);
        }
    }

    fn tell(&mut self, build: &Build, ended: bool) {
        for phase in build.phases() {
            let Some(name) = phase.phase_type() else { continue };
            // It is no work, but the sign that all work is done.
            if *name == BuildPhaseType::Completed {
                continue;
            }
            let Some(state) = state(phase, ended) else {
                continue;
            };
            let step = step(
                name.as_str(),
                state,
                time(phase.start_time()),
                time(phase.end_time()),
            );
            let known = self.told.iter().find(|known| known.id == step.id);
            if known.is_none_or(|known| known.state != step.state) {
                self.send(step);
            }
        }
    }

    fn send(&mut self, step: Step) {
        self.told.retain(|known| known.id != step.id);
        self.told.push(step.clone());
        self.events.send(BuildEvent::Step(step));
    }
}

fn step_id(phase: &str) -> String {
    format!("codebuild:{phase}")
}

fn step(phase: &str, state: StepState, started: Option<Timestamp>, completed: Option<Timestamp>) -> Step {
    let ended = !matches!(state, StepState::Started | StepState::Pending);
    Step {
        id: StepId::new(step_id(phase)),
        name: format!("[codebuild] {}", phase.to_ascii_lowercase().replace('_', " ")),
        state,
        started,
        completed: completed.filter(|_| ended),
    }
}

/// How a phase stands; none: that is told at the end.
fn state(phase: &BuildPhase, ended: bool) -> Option<StepState> {
    match phase.phase_status() {
        None | Some(StatusType::InProgress) => Some(StepState::Started),
        Some(StatusType::Succeeded) => Some(StepState::Done),
        Some(_) if !ended => None,
        Some(StatusType::Stopped) => Some(StepState::Cancelled),
        Some(other) => Some(StepState::Failed {
            error: message(phase).unwrap_or_else(|| other.as_str().to_owned()),
        }),
    }
}

/// What CodeBuild says about a phase.
pub(crate) fn message(phase: &BuildPhase) -> Option<String> {
    let texts = phase.contexts().iter().map(|context| {
        let code = context.status_code().unwrap_or_default();
        format!("{code}: {}", context.message().unwrap_or_default().trim())
    });
    let texts: Vec<String> = texts.filter(|text| text != ": ").collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn time(time: Option<&aws_sdk_codebuild::primitives::DateTime>) -> Option<Timestamp> {
    Timestamp::from_millisecond(time?.to_millis().ok()?).ok()
}
