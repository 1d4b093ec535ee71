//! Displays of a build. They read [events](wharf_core::event) and nothing else, and write to standard error.
//!
//! One [`Model`] takes the events in; a [`Display`] draws from it: as a live region on a terminal
//! ([`tty`]), as lines ([`plain`]), as JSON ([`json`]), or not at all. Several images that are built at
//! once share one display, each line behind its image's name.

#[cfg(test)]
pub(crate) mod fixture;
pub mod json;
pub mod model;
pub mod palette;
pub mod plain;
pub mod terminal;
pub mod text;
pub mod tty;

use std::io::{self, IsTerminal};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use wharf_core::event::{EventStream, TimedEvent};
use wharf_core::{Error, ErrorKind, Result};

pub use model::{Change, Model};
use palette::Palette;

/// How often a live display is drawn, at most.
const REDRAW: Duration = Duration::from_millis(100);

/// How the progress of a build is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ProgressMode {
    /// `tty` when standard error is a terminal, else `plain`
    #[default]
    Auto,
    /// A live view of the running steps; needs a terminal
    Tty,
    /// One line for each thing that happens
    Plain,
    /// One JSON object per line: the events themselves
    Json,
    /// Nothing but errors
    Quiet,
}

impl ProgressMode {
    /// Decides [`Auto`](Self::Auto) for this process's standard error, and checks that the mode can work.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for `tty` when standard error is no terminal, or one that can only print.
    pub fn for_stderr(self) -> Result<Self> {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        self.resolve(io::stderr().is_terminal() && !dumb)
    }

    fn resolve(self, terminal: bool) -> Result<Self> {
        match self {
            Self::Auto if terminal => Ok(Self::Tty),
            Self::Auto => Ok(Self::Plain),
            Self::Tty if !terminal => Err(Error::new(
                ErrorKind::InvalidInput,
                "--progress tty needs a terminal, and standard error is none",
            )
            .with_hint("Use --progress plain, or leave the option out.")),
            mode => Ok(mode),
        }
    }
}

/// Draws what happens. Failures to write are the caller's to ignore: a display never stops a build.
pub trait Display: Send {
    /// An event was taken into the model.
    ///
    /// # Errors
    /// Whatever writing gives.
    fn event(&mut self, model: &Model, event: &TimedEvent, change: Change) -> io::Result<()>;

    /// Time has passed.
    ///
    /// # Errors
    /// Whatever writing gives.
    fn tick(&mut self, _model: &Model, _now: Timestamp) -> io::Result<()> {
        Ok(())
    }

    /// There will be no more events.
    ///
    /// # Errors
    /// Whatever writing gives.
    fn finish(&mut self, _model: &Model, _now: Timestamp) -> io::Result<()> {
        Ok(())
    }
}

/// Shows nothing.
#[derive(Debug)]
pub struct Quiet;

impl Display for Quiet {
    fn event(&mut self, _: &Model, _: &TimedEvent, _: Change) -> io::Result<()> {
        Ok(())
    }
}

/// The display of a mode, on standard error. [`ProgressMode::Auto`] must have been
/// [resolved](ProgressMode::for_stderr); as it stands it is `plain`.
#[must_use]
pub fn stderr(mode: ProgressMode) -> Box<dyn Display> {
    match mode {
        ProgressMode::Tty => Box::new(tty::Tty::stderr(Palette::stderr())),
        ProgressMode::Json => Box::new(json::Json::new(io::stderr())),
        ProgressMode::Quiet => Box::new(Quiet),
        ProgressMode::Plain | ProgressMode::Auto => Box::new(plain::Plain::new(io::stderr())),
    }
}

/// Reads the stream and shows it, until it ends or `done` fires: a builder may leave a sink behind, and that
/// must not hold up the end. The model it returns holds the last output of every step.
pub async fn drive(mut stream: EventStream, mut display: Box<dyn Display>, done: CancellationToken) -> Model {
    let mut model = Model::default();
    let mut ticks = tokio::time::interval(REDRAW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // A standard error that is closed must not stop the build, so what writing gives is ignored.
    let show = |model: &mut Model, display: &mut Box<dyn Display>, event: &TimedEvent| {
        let change = model.apply(event);
        let _ = display.event(model, event, change);
    };
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => { let _ = display.tick(&model, Timestamp::now()); }
            event = stream.next() => match event {
                Some(event) => show(&mut model, &mut display, &event),
                None => break,
            },
            () = done.cancelled() => {
                stream.drain().iter().for_each(|event| show(&mut model, &mut display, event));
                break;
            }
        }
    }
    let _ = display.finish(&model, Timestamp::now());
    model
}

/// A display that runs beside the build.
#[derive(Debug)]
pub struct Running {
    task: JoinHandle<Model>,
    done: CancellationToken,
}

impl Running {
    /// Shows the stream on standard error, from now on.
    #[must_use]
    pub fn start(stream: EventStream, mode: ProgressMode) -> Self {
        let done = CancellationToken::new();
        let task = tokio::spawn(drive(stream, stderr(mode), done.clone()));
        Self { task, done }
    }

    /// Shows what was written so far, ends the display, and gives what it knows.
    pub async fn finish(self) -> Model {
        self.done.cancel();
        // A display that panicked has said so itself, and the build is over anyway.
        self.task.await.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use wharf_core::event::{EventSink, StepState, Warning};

    use super::*;

    /// Remembers what it was told.
    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<(usize, bool)>>);

    impl Display for Recorder {
        fn event(&mut self, _: &Model, _: &TimedEvent, _: Change) -> io::Result<()> {
            self.0.lock().unwrap().0 += 1;
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn finish(&mut self, _: &Model, _: Timestamp) -> io::Result<()> {
            self.0.lock().unwrap().1 = true;
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_sink_that_is_left_behind_does_not_hold_up_the_end() {
        let (sink, stream) = EventSink::channel();
        let recorder = Recorder::default();
        let done = CancellationToken::new();
        sink.warn(Warning::new("one"));
        sink.warn(Warning::new("two"));
        done.cancel();
        drive(stream, Box::new(recorder.clone()), done).await;
        assert_eq!(*recorder.0.lock().unwrap(), (2, true));
        drop(sink);
    }

    #[tokio::test]
    async fn a_display_that_cannot_write_still_gathers_the_model() {
        let (sink, stream) = EventSink::channel();
        sink.send(fixture::step(0, "1", "a", StepState::Done).event);
        drop(sink);
        let model = drive(stream, Box::new(Recorder::default()), CancellationToken::new()).await;
        assert_eq!(model.steps.len(), 1);
    }

    #[test]
    fn auto_is_live_only_on_a_terminal_and_tty_insists_on_one() {
        assert_eq!(ProgressMode::Auto.resolve(true).unwrap(), ProgressMode::Tty);
        assert_eq!(ProgressMode::Auto.resolve(false).unwrap(), ProgressMode::Plain);
        assert_eq!(ProgressMode::Json.resolve(false).unwrap(), ProgressMode::Json);
        let error = ProgressMode::Tty.resolve(false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
