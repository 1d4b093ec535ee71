//! `wharf pipeline`: from a pipeline's file to its images.

mod build;
mod builds;
mod plan;

use crate::args::{GlobalArgs, PipelineCommand};
use crate::failure::Failure;

/// Runs a command of `wharf pipeline`.
///
/// # Errors
/// Whatever stood in the way.
pub async fn run(global: &GlobalArgs, command: &PipelineCommand) -> Result<u8, Failure> {
    match command {
        PipelineCommand::Plan(args) => plan::plan(global, args).await,
        PipelineCommand::Dockerfile(args) => plan::dockerfile(global, args).await,
        PipelineCommand::Build(args) => build::run(global, args).await,
        PipelineCommand::Builds(command) => builds::run(global, command),
    }
}
