//! The checksum of the code that a context has, read once for all images that have the same.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use wharf_core::Result;

use crate::plan::BuildInstructions;

/// What decides which files of which directory are in a context, and how.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Source {
    root: PathBuf,
    ignore_file: Option<PathBuf>,
    /// The name of the Dockerfile, whose own ignore file may lie beside it.
    dockerfile: String,
    left_out: Vec<&'static str>,
    open_modes: bool,
}

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
        let source = Source {
            root,
            ignore_file: instructions.ignore_file.clone(),
            dockerfile: instructions.dockerfile.0.clone(),
            left_out: instructions.left_out.clone(),
            open_modes: instructions.open_modes,
        };
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

#[cfg(test)]
mod tests {
    use wharf_core::options::DockerBuildOptions;

    use super::*;
    use crate::plan::PullParent;

    #[test]
    fn images_that_get_other_files_of_one_directory_have_other_code() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(".git")).unwrap();
        std::fs::write(root.path().join(".git/HEAD"), "x").unwrap();
        let with_git = BuildInstructions {
            image: "app:1".parse().unwrap(),
            context_root: Some(root.path().to_owned()),
            ignore_file: None,
            files: Vec::new(),
            missing: Vec::new(),
            dockerfile: ("Dockerfile".into(), "FROM p".into()),
            open_modes: true,
            left_out: Vec::new(),
            options: DockerBuildOptions::default(),
            pull: PullParent::No,
        };
        let without = BuildInstructions {
            left_out: vec!["**/.git"],
            ..with_git.clone()
        };
        let (one, other) = (CodeDigests::default(), CodeDigests::default());
        let first = (one.of(&with_git).unwrap(), one.of(&without).unwrap());
        let second = (other.of(&without).unwrap(), other.of(&with_git).unwrap());
        assert_ne!(first.0, first.1);
        assert_eq!(first, (second.1, second.0));
    }
}
