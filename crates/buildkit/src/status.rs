//! From the daemon's account of a build to the events every builder has.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::{
    StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning,
};
use wharf_core::event::{BuildEvent, EventSink, LogLine, Progress, Step, StepId, StepState, Stream, Warning};

use crate::control::timestamp;
use crate::lines::Lines;

/// What the daemon numbers standard error; standard output is 1.
const STDERR: i64 = 2;
/// How the daemon ends the error of a step that was stopped because the build was.
const CANCELLED: &str = "context canceled";

/// Remembers what is needed to tell a build's story: unfinished lines, and the steps' last states.
#[derive(Debug)]
pub(crate) struct Translator {
    events: EventSink,
    steps: HashMap<String, Step>,
    lines: HashMap<(String, bool), Lines>,
    failed: Option<String>,
}

impl Translator {
    pub(crate) fn new(events: EventSink) -> Self {
        Self {
            events,
            steps: HashMap::new(),
            lines: HashMap::new(),
            failed: None,
        }
    }

    /// Tells what is new. A step begins before its output and ends after it.
    pub(crate) fn update(&mut self, response: StatusResponse) {
        let (ended, begun): (Vec<_>, Vec<_>) = response
            .vertexes
            .into_iter()
            .partition(|vertex| vertex.completed.is_some());
        begun.into_iter().for_each(|vertex| self.step(vertex));
        for status in response.statuses {
            self.events.send(BuildEvent::Progress(progress(status)));
        }
        response.logs.into_iter().for_each(|log| self.log(log));
        for warning in response.warnings {
            self.events.warn(translate_warning(warning));
        }
        for vertex in ended {
            self.flush(&vertex.digest);
            self.step(vertex);
        }
    }

    /// Ends the story: unfinished lines come out, and if the build was stopped, so are the steps that ran.
    pub(crate) fn finish(&mut self, cancelled: bool) {
        let mut unfinished: Vec<_> = self.lines.keys().map(|(step, _)| step.clone()).collect();
        unfinished.sort();
        unfinished.dedup();
        unfinished.iter().for_each(|step| self.flush(step));
        if !cancelled {
            return;
        }
        for step in self.steps.values_mut() {
            if step.state == StepState::Started {
                step.state = StepState::Cancelled;
                self.events.send(BuildEvent::Step(step.clone()));
            }
        }
    }

    /// Whether nothing was told yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step that failed first.
    pub(crate) fn failed_step(&self) -> Option<&Step> {
        self.step_by_digest(self.failed.as_deref()?)
    }

    /// The step of a digest.
    pub(crate) fn step_by_digest(&self, digest: &str) -> Option<&Step> {
        self.steps.get(digest)
    }

    fn step(&mut self, vertex: Vertex) {
        let state = state(&vertex);
        if matches!(state, StepState::Failed { .. }) {
            self.failed.get_or_insert_with(|| vertex.digest.clone());
        }
        let step = Step {
            id: StepId::new(vertex.digest.clone()),
            name: vertex.name,
            state,
            started: timestamp(vertex.started),
            completed: timestamp(vertex.completed),
        };
        if self.steps.get(&vertex.digest) != Some(&step) {
            self.events.send(BuildEvent::Step(step.clone()));
            self.steps.insert(vertex.digest, step);
        }
    }

    fn log(&mut self, log: VertexLog) {
        let is_stderr = log.stream == STDERR;
        let events = &self.events;
        let step = StepId::new(log.vertex.clone());
        let lines = self.lines.entry((log.vertex, is_stderr)).or_default();
        lines.push(&log.msg, |line| send_line(events, &step, is_stderr, line));
    }

    fn flush(&mut self, vertex: &str) {
        for is_stderr in [false, true] {
            let Some(mut lines) = self.lines.remove(&(vertex.to_owned(), is_stderr)) else {
                continue;
            };
            lines.finish(|line| send_line(&self.events, &StepId::new(vertex), is_stderr, line));
        }
    }
}

fn send_line(events: &EventSink, step: &StepId, is_stderr: bool, line: String) {
    events.send(BuildEvent::Log(LogLine {
        step: Some(step.clone()),
        stream: if is_stderr { Stream::Stderr } else { Stream::Stdout },
        line,
    }));
}

fn state(vertex: &Vertex) -> StepState {
    if vertex.error.ends_with(CANCELLED) {
        StepState::Cancelled
    } else if !vertex.error.is_empty() {
        StepState::Failed {
            error: vertex.error.clone(),
        }
    } else if vertex.cached {
        StepState::Cached
    } else if vertex.completed.is_some() {
        StepState::Done
    } else if vertex.started.is_some() {
        StepState::Started
    } else {
        StepState::Pending
    }
}

fn progress(status: VertexStatus) -> Progress {
    Progress {
        step: Some(StepId::new(status.vertex)),
        id: status.id,
        action: status.name,
        current: u64::try_from(status.current).unwrap_or(0),
        total: u64::try_from(status.total).ok().filter(|total| *total > 0),
        done: status.completed.is_some(),
    }
}

