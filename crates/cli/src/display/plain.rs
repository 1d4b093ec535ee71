//! One line for each thing that happens: for logs, pipes and CI.
//!
//! Steps are numbered in the order in which they are first shown, and every line of a step begins with its
//! number: `#3 [2/5] RUN make`, `#3 0.512 its output`, `#3 DONE 1.2s`.

use std::collections::HashMap;
use std::io::{self, Write};

use jiff::Timestamp;
use wharf_core::event::{BuildEvent, LogLine, Progress, StepState, TimedEvent, Warning};

use super::model::{prefixed, since};
use super::text::{bytes, duration, plural, sanitize};
use super::{Change, Display, Model};

/// Seconds after which a counter that moved is shown again.
const COUNTER_SECONDS: u64 = 5;
/// Hundredths of its total by which a counter must have moved to be shown earlier than that.
const COUNTER_PERCENT: u64 = 5;

/// Writes lines.
#[derive(Debug)]
pub struct Plain<W> {
    out: W,
    numbers: HashMap<usize, usize>,
    counters: HashMap<CounterKey, Shown>,
}

/// What is counted: a counter of a step or of the build, or an image's context.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum CounterKey {
    Counter(Option<usize>, usize, String),
    Context(usize),
}

/// When and where a counter was shown last.
#[derive(Debug, Clone, Copy)]
struct Shown {
    time: Timestamp,
    current: u64,
    done: bool,
}

impl<W: Write + Send> Plain<W> {
    /// Writes into `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            numbers: HashMap::new(),
            counters: HashMap::new(),
        }
    }

    /// The number of a step; a step that has none yet is introduced first.
    fn number(&mut self, model: &Model, step: usize) -> io::Result<usize> {
        if let Some(number) = self.numbers.get(&step) {
            return Ok(*number);
        }
        let number = self.numbers.len() + 1;
        self.numbers.insert(step, number);
        self.line(&format!("#{number} {}", model.steps[step].title()))?;
        Ok(number)
    }

    /// One write for each line, so that lines of other programs do not get into it.
    fn line(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(format!("{text}\n").as_bytes())
    }

    fn ended(&mut self, model: &Model, step: usize) -> io::Result<()> {
        let number = self.number(model, step)?;
        let view = &model.steps[step];
        let took = duration(view.took.unwrap_or_default());
        let end = match &view.state {
            StepState::Cached => "CACHED".to_owned(),
            StepState::Failed { error } => format!("ERROR {}", sanitize(&one_line(error))),
            StepState::Cancelled => format!("CANCELLED {took}"),
            _ => format!("DONE {took}"),
        };
        self.line(&format!("#{number} {end}"))
    }

    fn log(
        &mut self,
        model: &Model,
        step: Option<usize>,
        event: &TimedEvent,
        log: &LogLine,
    ) -> io::Result<()> {
        let text = sanitize(&log.line);
        let Some(step) = step else {
            return self.line(&prefixed(event.image.as_deref(), &text));
        };
        let number = self.number(model, step)?;
        let at = model.steps[step].elapsed(event.time).as_secs_f64();
        self.line(format!("#{number} {at:.3} {text}").trim_end())
    }

    fn counter(&mut self, model: &Model, step: Option<usize>, at: usize, time: Timestamp) -> io::Result<()> {
        let counter = match step {
            Some(step) => &model.steps[step].counters[at],
            None => &model.counters[at],
        };
        let key = CounterKey::Counter(step, at, counter.action.clone());
        if !self.due(key, counter.current, counter.total, counter.done, time) {
            return Ok(());
        }
        let text = counter_text(counter);
        match step {
            Some(step) => {
                let number = self.number(model, step)?;
                self.line(&format!("#{number} {text}"))
            }
            None => self.line(&text),
        }
    }

    fn context(&mut self, model: &Model, at: usize, time: Timestamp) -> io::Result<()> {
        let view = &model.contexts[at];
        let sent = &view.progress;
        if !self.due(
            CounterKey::Context(at),
            sent.bytes,
            sent.total_bytes,
            sent.done,
            time,
        ) {
            return Ok(());
        }
        let verb = if sent.done { "sent" } else { "sending" };
        let of = of_total(sent.bytes, sent.total_bytes.filter(|_| !sent.done));
        let files = plural(sent.files, "file");
        self.line(&prefixed(
            view.image.as_deref(),
            &format!("{verb} context: {of}, {files}"),
        ))
    }

    /// Whether a counter has something to say that is worth a line. Its end always is, its begin never.
    fn due(
        &mut self,
        key: CounterKey,
        current: u64,
        total: Option<u64>,
        done: bool,
        time: Timestamp,
    ) -> bool {
        let start = Shown {
            time,
            current: 0,
            done: false,
        };
        let shown = self.counters.entry(key).or_insert(start);
        let moved = current.saturating_sub(shown.current);
        let waited = moved > 0 && since(Some(shown.time), time).as_secs() >= COUNTER_SECONDS;
        let share = total.is_some_and(|total| {
            moved > 0 && moved.saturating_mul(100) >= total.saturating_mul(COUNTER_PERCENT)
        });
        let due = !shown.done && (done || waited || share);
        if due {
            *shown = Shown { time, current, done };
        }
        due
    }

    fn warning(&mut self, image: Option<&str>, warning: &Warning) -> io::Result<()> {
        for line in warning_lines(warning) {
            self.line(&prefixed(image, &line))?;
        }
        Ok(())
    }
}

