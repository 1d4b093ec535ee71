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

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
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
    /// Decides [`Auto`](Self::Auto) and checks that the mode can work.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for `tty` when standard error is no terminal.
    pub fn resolve(self, terminal: bool) -> Result<Self> {
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
/// [resolved](ProgressMode::resolve); as it stands it is `plain`.
#[must_use]
pub fn stderr(mode: ProgressMode) -> Box<dyn Display> {
    match mode {
        ProgressMode::Tty => Box::new(tty::Tty::stderr(Palette::stderr())),
        ProgressMode::Json => Box::new(json::Json::new(io::stderr())),
        ProgressMode::Quiet => Box::new(Quiet),
        ProgressMode::Plain | ProgressMode::Auto => Box::new(plain::Plain::new(io::stderr())),
    }
}

/// Reads the stream to its end and shows it. The model it returns holds the last output of every step.
pub async fn drive(mut stream: EventStream, mut display: Box<dyn Display>) -> Model {
    let mut model = Model::default();
    let mut ticks = tokio::time::interval(REDRAW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        // A standard error that is closed must not stop the build, so what writing gives is ignored.
        tokio::select! {
            event = stream.next() => {
                let Some(event) = event else { break };
                let change = model.apply(&event);
                let _ = display.event(&model, &event, change);
            }
            _ = ticks.tick() => { let _ = display.tick(&model, Timestamp::now()); }
        }
    }
    let _ = display.finish(&model, Timestamp::now());
    model
}

/// Runs [`drive`] beside the build. It ends once every sink of the stream is gone.
#[must_use]
pub fn spawn(stream: EventStream, mode: ProgressMode) -> JoinHandle<Model> {
    tokio::spawn(drive(stream, stderr(mode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_live_only_on_a_terminal_and_tty_insists_on_one() {
        assert_eq!(ProgressMode::Auto.resolve(true).unwrap(), ProgressMode::Tty);
        assert_eq!(ProgressMode::Auto.resolve(false).unwrap(), ProgressMode::Plain);
        assert_eq!(ProgressMode::Json.resolve(false).unwrap(), ProgressMode::Json);
        let error = ProgressMode::Tty.resolve(false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
