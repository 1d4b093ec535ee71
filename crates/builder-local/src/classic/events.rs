//! From the classic builder's text to events: the only place that reads it.

use std::ops::Range;

use jiff::Timestamp;
use wharf_core::event::{BuildEvent, EventSink, LogLine, Step, StepId, StepState, Stream};
use wharf_core::{Error, ErrorKind};

use crate::engine::message::Message;

/// What the engines say of a stage that does not exist: all words of a row.
const UNKNOWN_STAGE: [&[&str]; 3] = [
    &["failed to reach build target"],
    &["the target", "was not found"],
    &["stage", "could not be found"],
];

/// Turns the messages of a classic build into events.
pub(crate) struct ClassicEvents {
    events: EventSink,
    dockerfile: Vec<String>,
    /// The line of the Dockerfile behind the last step that was found there, from 0.
    read_until: usize,
    step: Option<Current>,
    unfinished_line: String,
    last_image: Option<String>,
}

/// The step that is running.
struct Current {
    step: Step,
    place: Option<Range<usize>>,
}

/// A line that begins a step: `Step 1/5 : FROM x` (Docker), `[1/2] STEP 1/5: FROM x` (Podman).
#[derive(Debug, PartialEq, Eq)]
struct StepLine<'a> {
    stage: Option<&'a str>,
    number: &'a str,
    instruction: &'a str,
}

fn step_line(line: &str) -> Option<StepLine<'_>> {
    let (stage, rest) = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((stage, rest)) => (Some(stage), rest),
        None => (None, line),
    };
    let rest = rest
        .strip_prefix("Step ")
        .or_else(|| rest.strip_prefix("STEP "))?;
    let (number, instruction) = rest.split_once(" : ").or_else(|| rest.split_once(": "))?;
    let well_formed = number
        .split_once('/')
        .is_some_and(|(a, b)| a.parse::<u32>().is_ok() && b.parse::<u32>().is_ok());
    well_formed.then_some(StepLine {
        stage,
        number,
        instruction,
    })
}

/// A line that says the step's result was in the cache.
fn is_cache_line(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("---> Using cache") || line.starts_with("--> Using cache")
}

impl ClassicEvents {
    pub(crate) fn new(events: EventSink, dockerfile: &str) -> Self {
        let dockerfile = dockerfile.lines().map(str::to_owned).collect();
        Self {
            events,
            dockerfile,
            read_until: 0,
            step: None,
            unfinished_line: String::new(),
            last_image: None,
        }
    }

    /// Reads one message.
    pub(crate) fn read(&mut self, message: &Message) {
        if let Some(text) = &message.stream {
            self.unfinished_line.push_str(text);
            while let Some(end) = self.unfinished_line.find('\n') {
                let line: String = self.unfinished_line.drain(..=end).collect();
                self.line(line.trim_end_matches(['\n', '\r']));
            }
        }
        let step = self.step.as_ref().map(|current| current.step.id.clone());
        if let Some(progress) = step.and_then(|step| message.progress(&step)) {
            self.events.send(BuildEvent::Progress(progress));
        } else if let Some(status) = &message.status {
            self.log(status);
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(begin) = step_line(line) {
            self.end(StepState::Done);
            self.begin(&begin);
        } else if is_cache_line(line) {
            self.end_state(StepState::Cached);
        } else if !line.trim().is_empty() {
            self.note_image(line);
            self.log(line);
        }
    }

    fn begin(&mut self, line: &StepLine<'_>) {
        let stage = line.stage.map(|stage| format!("{stage} ")).unwrap_or_default();
        let step = Step {
            id: StepId::new(format!("{stage}{}", line.number)),
            name: format!("[{stage}{}] {}", line.number, line.instruction),
            state: StepState::Started,
            started: Some(Timestamp::now()),
            completed: None,
        };
        self.events.send(BuildEvent::Step(step.clone()));
        let place = self.find(line.instruction);
        self.step = Some(Current { step, place });
    }

    /// Where an instruction stands in the Dockerfile, looked for behind the previous one.
    fn find(&mut self, instruction: &str) -> Option<Range<usize>> {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = squeezed(instruction);
        let first = self.read_until;
        for start in first..self.dockerfile.len() {
            let end = self.logical_end(start);
            let lines: Vec<&str> = self.dockerfile[start..end]
                .iter()
                .map(|line| line.trim_end().trim_end_matches('\\'))
                .collect();
            let found = squeezed(&lines.join(" "));
            if !wanted.is_empty() && found.eq_ignore_ascii_case(&wanted) {
                self.read_until = end;
                return Some(start..end);
            }
        }
        None
    }

    /// The line behind an instruction that begins at `start`: a backslash at its end continues a line.
    fn logical_end(&self, start: usize) -> usize {
        let continued = |line: &String| line.trim_end().ends_with('\\');
        let more = self.dockerfile[start..]
            .iter()
            .take_while(|line| continued(line))
            .count();
        (start + more + 1).min(self.dockerfile.len())
    }

    fn end_state(&mut self, state: StepState) {
        if let Some(current) = &mut self.step {
            current.step.state = state;
            current.step.completed = Some(Timestamp::now());
            self.events.send(BuildEvent::Step(current.step.clone()));
        }
    }

    fn end(&mut self, state: StepState) {
        if self
            .step
            .as_ref()
            .is_some_and(|current| current.step.state == StepState::Started)
        {
            self.end_state(state);
        }
    }

    fn log(&self, line: &str) {
        let step = self.step.as_ref().map(|current| current.step.id.clone());
        self.events.send(BuildEvent::Log(LogLine {
            step,
            stream: Stream::Stdout,
            line: line.to_owned(),
        }));
    }

    fn note_image(&mut self, line: &str) {
        if let Some(id) = line.trim().strip_prefix("Successfully built ") {
            self.last_image = Some(id.to_owned());
        }
    }

    /// The image's id as the text tells it.
    pub(crate) fn image_id(&self) -> Option<String> {
        self.last_image.clone()
    }

    /// The build ended well.
    pub(crate) fn finished(&mut self) {
        self.end(StepState::Done);
    }

    /// The build ended badly.
    pub(crate) fn failed(&mut self, message: &str, code: Option<i64>) -> Error {
        self.end(StepState::Failed {
            error: message.to_owned(),
        });
        let mut error = self.meaning(message);
        if let Some(code) = code {
            error = error.with_context("exit code", code.to_string());
        }
        let Some(current) = &self.step else { return error };
        error = error.with_context("step", current.step.name.clone());
        match &current.place {
            Some(place) => error
                .with_context("dockerfile_line", (place.start + 1).to_string())
                .with_context("dockerfile_end_line", place.end.to_string()),
            None => error,
        }
    }

    fn meaning(&self, message: &str) -> Error {
        let lower = message.to_ascii_lowercase();
        let stage = UNKNOWN_STAGE
            .iter()
            .any(|words| words.iter().all(|word| lower.contains(word)));
        match stage {
            true => Error::new(ErrorKind::NotFound, message.trim())
                .with_hint("Name a stage of the Dockerfile (FROM … AS name) with --target."),
            false => crate::error::from_message(message, ErrorKind::BuildFailed),
        }
    }
}

#[cfg(test)]
mod tests {
    use wharf_core::event::EventStream;