impl<W: Write + Send> Display for Plain<W> {
    fn event(&mut self, model: &Model, event: &TimedEvent, change: Change) -> io::Result<()> {
        let image = event.image.as_deref();
        match (change, &event.event) {
            (Change::None, _) => Ok(()),
            (Change::Began(step), _) => self.number(model, step).map(drop),
            (Change::Ended(step), _) => self.ended(model, step),
            (Change::Log(step), BuildEvent::Log(log)) => self.log(model, step, event, log),
            (Change::Counter(step, at), _) => self.counter(model, step, at, event.time),
            (Change::Context(at), _) => self.context(model, at, event.time),
            (_, BuildEvent::Warning(warning)) => self.warning(image, warning),
            (_, other) => match announcement(other) {
                Some(text) => self.line(&prefixed(image, &text)),
                None => Ok(()),
            },
        }
    }
}

/// What an event that stands for itself says, in one line.
#[must_use]
pub fn announcement(event: &BuildEvent) -> Option<String> {
    match event {
        BuildEvent::Queued(queued) => Some(format!(
            "building {} with {}",
            sanitize(&queued.image),
            sanitize(&queued.builder)
        )),
        BuildEvent::Pushed(pushed) => Some(format!("pushed {}", sanitize(&pushed.reference))),
        BuildEvent::Digest(digest) => Some(format!("digest {}", sanitize(&digest.reference))),
        _ => None,
    }
}

/// A warning, its place behind it and its details below it.
#[must_use]
pub fn warning_lines(warning: &Warning) -> Vec<String> {
    let place = match (&warning.file, warning.line) {
        (Some(file), Some(line)) => format!(" ({file}:{line})"),
        (Some(file), None) => format!(" ({file})"),
        (None, Some(line)) => format!(" (line {line})"),
        (None, None) => String::new(),
    };
    let first = format!("warning: {}{place}", one_line(&warning.message));
    let detail = warning.detail.iter().flat_map(|detail| detail.lines());
    let rest = detail
        .chain(warning.url.as_deref())
        .map(|line| format!("  {line}"));
    std::iter::once(first)
        .chain(rest)
        .map(|line| sanitize(&line))
        .collect()
}

/// A counter as text: `sha256:1234 Pushing 1.5 MB / 3.0 MB`. Some name themselves after their action; then
/// it is said once.
#[must_use]
pub fn counter_text(counter: &Progress) -> String {
    let id = counter.id.trim_end_matches([':', ' ']);
    let said = id.to_lowercase().starts_with(&counter.action.to_lowercase());
    let what = if said {
        id.to_owned()
    } else {
        format!("{id} {}", counter.action)
    };
    let what = what.trim();
    if counter.current == 0 && counter.total.is_none() {
        what.to_owned()
    } else {
        format!("{what} {}", of_total(counter.current, counter.total))
    }
}

