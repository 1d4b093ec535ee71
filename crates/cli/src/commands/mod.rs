//! The commands: each takes its arguments, does its work, and answers with an exit code or a failure.

pub mod completions;
pub mod doctor;

use crate::args::{Cli, Command};
use crate::failure::Failure;

/// Runs a command. The number it answers is the exit code.
///
/// # Errors
/// Whatever stood in the way; the failure knows its exit code.
pub async fn run(cli: Cli) -> Result<u8, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Doctor(args) => doctor::run(&global, &args).await,
        Command::Completions(args) => completions::run(args.shell),
        Command::Build(_) | Command::Context(_) | Command::ImageBuilder(_) => Err(wharf_core::Error::new(
            wharf_core::ErrorKind::Unsupported,
            "this command is being written",
        )
        .into()),
    }
}