fn translate_warning(warning: VertexWarning) -> Warning {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let start = warning.ranges.first().and_then(|range| range.start);
    Warning {
        message: text(&warning.short),
        detail: warning.detail.iter().map(|line| text(line)).collect(),
        url: Some(warning.url).filter(|url| !url.is_empty()),
        file: warning
            .info
            .map(|info| info.filename)
            .filter(|name| !name.is_empty()),
        line: start
            .and_then(|start| u32::try_from(start.line).ok())
            .filter(|line| *line > 0),
    }
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Timestamp as WireTimestamp;
    use bollard_buildkit_proto::pb::{Position, Range, SourceInfo};
    use wharf_core::event::EventStream;

    use super::*;

    fn at(seconds: i64) -> Option<WireTimestamp> {
        Some(WireTimestamp { seconds, nanos: 500 })
    }

    fn vertex(digest: &str) -> Vertex {
        Vertex {
            digest: digest.into(),
            name: format!("step {digest}"),
            started: at(1),
            ..Vertex::default()
        }
    }

    fn log(step: &str, stream: i64, msg: &str) -> VertexLog {
        VertexLog {
            vertex: step.into(),
            stream,
            msg: msg.into(),
            ..VertexLog::default()
        }
    }

    /// The events in short: `state digest`, or `digest> line` and `digest! line` for the two streams.
    fn told(stream: &mut EventStream) -> Vec<String> {
        let short = |event| match event {
            BuildEvent::Step(step) => {
                let state = serde_json::to_value(&step.state).unwrap()["is"].clone();
                format!("{} {}", state.as_str().unwrap(), step.id.0)
            }
            BuildEvent::Log(log) => {
                let sign = if log.stream == Stream::Stderr { "!" } else { ">" };
                format!("{}{sign} {}", log.step.unwrap().0, log.line)
            }
            other => format!("{other:?}"),
        };
        stream
            .drain()
            .into_iter()
            .map(|event| short(event.event))
            .collect()
    }

    #[test]
    fn a_steps_output_lies_between_its_begin_and_its_end() {
        let (sink, mut stream) = EventSink::channel();
        let mut translator = Translator::new(sink);
        let done = Vertex {
            completed: at(2),
            ..vertex("a")
        };
        translator.update(StatusResponse {
            vertexes: vec![done, vertex("b")],
            logs: vec![log("a", 1, "out"), log("a", 2, "err\nmore"), log("b", 1, "half")],
            ..StatusResponse::default()
        });
        assert_eq!(
            told(&mut stream),
            ["started b", "a! err", "a> out", "a! more", "done a"]
        );
        translator.finish(true);
        assert_eq!(told(&mut stream), ["b> half", "cancelled b"]);
    }

    #[test]
    fn states_are_told_once_and_failures_remembered() {
        let (sink, mut stream) = EventSink::channel();
        let mut translator = Translator::new(sink);
        let ended = |digest, cached, error: &str| Vertex {
            completed: at(2),
            cached,
            error: error.into(),
            ..vertex(digest)
        };
        let waiting = Vertex {
            started: None,
            ..vertex("w")
        };
        let vertexes = vec![
            waiting,
            ended("c", true, ""),
            ended("x", false, "process did not complete: context canceled"),
            ended("f", false, "exit code: 3"),
            ended("c", true, ""),
        ];
        translator.update(StatusResponse {
            vertexes,
            ..StatusResponse::default()
        });
        assert_eq!(
            told(&mut stream),
            ["pending w", "cached c", "cancelled x", "failed f"]
        );
        let failed = translator.failed_step().unwrap();
        assert_eq!(failed.name, "step f");
        assert_eq!(
            failed.started.unwrap().to_string(),
            "1970-01-01T00:00:01.0000005Z"
        );
    }

    #[test]
    fn a_warning_says_where_it_comes_from() {
        let (sink, mut stream) = EventSink::channel();
        let warning = VertexWarning {
            short: b"JSON arguments recommended".to_vec(),
            detail: vec![b"why".to_vec()],
            url: "https://docs.example/x".into(),
            info: Some(SourceInfo {
                filename: "Dockerfile".into(),
                ..SourceInfo::default()
            }),
            ranges: vec![Range {
                start: Some(Position {
                    line: 7,
                    character: 0,
                }),
                end: None,
            }],
            ..VertexWarning::default()
        };
        Translator::new(sink).update(StatusResponse {
            warnings: vec![warning],
            ..StatusResponse::default()
        });
        let BuildEvent::Warning(warning) = stream.drain().remove(0).event else {
            panic!("no warning");
        };
        assert_eq!(
            (warning.file.as_deref(), warning.line),
            (Some("Dockerfile"), Some(7))
        );
        assert_eq!(warning.url.as_deref(), Some("https://docs.example/x"));
        assert_eq!(warning.detail, ["why"]);
    }
}
