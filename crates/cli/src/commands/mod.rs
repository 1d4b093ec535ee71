//! The commands: each takes its arguments, does its work, and answers with an exit code or a failure.

pub mod build;
pub mod completions;
pub mod context;
pub mod doctor;
pub mod flavor;
pub mod gc;
pub mod init;
pub mod pipeline;

use crate::args::{Cli, Command, ImageBuilderCommand};
use crate::failure::Failure;

/// Runs a command. The number it answers is the exit code.
///
/// # Errors
/// Whatever stood in the way; the failure knows its exit code.
pub async fn run(cli: Cli) -> Result<u8, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Build(args) => build::run(&global, &args).await,
        Command::Context(command) => context::run(&global, &command).await,
        Command::Pipeline(command) => pipeline::run(&global, &command).await,
        Command::Init => init::run(),
        Command::ImageBuilder(ImageBuilderCommand::Flavor(command)) => flavor::run(&global, &command),
        Command::Doctor(args) => doctor::run(&global, &args).await,
        Command::Gc(args) => gc::run(&global, &args).await,
        Command::Completions(args) => completions::run(args.shell),
    }
}
