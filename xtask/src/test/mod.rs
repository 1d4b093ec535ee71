//! `cargo xtask test`: everything that must hold before a change is merged.

mod names;
mod runner;

use anyhow::{Result, bail};

use self::runner::{Runner, Selection};
use crate::process::{self, cargo, command, succeeds};
use crate::services::machine::Machine;
use crate::services::run_dir::RunDir;
use crate::services::{Class, Services, lock_set_up};
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

/// Programs that tests call, and the packages they come in: a machine made for one purpose may have none of them.
const PROGRAMS: [(&str, &str); 7] = [
    ("bash", "bash"),
    ("git", "git"),
    ("kill", "procps"),
    ("mkfifo", "coreutils"),
    ("python3", "python3"),
    ("tar", "tar"),
    ("unzip", "unzip"),
];

/// Runs the task.
pub(crate) fn run_task(options: &Options) -> Result<()> {
    if options.filters.iter().any(String::is_empty) {
        bail!("an empty filter matches every test; leave it out");
    }
    // Before anything is started, so that a signal stops all of it.
    let run_dir = RunDir::temporary()?;
    target_dir::forget_other_clones()?;
    let mut summary = Summary::default();
    let everything = options.filters.is_empty();
    if everything {
        summary.step("format", lint::format);
        features::steps(&mut summary)?;
    }
    let runner = Runner::find(&options.filters)?;
    if everything && runner.has_nextest() {
        summary.step("names of tests that need a service", names::check);
    }
    let mut machine = Machine::default();
    if options.services {
        summary.step("programs that tests call", || install_programs(&mut machine));
    }
    summary.step("tests that need no service", || {
        runner.run(&[], &Selection::Plain)
    });
    with_services(options, &runner, &run_dir, &mut machine, &mut summary)?;
    if everything {
        summary.step("examples in the documentation", doc_tests);
        summary.step("documentation", documentation);
    }
    summary.finish(target_dir::in_ci())
}

/// Runs the tests of one kind of service, with what they need and nothing else.
pub(crate) fn run_e2e(class: Class) -> Result<()> {
    let run_dir = RunDir::temporary()?;
    target_dir::forget_other_clones()?;
    let mut summary = Summary::default();
    let runner = Runner::find(&[])?;
    if !runner.has_nextest() {
        bail!("choosing tests by what they need takes cargo-nextest");
    }
    let services = Services::set_up_some(&[Class::Registry, class], &run_dir, &mut Machine::default())?;
    if let Some((class, reason)) = services.missing.first() {
        bail!("{} could not be set up: {reason}", class.name());
    }
    let name = format!("tests that need {}", class.name());
    summary.step(name, || runner.run(&services.variables, &Selection::Only(class)));
    summary.finish(true)
}

fn install_programs(machine: &mut Machine) -> Result<()> {
    let _lock = lock_set_up()?;
    for (program, package) in PROGRAMS {
        machine.program(program, &[package])?;
    }
    // Debian has the part of Python that makes virtual environments in a package of its own.
    if !succeeds(&mut command("python3", ["-c", "import ensurepip"])) {
        machine.install(&["python3-venv"])?;
    }
    Ok(())
}

fn with_services(
    options: &Options,
    runner: &Runner,
    run_dir: &RunDir,
    machine: &mut Machine,
    summary: &mut Summary,
) -> Result<()> {
    if !options.services {
        summary.skip("tests that need a service", "--no-services was given");
        return Ok(());
    }
    let services = Services::set_up(run_dir, machine)?;
    for (class, reason) in &services.missing {
        summary.skip(format!("tests that need {}", class.name()), reason);
    }
    if !services.missing.is_empty() && !runner.has_nextest() {
        summary.skip(
            "tests that need a service",
            "leaving out only some of them takes cargo-nextest",
        );
        return Ok(());
    }
    let without: Vec<_> = services.missing.iter().map(|(class, _)| *class).collect();
    let selection = Selection::Services { without };
    summary.step("tests that need a service", || {
        runner.run(&services.variables, &selection)
    });
    Ok(())
}

fn doc_tests() -> Result<()> {
    process::run(&mut cargo(["test", "--locked", "--doc", "--workspace"]))
}

fn documentation() -> Result<()> {
    let mut command = cargo(["doc", "--locked", "--workspace", "--lib", "--no-deps"]);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}