/// `1.5 MB / 3.0 MB`, or only the first where the second is not known.
#[must_use]
pub fn of_total(current: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} / {}", bytes(current), bytes(total)),
        None => bytes(current),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use wharf_core::event::{ImageDigest, Pushed, Queued};

    use super::super::fixture::{context, counter, event, log, step};
    use super::*;

    fn shown(events: &[TimedEvent]) -> String {
        let mut model = Model::default();
        let mut plain = Plain::new(Vec::new());
        for event in events {
            let change = model.apply(event);
            plain.event(&model, event, change).unwrap();
        }
        String::from_utf8(plain.out).unwrap()
    }

    #[test]
    fn a_whole_build() {
        let queued = Queued {
            builder: "local (Docker 28.2)".into(),
            image: "app:1".into(),
        };
        let reference = "r.example/app:1".to_owned();
        let mut warning = Warning::new("secrets in ARG").with_detail(["Use a secret\nmount.".to_owned()]);
        warning.file = Some("Dockerfile".into());
        warning.line = Some(3);
        let text = shown(&[
            event(0, BuildEvent::Queued(queued)),
            step(0, "b", "[2/3] RUN make", StepState::Pending),
            step(0, "a", "[1/3] FROM python", StepState::Cached),
            step(100, "b", "[2/3] RUN make", StepState::Started),
            log(612, Some("b"), "gcc\t-c \x1b[1mmain.c\x1b[0m"),
            context(700, 1_500_000, true),
            step(800, "c", "[3/3] COPY . .", StepState::Started),
            log(900, Some("b"), ""),
            step(1300, "b", "[2/3] RUN make", StepState::Done),
            event(1400, BuildEvent::Warning(warning)),
            step(
                1500,
                "c",
                "[3/3] COPY . .",
                StepState::Failed {
                    error: "no such\nfile".into(),
                },
            ),
            event(
                1600,
                BuildEvent::Pushed(Pushed {
                    reference: reference.clone(),
                }),
            ),
            event(
                1700,
                BuildEvent::Digest(ImageDigest {
                    reference: "r.example/app@sha256:00".into(),
                }),
            ),
            log(1800, None, "loose text"),
        ]);
        let expected = "\
building app:1 with local (Docker 28.2)
#1 [1/3] FROM python
#1 CACHED
#2 [2/3] RUN make
#2 0.512 gcc     -c main.c
sent context: 1.5 MB, 3 files
#3 [3/3] COPY . .
#2 0.800
#2 DONE 1.2s
warning: secrets in ARG (Dockerfile:3)
  Use a secret
  mount.
#3 ERROR no such file
pushed r.example/app:1
digest r.example/app@sha256:00
loose text
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_counter_speaks_every_five_seconds_or_five_percent() {
        let total = Some(1_000_000);
        let text = shown(&[
            counter(0, "p", "layer", 0, total),
            counter(10, "p", "layer", 10_000, total),
            counter(20, "p", "layer", 49_999, total),
            counter(30, "p", "layer", 50_000, total),
            counter(40, "p", "layer", 60_000, total),
            counter(5029, "p", "layer", 70_000, total),
            counter(5030, "p", "layer", 80_000, total),
            counter(5040, "p", "layer", 1_000_000, total),
            counter(5050, "p", "layer", 1_000_000, total),
        ]);
        let expected = "\
#1 p
#1 layer Pushing 50.0 kB / 1.0 MB
#1 layer Pushing 80.0 kB / 1.0 MB
#1 layer Pushing 1.0 MB / 1.0 MB
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_slow_counter_speaks_when_its_time_has_come() {
        let total = Some(1_000_000);
        let waited = shown(&[
            counter(0, "p", "layer", 0, total),
            counter(4999, "p", "layer", 1, total),
            counter(5000, "p", "layer", 2, total),
        ]);
        assert_eq!(waited, "#1 p\n#1 layer Pushing 2 B / 1.0 MB\n");
    }

    #[test]
    fn a_counter_that_is_named_after_its_action_says_it_once() {
        let text = |id: &str, action: &str, current| {
            counter_text(&Progress {
                step: None,
                id: id.into(),
                action: action.into(),
                current,
                total: None,
                done: false,
            })
        };
        assert_eq!(
            text("transferring context:", "transferring", 2),
            "transferring context 2 B"
        );
        assert_eq!(text("exporting layers", "", 0), "exporting layers");
        assert_eq!(text("a84de0b6a7b8", "Pushed", 0), "a84de0b6a7b8 Pushed");
    }

    #[test]
    fn lines_of_several_images_carry_their_names() {
        let mut events = [
            step(0, "1", "[1/1] FROM a", StepState::Started),
            step(0, "1", "[1/1] FROM a", StepState::Started),
            log(100, Some("1"), "hello"),
            log(200, None, "loose"),
        ];
        for (event, image) in events.iter_mut().zip(["train", "serve", "serve", "train"]) {
            event.image = Some(image.into());
        }
        assert_eq!(
            shown(&events),
            "#1 train: [1/1] FROM a\n#2 serve: [1/1] FROM a\n#2 0.100 hello\ntrain: loose\n"
        );
    }
}
