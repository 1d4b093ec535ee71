//! Running tests with nextest, or with cargo alone where nextest is not installed.

use std::process::Command;

use anyhow::Result;

use crate::metadata::Workspace;
use crate::process::{self, cargo, succeeds};
use crate::services::Class;

/// What the path of a test holds that takes too long for every day: it is ignored, and no task runs it.
pub(crate) const BY_HAND: &str = "by_hand_";

/// Which tests to run. The ones that need a service are those marked `#[ignore]`.
#[derive(Debug)]
pub(crate) enum Selection {
    Plain,
    Services { without: Vec<Class> },
    Only(Class),
}

/// The program that runs tests.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    nextest: bool,
    filters: &'a [String],
    /// The names of all test binaries.
    binaries: Vec<String>,
}

impl Runner<'_> {
    /// Finds out which program there is, and for what.
    pub(crate) fn find(filters: &[String]) -> Result<Runner<'_>> {
        let nextest = succeeds(&mut cargo(["nextest", "--version"]));
        if !nextest {
            eprintln!(
                "cargo-nextest is not installed (`cargo install cargo-nextest --locked`): using `cargo test`"
            );
        }
        Ok(Runner {
            nextest,
            filters,
            binaries: Workspace::read()?.targets(),
        })
    }

    /// Whether it is nextest.
    pub(crate) fn has_nextest(&self) -> bool {
        self.nextest
    }

    /// Runs the selected tests with these environment variables.
    pub(crate) fn run(&self, variables: &[(&str, String)], selection: &Selection) -> Result<()> {
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
            let by_hand = format!("test(~{BY_HAND})");
            let left_out = without
                .iter()
                .map(|class| class.filterset(&self.binaries))
                .chain([by_hand])
                .collect::<Vec<_>>();
            command.args(["--filterset", &format!("not ({})", left_out.join(" + "))]);
        }
        if let Selection::Only(class) = selection {
            let only = format!("({}) - test(~{BY_HAND})", class.filterset(&self.binaries));
            command.args(["--run-ignored=only", "--filterset", &only]);
        }
        command.arg("--").args(self.filters);
        command
    }

    fn cargo_test(&self, selection: &Selection) -> Command {
        let kinds = ["--lib", "--bins", "--tests", "--no-fail-fast"];
        let mut command = cargo(["test", "--locked", "--workspace"].into_iter().chain(kinds));
        command.arg("--");
        if matches!(selection, Selection::Services { .. }) {
            command.args(["--ignored", "--skip", BY_HAND]);
        }
        command.args(self.filters);
        command
    }
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
            without: vec![Class::Podman],
        };
        let nextest = words(
            &Runner {
                nextest: true,
                filters: &filters,
                binaries: vec!["podman_builds".into()],
            }
            .nextest(&selection),
        );
        let expected =
            "--run-ignored=only --filterset not (binary(~podman) + test(~podman_) + test(~by_hand_)) -- push";
        assert!(nextest.ends_with(expected), "{nextest}");
    }

    #[test]
    fn the_tests_of_one_service_are_chosen_by_their_names() {
        let runner = Runner {
            nextest: true,
            filters: &[],
            binaries: vec!["cluster".into()],
        };
        let nextest = words(&runner.nextest(&Selection::Only(Class::Cluster)));
        let expected =
            "--run-ignored=only --filterset (binary(~cluster) + test(~cluster_)) - test(~by_hand_) --";
        assert!(nextest.ends_with(expected), "{nextest}");
    }

    #[test]
    fn service_tests_are_those_ignored() {
        let (selection, filters) = (Selection::Services { without: vec![] }, ["push".to_owned()]);
        let runner = |nextest| Runner {
            nextest,
            filters: &filters,
            binaries: Vec::new(),
        };
        assert!(
            words(&runner(true).nextest(&selection)).ends_with("--filterset not (test(~by_hand_)) -- push")
        );
        assert!(words(&runner(false).cargo_test(&selection)).ends_with("-- --ignored --skip by_hand_ push"));
    }

    #[test]
    fn plain_tests_are_those_not_ignored() {
        let nextest = words(
            &Runner {
                nextest: true,
                filters: &[],
                binaries: Vec::new(),
            }
            .nextest(&Selection::Plain),
        );
        assert!(!nextest.contains("ignored"), "{nextest}");
    }
}
