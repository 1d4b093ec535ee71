//! `cargo xtask test`: everything that must hold before a change is merged.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{self, cargo, succeeds};
use crate::services::machine::Machine;
use crate::services::run_dir::RunDir;
use crate::services::{Class, Services};
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
pub(crate) fn run_task(options: &Options) -> Result<()> {
    if options.filters.iter().any(String::is_empty) {
        bail!("an empty filter matches every test; leave it out");
    }
    let mut summary = Summary::default();
    let everything = options.filters.is_empty();
    if everything {
        summary.step("format", lint::format);
        features::steps(&mut summary)?;
    }
    let runner = Runner::find(&options.filters);
    summary.step("tests that need no service", || {
        runner.run(&[], &Selection::Plain)
    });
    with_services(options, &runner, &mut summary)?;
    if everything {
        summary.step("examples in the documentation", doc_tests);
        summary.step("documentation", documentation);
    }
    summary.finish(target_dir::in_ci())
}

fn with_services(options: &Options, runner: &Runner, summary: &mut Summary) -> Result<()> {
    if !options.services {
        summary.skip("tests that need a service", "--no-services was given");
        return Ok(());
    }
    let run_dir = RunDir::temporary()?;
    let services = Services::set_up(&run_dir, &mut Machine::default())?;
    for (class, reason) in &services.missing {
        summary.skip(format!("tests that need {}", class.name()), reason);
    }
    let without = services.missing.iter().map(|(class, _)| *class).collect();
    let selection = Selection::Services { without };
    summary.step("tests that need a service", || {
        runner.run(&services.variables, &selection)
    });
    Ok(())
}

/// Which tests to run. The ones that need a service are those marked `#[ignore]`.
#[derive(Debug)]
enum Selection {
    Plain,
    Services { without: Vec<Class> },
}

/// The program that runs tests.
#[derive(Debug)]
struct Runner<'a> {
    nextest: bool,
    filters: &'a [String],
}

impl Runner<'_> {
    fn find(filters: &[String]) -> Runner<'_> {
        let nextest = succeeds(&mut cargo(["nextest", "--version"]));
        if !nextest {
            eprintln!(
                "cargo-nextest is not installed (`cargo install cargo-nextest --locked`): using `cargo test`"
            );
        }
        Runner { nextest, filters }
    }

    fn run(&self, variables: &[(&str, String)], selection: &Selection) -> Result<()> {
        let mut command = if self.nextest {
            self.nextest(selection)
        } else {
            self.cargo_test(selection)
        };
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        process::run(&mut command)
    }

    fn nextest(&self, selection: &Selection) -> Command {
        let mut command = cargo(["nextest", "run", "--locked", "--workspace", "--no-tests=pass"]);
        if let Selection::Services { without } = selection {
            command.arg("--run-ignored=only");
            if !without.is_empty() {
                let words = without
                    .iter()
                    .map(|class| format!("test({})", class.word()))
                    .collect::<Vec<_>>();
                command.args(["--filterset", &format!("not ({})", words.join(" + "))]);
            }
        }
        command.arg("--").args(self.filters);
        command
    }

    fn cargo_test(&self, selection: &Selection) -> Command {
        let kinds = ["--lib", "--bins", "--tests", "--no-fail-fast"];
        let mut command = cargo(["test", "--locked", "--workspace"].into_iter().chain(kinds));
        command.arg("--");
        if let Selection::Services { without } = selection {
            command.arg("--ignored");
            without.iter().for_each(|class| {
                command.args(["--skip", class.word()]);
            });
        }
        command.args(self.filters);
        command
    }
}

fn doc_tests() -> Result<()> {
    process::run(&mut cargo(["test", "--locked", "--doc", "--workspace"]))
}

fn documentation() -> Result<()> {
    let mut command = cargo(["doc", "--locked", "--workspace", "--lib", "--no-deps"]);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> String {
        command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn missing_services_leave_their_tests_out() {
        let filters = ["push".to_owned()];
        let selection = Selection::Services {
            without: vec![Class::Engine, Class::Podman],
        };
        let nextest = words(
            &Runner {
                nextest: true,
                filters: &filters,
            }
            .nextest(&selection),
        );
        assert!(
            nextest.ends_with("--run-ignored=only --filterset not (test(engine_) + test(podman_)) -- push")
        );
        let plain = words(
            &Runner {
                nextest: false,
                filters: &filters,
            }
            .cargo_test(&selection),
        );
        assert!(
            plain.ends_with("-- --ignored --skip engine_ --skip podman_ push"),
            "{plain}"
        );
    }

    #[test]
    fn plain_tests_are_those_not_ignored() {
        let nextest = words(
            &Runner {
                nextest: true,
                filters: &[],
            }
            .nextest(&Selection::Plain),
        );
        assert!(!nextest.contains("ignored"), "{nextest}");
    }
}
