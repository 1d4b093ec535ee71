//! From what the daemon says to [`wharf_core::Error`].

mod details;
mod locate;
mod rules;

use std::fmt;

use tonic::Status;
use wharf_core::event::{Step, StepId};
use wharf_core::{Error, ErrorKind};

use self::details::Details;
use crate::status::Translator;

/// A place in a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file's name, as the build was given it.
    pub file: String,
    /// Its first line that matters, counted from 1.
    pub first_line: u32,
    /// Its last line that matters.
    pub last_line: u32,
    /// The whole file, to show the lines in their surroundings; none if it is not known.
    pub text: Option<String>,
}

/// What is known about the step that made a build fail. It is the [source](std::error::Error::source) of the
/// build's [`Error`], which has the daemon's message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildFailure {
    /// The step, as the events name it.
    pub step: Option<StepId>,
    /// The step's name.
    pub name: Option<String>,
    /// What the step's process ended with.
    pub exit_code: Option<i64>,
    /// The instruction in the Dockerfile.
    pub location: Option<SourceLocation>,
}

impl fmt::Display for BuildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.location, &self.name) {
            (Some(location), _) => write!(f, "{location}"),
            (None, Some(name)) => write!(f, "the step {name}"),
            (None, None) => f.write_str("a step of the build"),
        }
    }
}

impl std::error::Error for BuildFailure {}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.text.as_deref().into_iter().flat_map(str::lines);
        write!(f, "{}:{}", self.file, self.first_line)?;
        match lines.nth(self.first_line.saturating_sub(1) as usize) {
            Some(line) => write!(f, ": {}", line.trim()),
            None => Ok(()),
        }
    }
}

/// The Dockerfile of a build, for daemons that do not say where a step stands in it.
#[derive(Debug, Default)]
pub(crate) struct Dockerfile {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The error of a control call.
pub(crate) fn from_status(status: &Status) -> Error {
    translate(status, &tidy(status.message()))
}

/// The error of a build. The Dockerfile is for daemons that do not say where its step stands.
pub(crate) fn from_solve(status: &Status, story: &Translator, dockerfile: Option<Dockerfile>) -> Error {
    let details = Details::from_bytes(status.details());
    let message = tidy(status.message());
    let step = match &details.vertex {
        Some(digest) => story.step_by_digest(digest),
        None => story.failed_step(),
    };
    let failure = failure(details, &message, step, dockerfile);
    let error = translate(status, &message);
    if failure == BuildFailure::default() {
        return error;
    }
    describe(error, &failure).with_source(failure)
}

fn failure(
    details: Details,
    message: &str,
    step: Option<&Step>,
    dockerfile: Option<Dockerfile>,
) -> BuildFailure {
    let name = step.map(|step| step.name.clone());
    let location = details
        .location
        .or_else(|| match rules::parse_error_line(message) {
            Some(line) => dockerfile.map(|file| locate::line(file, line)),
            None => name.as_deref().and_then(|name| locate::step(dockerfile?, name)),
        });
    BuildFailure {
        step: details
            .vertex
            .map(StepId::new)
            .or_else(|| step.map(|step| step.id.clone())),
        name,
        exit_code: details.exit_code.or_else(|| rules::exit_code(message)),
        location,
    }
}

fn describe(error: Error, failure: &BuildFailure) -> Error {
    let error = match &failure.name {
        Some(name) => error.with_context("step", name.as_str()),
        None => error,
    };
    let error = match failure.exit_code {
        Some(code) => error.with_context("exit code", code.to_string()),
        None => error,
    };
    match &failure.location {
        Some(place) => error
            .with_context("dockerfile", place.file.as_str())
            .with_context("dockerfile_line", place.first_line.to_string())
            .with_context("dockerfile_end_line", place.last_line.to_string()),
        None => error,
    }
}

fn translate(status: &Status, message: &str) -> Error {
    // Only what did not come from the daemon has a source.
    if let Some(source) = std::error::Error::source(status) {
        return Error::new(ErrorKind::Unavailable, "the connection to the daemon was lost")
            .with_context("cause", source.to_string())
            .with_hint("Look at the engine's log: it may have been stopped or have run out of memory.")
            .set_retryable(true);
    }
    let verdict = rules::verdict(status.code(), message);
    let message = match message {
        "" => format!("the daemon said only: {}", status.code()),
        message => message.to_owned(),
    };
    let error = Error::new(verdict.kind, message).set_retryable(verdict.retryable);
    match verdict.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The message without the names of the layers it came through.
fn tidy(message: &str) -> String {
    let mut rest = message.trim();
    while let Some(inner) = without_prefix(rest) {
        rest = inner;
    }
    rest.to_owned()
}

fn without_prefix(message: &str) -> Option<&str> {
    const LAYERS: [&str; 4] = [
        "failed to solve: ",
        "failed to solve with frontend dockerfile.v0: ",
        "failed to solve with frontend gateway.v0: ",
        "failed to create LLB definition: ",
    ];
    if let Some(inner) = LAYERS.iter().find_map(|layer| message.strip_prefix(layer)) {
        return Some(inner);
    }
    let inner = message.strip_prefix("rpc error: code = ")?;
    inner.split_once(" desc = ").map(|(_, inner)| inner)
}

/// The error of a build that was told to stop.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the build was cancelled")
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use wharf_core::event::EventSink;

    use super::*;

    fn solve_error(message: &str) -> Error {
        let story = Translator::new(EventSink::discard());
        let dockerfile = Dockerfile {
            name: "Dockerfile".into(),
            text: "FROM scratch\nFOO bar\n".into(),
        };
        from_solve(&Status::unknown(message), &story, Some(dockerfile))
    }

    #[test]
    fn messages_lose_the_layers_they_came_through() {
        let message = "failed to solve with frontend dockerfile.v0: rpc error: code = Unknown desc = failed to \
                       create LLB definition: no such stage";
        assert_eq!(tidy(message), "no such stage");
        assert_eq!(tidy("plain: message"), "plain: message");
    }

    #[test]
    fn a_parse_error_says_where() {
        let error = solve_error("dockerfile parse error line 2: unknown instruction: FOO");
        let failure =
            std::error::Error::source(&error).and_then(|source| source.downcast_ref::<BuildFailure>());
        assert_eq!(failure.unwrap().to_string(), "Dockerfile:2: FOO bar");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn an_exit_code_is_told() {
        let error = solve_error("executor failed running [/bin/sh -c false]: exit code: 3");
        assert_eq!(error.kind(), ErrorKind::BuildFailed);
        assert!(error.report().contains("exit code: 3"), "{}", error.report());
    }

    #[test]
    fn an_error_without_words_still_says_something() {
        let error = from_status(&Status::new(Code::Internal, ""));
        assert!(!error.message().is_empty());
    }
}
