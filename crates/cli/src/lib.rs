//! The command `wharf`: builds container images for machine-learning pipelines on the builder you have.
//!
//! The command is a library with a small binary, so that its reference pages are made from the code and its
//! displays can be used by other programs.
//!
//! A run goes through these modules: [`args`] parses the line, [`commands`] does the work, [`wiring`] knows
//! which builders there are, [`display`] shows the events of a build, [`output`] writes the result,
//! [`failure`] the reason of a failure, and [`exit_code`] says what the number means.

pub mod args;
pub mod atomic_file;
pub mod commands;
pub mod display;
pub mod dockerfile;
pub mod exit_code;
pub mod failure;
pub mod output;
pub mod reference;
pub mod signals;
pub mod wiring;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};
use wharf_core::{Error, ErrorKind};

use crate::args::Cli;
use crate::display::palette::Palette;
use crate::failure::Failure;

/// How long files that are still being read may hold up the end of the process.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Runs the command with the process's arguments, and says its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output; a reader that went away is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit_code::USAGE));
        }
    };
    let progress = cli.global.progress;
    match run(cli) {
        Ok(code) => code.into(),
        Err(failure) => {
            output::to_stderr(&failure.render(progress, &Palette::stderr()));
            failure.code.into()
        }
    }
}

fn parse() -> Result<Cli, clap::Error> {
    let matches = Cli::definition().try_get_matches()?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut Cli::command()))
}

fn run(cli: Cli) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Unexpected, "could not start").with_source(error))?;
    let result = runtime.block_on(commands::run(cli));
    runtime.shutdown_timeout(SHUTDOWN);
    result
}
