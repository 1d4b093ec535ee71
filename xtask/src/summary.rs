//! What a run did, in plain lines at its end.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a step of a task ended.
#[derive(Debug)]
enum Outcome {
    Passed(Duration),
    Failed(String),
    Skipped(String),
}

/// The steps of a task in the order they ran. A failed step does not keep the next from running, so that one run
/// shows everything that is wrong.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    steps: Vec<(String, Outcome)>,
}

impl Summary {
    /// Runs a step, notes how it ended, and says whether it passed.
    pub(crate) fn step(&mut self, name: impl Into<String>, work: impl FnOnce() -> Result<()>) -> bool {
        let name = name.into();
        eprintln!("\n== {name}");
        let start = Instant::now();
        let outcome = match work() {
            Ok(()) => Outcome::Passed(start.elapsed()),
            Err(error) => {
                eprintln!("FAILED: {name}: {error:#}");
                Outcome::Failed(format!("{error:#}"))
            }
        };
        let passed = matches!(outcome, Outcome::Passed(_));
        self.steps.push((name, outcome));
        passed
    }

    /// Notes that something was left out, loudly.
    pub(crate) fn skip(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        let (name, reason) = (name.into(), reason.into());
        eprintln!("SKIPPED: {name}: because {reason}");
        self.steps.push((name, Outcome::Skipped(reason)));
    }

    /// Prints the summary; an error if a step failed, or if one was skipped and `strict` is set.
    pub(crate) fn finish(self, strict: bool) -> Result<()> {
        eprintln!("\n{self}");
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let skipped = self.count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        if failed > 0 {
            bail!("{failed} of {} steps failed", self.steps.len());
        }
        if strict && skipped > 0 {
            bail!("{skipped} steps were skipped, and CI is to skip nothing");
        }
        Ok(())
    }

    fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.steps.iter().filter(|(_, outcome)| which(outcome)).count()
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Summary:")?;
        for (name, outcome) in &self.steps {
            match outcome {
                Outcome::Passed(time) => writeln!(f, "  passed   {name} ({} s)", time.as_secs())?,
                Outcome::Failed(error) => writeln!(f, "  FAILED   {name}: {}", first_line(error))?,
                Outcome::Skipped(reason) => writeln!(f, "  SKIPPED  {name}: because {reason}")?,
            }
        }
        Ok(())
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn all_that_passed_is_a_success() {
        let mut summary = Summary::default();
        assert!(summary.step("format", || Ok(())));
        assert_eq!(summary.to_string(), "Summary:\n  passed   format (0 s)\n");
        summary.finish(true).unwrap();
    }

    #[test]
    fn a_failed_step_fails_the_run_and_shows_one_line() {
        let mut summary = Summary::default();
        assert!(!summary.step("tests", || Err(anyhow!("3 failed\nmore"))));
        summary.step("docs", || Ok(()));
        assert!(summary.to_string().contains("  FAILED   tests: 3 failed\n"));
        assert_eq!(
            summary.finish(false).unwrap_err().to_string(),
            "1 of 2 steps failed"
        );
    }

    #[test]
    fn a_skip_fails_only_where_nothing_may_be_skipped() {
        let skipping = || {
            let mut summary = Summary::default();
            summary.skip("engine", "apt is not there");
            summary
        };
        assert!(
            skipping()
                .to_string()
                .contains("  SKIPPED  engine: because apt is not there\n")
        );
        skipping().finish(false).unwrap();
        skipping().finish(true).unwrap_err();
    }
}
