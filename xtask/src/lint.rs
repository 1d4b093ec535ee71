//! Format and lints.

use std::process::Command;

use anyhow::Result;

use crate::process::{cargo, run};

/// Fails if a file is not formatted as `cargo fmt` would.
pub(crate) fn format() -> Result<()> {
    run(&mut cargo(["fmt", "--all", "--check"]))
}

/// Lints all targets of the whole workspace, every warning an error.
pub(crate) fn workspace() -> Result<()> {
    run(&mut clippy(["--workspace"]))
}

/// `cargo clippy` on all targets of a selection, every warning an error.
pub(crate) fn clippy<'a>(selection: impl IntoIterator<Item = &'a str>) -> Command {
    let start = ["clippy", "--locked", "--quiet", "--all-targets"];
    cargo(start.into_iter().chain(selection).chain(["--", "-D", "warnings"]))
}
