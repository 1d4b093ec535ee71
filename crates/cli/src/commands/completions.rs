//! `wharf completions`: a script that completes wharf's commands and options in a shell.

use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;
use crate::{exit_code, output};

/// Prints the script.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(shell: Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::definition(), "wharf", &mut script);
    output::write(|out| out.write_all(&script))?;
    Ok(exit_code::OK)
}
