//! A directory that exists in memory only.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use wharf_core::{Error, ErrorKind, Result};

use super::source::{SyncEntry, SyncKind, SyncSource};

/// Files given as bytes, for a Dockerfile that is generated or lies outside the context.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    files: BTreeMap<PathBuf, MemoryFile>,
}

#[derive(Debug, Clone)]
struct MemoryFile {
    content: Bytes,
    mode: u32,
    modified: SystemTime,
}

impl MemorySource {
    /// A directory without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file with mode 0644, last changed now: the daemon will ask for its content. A path that is there
    /// already is replaced.
    #[must_use]
    pub fn with_file(self, path: impl Into<PathBuf>, content: impl Into<Bytes>) -> Self {
        self.with(path, content, 0o644, SystemTime::now())
    }

    /// Adds a file with the permission bits and the time of its last change. A path that is there already is
    /// replaced.
    #[must_use]
    pub fn with(
        mut self,
        path: impl Into<PathBuf>,
        content: impl Into<Bytes>,
        mode: u32,
        modified: SystemTime,
    ) -> Self {
        let content = content.into();
        self.files.insert(
            path.into(),
            MemoryFile {
                content,
                mode,
                modified,
            },
        );
        self
    }
}

impl SyncSource for MemorySource {
    fn entries(&self) -> Result<Arc<[SyncEntry]>> {
        let entry = |(path, file): (&PathBuf, &MemoryFile)| SyncEntry {
            path: path.clone(),
            kind: SyncKind::File,
            mode: file.mode,
            size: file.content.len() as u64,
            modified: file.modified,
        };
        Ok(self.files.iter().map(entry).collect())
    }

    fn open(&self, index: usize) -> Result<Box<dyn Read + Send>> {
        let file = self
            .files
            .values()
            .nth(index)
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "no such file in memory"))?;
        Ok(Box::new(Cursor::new(file.content.clone())))
    }
}
