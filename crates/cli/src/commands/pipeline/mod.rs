//! `wharf pipeline`: from a pipeline's file to its images.

mod build;
mod builds;
mod plan;

use crate::args::{GlobalArgs, PipelineCommand};
use crate::failure::Failure;
use crate::{exit_code, output};

/// Runs a command of `wharf pipeline`.
///
/// # Errors
/// Whatever stood in the way.
pub async fn run(global: &GlobalArgs, command: &PipelineCommand) -> Result<u8, Failure> {
    match command {
        PipelineCommand::Plan(args) => plan::plan(global, args).await,
        PipelineCommand::Dockerfile(args) => plan::dockerfile(global, args),
        PipelineCommand::Build(args) => build::run(global, args).await,
        PipelineCommand::Schema => schema(),
        PipelineCommand::Builds(command) => builds::run(global, command),
    }
}

/// The schema is JSON, whichever output is asked for.
fn schema() -> Result<u8, Failure> {
    output::line(format_args!("{:#}", wharf::pipeline::settings::schema()))?;
    Ok(exit_code::OK)
}
