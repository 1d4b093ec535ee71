//! The checksum of the code that a context has, read once for all images that have the same.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use wharf_core::Result;

use crate::plan::BuildInstructions;

/// What decides which files of which directory are in a context: the directory, the ignore file, and the name of
/// the Dockerfile, whose own ignore file may lie beside it.
type Source = (PathBuf, Option<PathBuf>, String);

/// Reads each directory once.
#[derive(Debug, Default)]
pub(crate) struct CodeDigests {
    known: Mutex<HashMap<Source, Arc<Mutex<Option<String>>>>>,
}

impl CodeDigests {
    /// The checksum of the files that the context's directory gives to an image; none where there is no
    /// directory. Blocks while files are read.
    pub(crate) fn of(&self, instructions: &BuildInstructions) -> Result<Option<String>> {
        let Some(root) = instructions.context_root.clone() else {
            return Ok(None);
        };
        let ignore_file = instructions.ignore_file.clone();
        let source = (root, ignore_file, instructions.dockerfile.0.clone());
        let answer = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(source).or_default())
        };
        // Whoever asks for the same while it is read waits for the answer here.
        let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.is_none() {
            *answer = Some(instructions.code_context()?.digest()?);
        }
        Ok(answer.clone())
    }

    /// How many directories were read.
    pub(crate) fn read(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
