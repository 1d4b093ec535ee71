//! `cargo xtask test`: everything that must hold before a change is merged.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{self, cargo, succeeds};
use crate::summary::Summary;
use crate::{features, lint, target_dir};

/// What to test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whether to run the tests that need an engine or a registry.
    pub(crate) services: bool,
    /// Only tests whose name contains one of these; empty for all tests and all other checks.
    pub(crate) filters: Vec<String>,
}

/// Runs the task.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut summary = Summary::default();
    let everything = options.filters.is_empty();
    if everything {
        summary.step("format", lint::format);
        features::steps(&mut summary)?;
    }
    if !options.services {
        summary.skip(
            "tests that need an engine or a registry",
            "--no-services was given",
        );
    }
    summary.step("tests", || tests(options));
    if everything {
        summary.step("examples in the documentation", doc_tests);
        summary.step("documentation", documentation);
    }
    summary.finish(target_dir::in_ci())
}

fn tests(options: &Options) -> Result<()> {
    let mut command = if succeeds(&mut cargo(["nextest", "--version"])) {
        cargo(["nextest", "run", "--locked", "--workspace", "--no-tests=pass"])
    } else {
        eprintln!(
            "cargo-nextest is not installed (`cargo install cargo-nextest --locked`): using `cargo test`"
        );
        cargo(["test", "--locked", "--workspace", "--lib", "--bins", "--tests"])
    };
    add_filters(&mut command, &options.filters)?;
    process::run(&mut command)
}

fn add_filters(command: &mut Command, filters: &[String]) -> Result<()> {
    if filters.iter().any(|filter| filter.is_empty()) {
        bail!("an empty filter matches every test; leave it out");
    }
    if !filters.is_empty() {
        command.arg("--").args(filters);
    }
    Ok(())
}

fn doc_tests() -> Result<()> {
    run_cargo(&["test", "--locked", "--doc", "--workspace"])
}

fn documentation() -> Result<()> {
    let mut command = cargo(["doc", "--locked", "--workspace", "--lib", "--no-deps"]);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn run_cargo(arguments: &[&str]) -> Result<()> {
    process::run(&mut cargo(arguments))
}
