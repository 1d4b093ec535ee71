//! What keeps images from being planned, told all at once.

use wharf_core::{Error, ErrorKind, Result};

/// The errors so far, with the keys of the images that have them.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<(Error, Vec<String>)>);

impl Problems {
    /// Keeps an error. What several images have in common is kept once.
    pub(super) fn take<T>(&mut self, key: String, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        match self
            .0
            .iter_mut()
            .find(|(known, _)| known.report() == error.report())
        {
            Some((_, keys)) => keys.push(key),
            None => self.0.push((error, vec![key])),
        }
        None
    }

    /// One error for all.
    pub(super) fn finish(mut self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            1 => match self.0.pop() {
                Some((error, keys)) => Err(error.with_context("image", keys.join(", "))),
                None => Ok(()),
            },
            count => Err(self.together(count)),
        }
    }

    fn together(&self, count: usize) -> Error {
        let kind = self
            .0
            .first()
            .map_or(ErrorKind::Unexpected, |(error, _)| error.kind());
        let lines = self.0.iter().map(|(error, keys)| {
            let report = error.report().replace('\n', "\n  ");
            format!("\n  {}: {report}", keys.join(", "))
        });
        Error::new(
            kind,
            format!(
                "{count} things keep images from being planned{}",
                lines.collect::<String>()
            ),
        )
    }
}
