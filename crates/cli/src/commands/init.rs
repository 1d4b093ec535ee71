//! `wharf init`: makes the current directory a source root.

use std::path::Path;

use wharf::pipeline::gather::source_root::{Initialized, init};

use crate::failure::Failure;
use crate::{exit_code, output};

/// Marks the current directory.
///
/// # Errors
/// When the directory cannot be written.
pub fn run() -> Result<u8, Failure> {
    let said = match init(Path::new("."))? {
        Initialized::New => "this directory is a source root now: commit .wharf/.gitignore",
        Initialized::Already => "this directory is a source root already",
    };
    output::to_stderr(&format!("{said}\n"));
    Ok(exit_code::OK)
}
