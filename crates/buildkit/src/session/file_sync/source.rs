//! What files are sent: the caller's part of file sync.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use wharf_core::Result;

/// One path of a directory that the daemon may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncEntry {
    /// Where it is, relative to the directory's root; made of plain names only.
    pub path: PathBuf,
    /// What it is.
    pub kind: SyncKind,
    /// Unix permission bits, with set-user-id, set-group-id and sticky; other bits are ignored.
    pub mode: u32,
    /// Length of the content in bytes; what it says for anything but a file is ignored.
    pub size: u64,
    /// When it was last changed. The daemon takes a file whose mode, size and time are what they were for
    /// unchanged, and does not ask for its content.
    pub modified: SystemTime,
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, sent as a link and never followed.
    Symlink {
        /// What the link says, unchanged.
        target: PathBuf,
    },
}

/// A directory that the daemon may read.
///
/// The methods block; they are called on threads where that is allowed.
pub trait SyncSource: Send + Sync + 'static {
    /// Everything in the directory, in any order, without the root itself. A directory that holds something
    /// may be left out: it is then sent with mode 0755. It is called at the beginning of the build, once.
    ///
    /// # Errors
    /// Whatever stops the directory from being listed; it ends the build.
    fn entries(&self) -> Result<Arc<[SyncEntry]>>;

    /// Opens a file for reading; `index` is its place in what [`entries`](Self::entries) returned last. Called
    /// only for files the daemon asked for. The reader must end after exactly [`SyncEntry::size`] bytes, else
    /// the build fails, as the file changed while it was read.
    ///
    /// # Errors
    /// Whatever stops the file from being opened; it ends the build.
    fn open(&self, index: usize) -> Result<Box<dyn Read + Send>>;
}

impl<T: SyncSource + ?Sized> SyncSource for Arc<T> {
    fn entries(&self) -> Result<Arc<[SyncEntry]>> {
        (**self).entries()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Read + Send>> {
        (**self).open(index)
    }
}

impl fmt::Debug for dyn SyncSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SyncSource")
    }
}
