//! What the tasks are called and which options they take.

use anyhow::{Context, Result, bail};

use crate::bench::{self, Subject};
use crate::services::Class;
use crate::{features, quickstart, services, test};

/// The text of `cargo xtask help`.
pub(crate) const USAGE: &str = "\
Repository tasks.

Usage: cargo xtask <TASK> [OPTIONS]

Tasks:
  test [--no-services] [FILTER]...  format, lints, feature combinations, all tests, documentation
  e2e kaniko                        the tests of one builder against real services, and nothing else
  features                          lints for every feature combination; what may be compiled with which feature
  quickstart [--yes]                build, push and run the example, and set up everything that takes
  bench [SUBJECT]... [OPTIONS]      compare with buildx, tar and pigz, docker, aws, kubectl, and with itself
  services up|down                  start the services of the tests and leave them running; stop them
  help                              this text

Options of `quickstart`:
  --yes            install what is missing without asking; so it is where CI is set

Options of `bench`:
  SUBJECT          build, archive, plan, jobs, unchanged, upload, attach; all of them by default
  --runs N         pairs of runs, 15 by default
  --dev            measure a build without optimization, to try the task out

Options of `test`:
  --no-services    leave out the tests that need an engine or a registry
  FILTER           run only tests whose name contains this, and none of the other checks
";

/// One task with its options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    E2e(Class),
    Features,
    Bench(bench::Options),
    Quickstart { yes: bool },
    ServicesUp,
    ServicesDown,
    Test(test::Options),
}

/// Reads the words after `cargo xtask`.
pub(crate) fn parse(words: &[String]) -> Result<Task> {
    let mut words = words.iter().map(String::as_str);
    let Some(name) = words.next() else {
        return Ok(Task::Help);
    };
    let rest = words.collect::<Vec<_>>();
    match name {
        "help" | "--help" | "-h" => Ok(Task::Help),
        "e2e" => parse_e2e(&rest),
        "features" => no_options(name, &rest, Task::Features),
        "bench" => parse_bench(&rest),
        "quickstart" => parse_quickstart(&rest),
        "services" => parse_services(&rest),
        "test" => parse_test(&rest),
        other => bail!("no task is called {other:?}; `cargo xtask help` lists them"),
    }
}

fn no_options(name: &str, rest: &[&str], task: Task) -> Result<Task> {
    match rest.first() {
        Some(word) => bail!("`{name}` takes no {word:?}"),
        None => Ok(task),
    }
}

fn parse_bench(words: &[&str]) -> Result<Task> {
    let mut options = bench::Options {
        subjects: Vec::new(),
        runs: 15,
        dev: false,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--dev" => options.dev = true,
            "--runs" => options.runs = count(words.next())?,
            other => match Subject::ALL.into_iter().find(|subject| subject.name() == other) {
                Some(subject) => options.subjects.push(subject),
                None => {
                    let names = Subject::ALL.map(Subject::name).join("`, `");
                    bail!("`bench` takes `{names}`, `--runs N` and `--dev`, not {other:?}")
                }
            },
        }
    }
    if options.subjects.is_empty() {
        options.subjects = Subject::ALL.to_vec();
    }
    Ok(Task::Bench(options))
}

fn count(word: Option<&&str>) -> Result<usize> {
    let count = word.and_then(|word| word.parse().ok()).filter(|count| *count > 0);
    count.context("`--runs` takes a number of at least 1")
}

fn parse_quickstart(words: &[&str]) -> Result<Task> {
    match words {
        [] => Ok(Task::Quickstart { yes: false }),
        ["--yes" | "-y"] => Ok(Task::Quickstart { yes: true }),
        _ => bail!("`quickstart` takes `--yes` and nothing else"),
    }
}

fn parse_e2e(words: &[&str]) -> Result<Task> {
    match words {
        ["kaniko"] => Ok(Task::E2e(Class::Cluster)),
        _ => bail!("`e2e` takes the name of a builder: kaniko"),
    }
}

fn parse_services(words: &[&str]) -> Result<Task> {
    match words {
        ["up"] => Ok(Task::ServicesUp),
        ["down"] => Ok(Task::ServicesDown),
        _ => bail!("say `services up` or `services down`"),
    }
}

fn parse_test(words: &[&str]) -> Result<Task> {
    let mut options = test::Options {
        services: true,
        filters: Vec::new(),
    };
    for word in words {
        match *word {
            "--no-services" => options.services = false,
            option if option.starts_with('-') => bail!("`test` has no option {option:?}"),
            filter => options.filters.push(filter.to_owned()),
        }
    }
    Ok(Task::Test(options))
}

/// Does what was asked.
pub(crate) fn run(task: Task) -> Result<()> {
    match task {
        Task::Help => {
            print!("{USAGE}");
            Ok(())
        }
        Task::E2e(class) => test::run_e2e(class),
        Task::Features => features::run_task(),
        Task::Bench(options) => bench::run_task(&options),
        Task::Quickstart { yes } => quickstart::run_task(yes),
        Task::ServicesUp => services::task::up(),
        Task::ServicesDown => services::task::down(),
        Task::Test(options) => test::run_task(&options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn no_word_at_all_asks_for_help() {
        assert_eq!(parsed("").unwrap(), Task::Help);
        assert_eq!(parsed("--help").unwrap(), Task::Help);
    }

    #[test]
    fn test_takes_filters_and_a_switch() {
        let expected = test::Options {
            services: false,
            filters: vec!["tag".into(), "digest".into()],
        };
        assert_eq!(
            parsed("test tag --no-services digest").unwrap(),
            Task::Test(expected)
        );
    }

    #[test]
    fn bench_compares_everything_unless_told_what() {
        let all = Subject::ALL.to_vec();
        assert_eq!(
            parsed("bench").unwrap(),
            Task::Bench(bench::Options {
                subjects: all,
                runs: 15,
                dev: false
            })
        );
        let expected = bench::Options {
            subjects: vec![Subject::Archive],
            runs: 3,
            dev: true,
        };
        assert_eq!(
            parsed("bench --runs 3 archive --dev").unwrap(),
            Task::Bench(expected)
        );
        for line in [
            "bench --runs",
            "bench --runs 0",
            "bench --runs many",
            "bench push",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_quickstart_asks_unless_told_not_to() {
        assert_eq!(parsed("quickstart").unwrap(), Task::Quickstart { yes: false });
        assert_eq!(
            parsed("quickstart --yes").unwrap(),
            Task::Quickstart { yes: true }
        );
    }

    #[test]
    fn e2e_takes_a_builder() {
        assert_eq!(parsed("e2e kaniko").unwrap(), Task::E2e(Class::Cluster));
        assert!(parsed("e2e").is_err() && parsed("e2e nobody").is_err());
    }

    #[test]
    fn unknown_words_are_named() {
        assert!(parsed("tset").unwrap_err().to_string().contains("\"tset\""));
        assert!(
            parsed("test --fast")
                .unwrap_err()
                .to_string()
                .contains("\"--fast\"")
        );
        assert!(
            parsed("features all")
                .unwrap_err()
                .to_string()
                .contains("\"all\"")
        );
    }
}
