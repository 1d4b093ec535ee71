//! Answers to what planning asks, from the machine itself.
//!
//! | module | holds |
//! | --- | --- |
//! | [`source_root`] | where the code of a pipeline begins |
//! | [`code_archive`] | the code in an artifact store, stored once for each content |
//! | [`heavy`] | large packages apart from small ones |
//! | [`index_credentials`] | passwords in the URLs of package indexes, and how they stay out of images |

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
mod lock_files;
mod project_files;
mod pyproject;
mod requirement_files;
mod requirement_lines;
pub mod source_root;
#[cfg(test)]
mod testing;
mod words;

pub use code_repository::GitCheckouts;
pub use command::{DEFAULT_TIME_LIMIT, StopSignal, ToolEnvironment};
pub use environment::{FALLBACK_PARENT_IMAGE, SystemEnvironment, default_parent_image};
pub use project_files::ProjectFiles;
