//! The one error type of wharf.
//!
//! An [`Error`] answers five questions: what kind of failure it is ([`Error::kind`]), whether trying again
//! can help ([`Error::is_retryable`]), what was being done ([`Error::operation`]), with what
//! ([`Error::context`]), and what the user should do next ([`Error::hint`]). The cause is the
//! [`source`](std::error::Error::source) and is never repeated in `Display`; [`Error::report`] prints the
//! whole chain, each fact once.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};

/// The result of everything in wharf that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure an [`Error`] is.
///
/// The kind says what is wrong; whether a retry can help is a fact of its own, see
/// [`Error::is_retryable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong: a reference that does not parse, an option of the wrong form.
    InvalidInput,
    /// A configuration or stack is wrong: an unknown key, a component that is missing.
    InvalidConfiguration,
    /// Something named does not exist: a Dockerfile, an image, a project.
    NotFound,
    /// The builder cannot do what was asked. The message names the option and who could.
    Unsupported,
    /// The other side could not be reached: no engine, no registry, no API server.
    Unavailable,
    /// Credentials are missing, wrong or expired.
    Unauthenticated,
    /// The credentials are good, but do not allow this.
    PermissionDenied,
    /// The other side is asked too often.
    RateLimited,
    /// Disk, memory or quota ran out.
    ResourceExhausted,
    /// The build itself failed: an instruction of the Dockerfile ended with an error.
    BuildFailed,
    /// The image was built but could not be pushed.
    PushFailed,
    /// It took longer than allowed.
    Timeout,
    /// The caller cancelled.
    Cancelled,
    /// What is there contradicts what is asked: a name that is taken, a file that changed while it was read.
    Conflict,
    /// Reading or writing a local file failed.
    Io,
    /// The other side answered something that wharf does not understand, or wharf is wrong.
    Unexpected,
}

/// A failure: kind, operation, context, cause, and what to do next.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    retryable: bool,
    operation: Option<String>,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of a kind with a message: a fragment in lower case, without a full stop at its end.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            retryable: matches!(kind, ErrorKind::RateLimited),
            operation: None,
            context: Vec::new(),
            hint: None,
            source: None,
        }))
    }

    /// An [`ErrorKind::Io`] error about a file.
    #[must_use]
    pub fn io(message: impl Into<String>, path: &std::path::Path, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                ErrorKind::ResourceExhausted
            }
            _ => ErrorKind::Io,
        };
        Self::new(kind, message)
            .with_context("path", path.display().to_string())
            .with_source(source)
    }

    /// The error of an operation whose [cancellation token](tokio_util::sync::CancellationToken) fired.
    #[must_use]
    pub fn cancelled(what: &str) -> Self {
        Self::new(ErrorKind::Cancelled, format!("{what} was cancelled"))
    }

    /// Says whether the same call may succeed when it is made again.
    #[must_use]
    pub fn set_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// Says what was being done, for example `push the image`. The first answer stays.
    #[must_use]
    pub fn with_operation(mut self, operation: impl Into<String>) -> Self {
        self.0.operation.get_or_insert_with(|| operation.into());
        self
    }

    /// Adds a fact, for example `("image", "app:1")`. A key that is already there keeps its value.
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: impl Into<String>) -> Self {
        if !self.0.context.iter().any(|(known, _)| *known == key) {
            self.0.context.push((key, value.into()));
        }
        self
    }

    /// Says what the user should do next, as a full sentence.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The sort of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed when it is made again. Retries that ran out clear this.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The message alone.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// The facts, in the order in which they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// What the user should do next.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The whole error for people: message, facts, every cause, and what to do next, each once, in lines.
    ///
    /// ```
    /// use wharf_core::{Error, ErrorKind};
    /// let error = Error::new(ErrorKind::NotFound, "there is no Dockerfile")
    ///     .with_context("path", "app/Dockerfile")
    ///     .with_hint("Name it with --file.");
    /// assert_eq!(
    ///     error.report(),
    ///     "there is no Dockerfile\n  path: app/Dockerfile\n  help: Name it with --file."
    /// );
    /// ```
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = self.to_string();
        for (key, value) in self.context() {
            let _ = write!(out, "\n  {key}: {value}");
        }
        let mut hint = self.hint();
        let mut cause = self.source();
        while let Some(error) = cause {
            let _ = write!(out, "\n  cause: {error}");
            if let Some(inner) = error.downcast_ref::<Error>() {
                for (key, value) in inner.context() {
                    let _ = write!(out, "\n    {key}: {value}");
                }
                hint = hint.or(inner.hint());
            }
            cause = error.source();
        }
        if let Some(hint) = hint {
            let _ = write!(out, "\n  help: {}", hint.replace('\n', "\n        "));
        }
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.operation {
            Some(operation) => write!(f, "could not {operation}: {}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("retryable", &self.0.retryable)
            .field("operation", &self.0.operation)
            .field("context", &self.0.context)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_each_fact_once() {
        let cause = Error::new(ErrorKind::Unauthenticated, "the password is wrong")
            .with_context("registry", "r.example")
            .with_hint("Log in again.");
        let error = Error::new(ErrorKind::PushFailed, "the registry refused")
            .with_operation("push the image")
            .with_context("image", "r.example/app:1")
            .with_source(cause);
        assert_eq!(
            error.report(),
            "could not push the image: the registry refused\n  image: r.example/app:1\n  cause: the password is \
             wrong\n    registry: r.example\n  help: Log in again."
        );
    }

    #[test]
    fn a_full_disk_is_not_just_any_io_error() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Error::io("could not write", std::path::Path::new("/x"), full);
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    }

    #[test]
    fn context_keeps_the_first_value_of_a_key() {
        let error = Error::new(ErrorKind::Io, "x")
            .with_context("path", "inner")
            .with_context("path", "outer");
        assert_eq!(error.context().collect::<Vec<_>>(), [("path", "inner")]);
    }
}
