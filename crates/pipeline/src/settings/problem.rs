//! What is wrong with a file of settings: all of it, each with its place.

use std::fmt::{self, Write as _};

use wharf_core::{Error, ErrorKind, Result};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, counted from 1; 0: not known.
    pub line: u64,
    /// Where in the file's structure: `steps.train.settings.docker.user`.
    pub attribute: String,
    /// What is wrong, and which form is accepted.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.attribute, self.message)
    }
}

/// Collects problems and warnings while a file is read.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Findings {
    pub(crate) fn problem(&mut self, line: u64, attribute: &str, message: impl Into<String>) {
        add(&mut self.problems, line, attribute, message.into());
    }

    pub(crate) fn warning(&mut self, line: u64, attribute: &str, message: impl Into<String>) {
        add(&mut self.warnings, line, attribute, message.into());
    }

    /// How many problems there are so far.
    pub(crate) fn count(&self) -> usize {
        self.problems.len()
    }

    /// The warnings, unless there are problems.
    pub(crate) fn finish(mut self, file: &str) -> Result<Vec<String>> {
        if self.problems.is_empty() {
            self.warnings.sort();
            return Ok(self.warnings.iter().map(|one| placed(file, one)).collect());
        }
        self.problems.sort();
        let lines: Vec<String> = self.problems.iter().map(|one| placed(file, one)).collect();
        let message = match lines.as_slice() {
            [one] => one.clone(),
            many => many
                .iter()
                .fold(format!("{} settings are wrong", many.len()), |mut text, line| {
                    let _ = write!(text, "\n  {line}");
                    text
                }),
        };
        Err(Error::new(ErrorKind::InvalidConfiguration, message))
    }
}

/// A step inherits what the pipeline has, with what is wrong in it: that is said once.
fn add(to: &mut Vec<Problem>, line: u64, attribute: &str, message: String) {
    let problem = Problem {
        line,
        attribute: attribute.to_owned(),
        message,
    };
    if !to.contains(&problem) {
        to.push(problem);
    }
}

fn placed(file: &str, problem: &Problem) -> String {
    match problem.line {
        0 => format!("{file}: {problem}"),
        line => format!("{file}:{line}: {problem}"),
    }
}
