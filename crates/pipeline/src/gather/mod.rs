//! Answers to what planning asks, from the machine itself.
//!
//! | module | holds |
//! | --- | --- |
//! | [`source_root`] | where the code of a pipeline begins |
//! | [`code_archive`] | the code in an artifact store, stored once for each content |
//! | [`heavy`] | large packages apart from small ones |
//! | [`index_credentials`] | passwords in the URLs of package indexes, and how they stay out of images |
//! | `index_logins` | passwords for package indexes that this machine has elsewhere: netrc, uv's variables |

pub mod code_archive;
mod code_repository;
mod command;
mod conda;
mod decode;
mod environment;
mod freeze;
mod git;
mod git_remote;
#[cfg(test)]
mod git_tests;
pub mod heavy;
pub mod index_credentials;
pub(crate) mod index_logins;
mod lock_files;
mod project_files;
mod pyproject;
mod requirement_files;
mod requirement_lines;
pub mod source_root;
#[cfg(test)]
mod testing;
mod words;

use std::path::Path;
use std::sync::Arc;

use wharf_core::Result;

use crate::inputs::Surroundings;

pub use code_repository::GitCheckouts;
pub use command::{DEFAULT_TIME_LIMIT, StopSignal, ToolEnvironment};
pub use environment::{FALLBACK_PARENT_IMAGE, SystemEnvironment, default_parent_image};
pub use project_files::ProjectFiles;

/// The surroundings of a source root, with this environment's programs. Nothing is run or read yet.
#[must_use]
pub fn surroundings(source_root: &Path, tools: &ToolEnvironment) -> Surroundings {
    Surroundings {
        source_root: source_root.to_owned(),
        environment: Arc::new(SystemEnvironment::new(tools.clone())),
        files: Arc::new(ProjectFiles::new(tools.clone())),
        repositories: Arc::new(GitCheckouts::new(tools)),
    }
}

/// The surroundings of a pipeline's file for this process: its [source root](source_root::source_root) as seen from
/// the current directory, and its environment variables. `stop` kills programs that are running.
///
/// # Errors
///
/// [`NotFound`](wharf_core::ErrorKind::NotFound) if the directory of the file does not exist.
pub fn surroundings_of_process(pipeline_file: &Path, stop: StopSignal) -> Result<Surroundings> {
    let root = source_root::source_root_of_process(pipeline_file)?;
    let tools = ToolEnvironment::of_process(&root).with_stop_signal(stop);
    Ok(surroundings(&root, &tools))
}