    use super::*;

    const DOCKERFILE: &str = "FROM busybox AS base\n# note\nRUN echo a && \\\n    false\nCOPY . /x\n";

    fn say(reader: &mut ClassicEvents, text: &str) {
        reader.read(&serde_json::from_value(serde_json::json!({"stream": text})).unwrap());
    }

    fn reader() -> (ClassicEvents, EventStream) {
        let (sink, stream) = EventSink::channel();
        (ClassicEvents::new(sink, DOCKERFILE), stream)
    }

    fn states(stream: &mut EventStream) -> Vec<(String, StepState)> {
        let steps = stream.drain().into_iter().filter_map(|event| match event.event {
            BuildEvent::Step(step) => Some((step.id.0, step.state)),
            _ => None,
        });
        steps.collect()
    }

    #[test]
    fn lines_that_begin_a_step_are_known_from_both_engines() {
        let docker = StepLine {
            stage: None,
            number: "1/5",
            instruction: "FROM x AS y",
        };
        assert_eq!(step_line("Step 1/5 : FROM x AS y"), Some(docker));
        let podman = StepLine {
            stage: Some("1/2"),
            number: "3/4",
            instruction: "RUN a: b",
        };
        assert_eq!(step_line("[1/2] STEP 3/4: RUN a: b"), Some(podman));
        for line in ["Step by step : x", "STEP", "[1/2] hello", " ---> abc"] {
            assert_eq!(step_line(line), None, "{line}");
        }
    }

    #[test]
    fn steps_start_come_from_the_cache_and_end() {
        let (mut reader, mut stream) = reader();
        say(
            &mut reader,
            "Step 1/2 : FROM busybox AS base\n ---> 1a2b\nStep 2/2 : CO",
        );
        say(
            &mut reader,
            "PY . /x\n ---> Using cache\n ---> 3c4d\nSuccessfully built 3c4d\n",
        );
        reader.finished();
        let expected = [
            ("1/2", StepState::Started),
            ("1/2", StepState::Done),
            ("2/2", StepState::Started),
            ("2/2", StepState::Cached),
        ];
        assert_eq!(
            states(&mut stream),
            expected.map(|(id, state)| (id.to_owned(), state))
        );
        assert_eq!(reader.image_id().as_deref(), Some("3c4d"));
    }

    #[test]
    fn a_failure_names_the_step_the_code_and_the_place_in_the_dockerfile() {
        let (mut reader, mut stream) = reader();
        say(
            &mut reader,
            "Step 1/3 : FROM busybox AS base\nStep 2/3 : RUN echo a &&     false\n",
        );
        let error = reader.failed("The command returned a non-zero code: 1", Some(1));
        assert_eq!(error.kind(), ErrorKind::BuildFailed);
        let context: Vec<_> = error.context().collect();
        let expected = [
            ("exit code", "1"),
            ("step", "[2/3] RUN echo a &&     false"),
            ("dockerfile_line", "3"),
            ("dockerfile_end_line", "4"),
        ];
        assert_eq!(context, expected);
        assert!(matches!(
            states(&mut stream).last(),
            Some((_, StepState::Failed { .. }))
        ));
    }

    #[test]
    fn an_unknown_stage_is_the_user_s_mistake() {
        let (mut reader, _stream) = reader();
        let error = reader.failed("failed to reach build target nope in Dockerfile", None);
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
