//! Lists of patterns, of which the last that matches decides.

use wharf_core::{Error, ErrorKind, Result};

use super::glob;
use super::tree::is_inside;

/// Patterns that match a path or a directory above it; one with a `!` takes back.
#[derive(Debug)]
pub(crate) struct Patterns(Vec<String>);

impl Patterns {
    /// None if the list is empty.
    pub(crate) fn new(patterns: &[String]) -> Result<Option<Self>> {
        if let Some(pattern) = patterns.iter().find(|pattern| glob::has_wildcards(pattern)) {
            return Err(
                Error::new(ErrorKind::Unsupported, "patterns with wildcards are not read yet")
                    .with_context("pattern", pattern.as_str()),
            );
        }
        Ok((!patterns.is_empty()).then(|| Self(patterns.to_vec())))
    }

    /// Whether the last pattern that matches the path has no `!`.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.iter().fold(false, |matched, pattern| {
            let (plain, positive) = match pattern.strip_prefix('!') {
                Some(plain) => (plain, false),
                None => (pattern.as_str(), true),
            };
            match path == plain || is_inside(path, plain) {
                true => positive,
                false => matched,
            }
        })
    }
}
