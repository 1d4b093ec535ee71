//! The command `wharf`: builds container images for machine-learning pipelines on the builder you have.
//!
//! The command is a library with a small binary, so that its reference pages are made from the code and its
//! displays can be used by other programs.

pub mod display;

/// Runs the command.
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
