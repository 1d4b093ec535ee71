//! What a build context consists of, and reading it without being lied to.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::{Error, ErrorKind, Result};

/// The permission bits that are kept: read, write, execute, set-user-id, set-group-id, sticky.
pub(crate) const MODE_BITS: u32 = 0o7777;

/// Where the content of a file comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum FileSource {
    /// These bytes.
    Bytes(Bytes),
    /// This file on disk, read when it is needed.
    Path(PathBuf),
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
        }
    }
}

/// What an entry is.
///
/// Files with several hard links are files of their own, each with the whole content: no archive then depends
/// on the order in which it is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, stored as it is and never followed.
    Symlink {
        /// What the link says, whether it exists or not.
        target: PathBuf,
    },
}

/// One file, directory or symbolic link of a build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextEntry {
    /// The path inside the context, relative, without a leading `./`.
    pub name: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// The permission bits, at most `0o7777`; `0o777` for a link.
    pub mode: u32,
    /// The size of a file in bytes; 0 for anything else.
    pub size: u64,
    /// When the content last changed. The epoch for content that was given as bytes.
    pub modified: SystemTime,
    /// Where it is.
    pub source: FileSource,
    /// It was added to the context.
    pub(crate) added: bool,
    pub(crate) identity: Option<Identity>,
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// A time for content that is on no disk: the same for the same content, and another for other content.
///
/// BuildKit takes a file whose mode, size and time are as they were for unchanged and does not ask for it again.
/// With one time for all, a requirements file in which `1.0` became `1.1` would not be sent. The times lie between
/// 1980 and 2014, so that no program finds a file from the future.
fn time_of(content: &[u8]) -> SystemTime {
    let digest = Sha256::digest(content);
    let number = |range: std::ops::Range<usize>| {
        digest[range]
            .iter()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let seconds = YEAR_1980 + (number(0..8) >> 34);
    let nanoseconds = u32::try_from(number(8..12) % 1_000_000_000).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

/// 1980-01-01 in seconds since 1970.
const YEAR_1980: u64 = 315_532_800;

impl ContextEntry {
    /// The entry for something on disk; none for sockets, pipes and devices.
    pub(crate) fn from_disk(name: PathBuf, path: PathBuf, metadata: &Metadata) -> Result<Option<Self>> {
        let kind = if metadata.is_file() {
            EntryKind::File
        } else if metadata.is_dir() {
            EntryKind::Directory
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(&path).map_err(|source| read_failed(&path, source))?;
            EntryKind::Symlink { target }
        } else {
            return Ok(None);
        };
        let mode = match kind {
            EntryKind::Symlink { .. } => 0o777,
            _ => metadata.mode() & MODE_BITS,
        };
        Ok(Some(Self {
            name,
            mode,
            size: if kind == EntryKind::File {
                metadata.len()
            } else {
                0
            },
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            added: false,
            identity: Some(Identity::of(metadata)),
            source: FileSource::Path(path),
            kind,
        }))
    }

    /// A file whose content is given.
    pub(crate) fn from_bytes(name: PathBuf, content: Bytes, mode: u32) -> Self {
        Self {
            name,
            kind: EntryKind::File,
            mode: mode & MODE_BITS,
            size: content.len() as u64,
            modified: time_of(&content),
            source: FileSource::Bytes(content),
            added: false,
            identity: None,
        }
    }

    /// A link that exists nowhere.
    pub(crate) fn symlink(name: PathBuf, target: PathBuf) -> Self {
        Self {
            kind: EntryKind::Symlink { target },
            ..Self::from_bytes(name, Bytes::new(), 0o777)
        }
    }

    /// A directory that exists nowhere, needed for what is in it.
    pub(crate) fn implied_directory(name: PathBuf) -> Self {
        Self {
            kind: EntryKind::Directory,
            ..Self::from_bytes(name, Bytes::new(), 0o755)
        }
    }

    /// Gives everybody the permissions of the owner.
    pub(crate) fn open_mode(&mut self) {
        let owner = (self.mode & 0o700) >> 6;
        self.mode |= owner << 3 | owner;
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == EntryKind::Directory
    }

    /// The name as `wharf context ls` prints it: a directory with a slash behind it.
    #[must_use]
    pub fn display_name(&self) -> String {
        let slash = if self.is_directory() { "/" } else { "" };
        format!("{}{slash}", self.name.display())
    }

    /// Opens the content of a file.
    ///
    /// The reader gives exactly [`size`](Self::size) bytes. If the file on disk is not the one that was
    /// listed any more, or is being written to, reading ends with an error and not with the end of the file:
    /// an [`io::Error`] that holds an [`Error`] of kind [`ErrorKind::Conflict`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if the file has changed or is gone, [`ErrorKind::Io`] if it cannot be opened,
    /// [`ErrorKind::InvalidInput`] if the entry is no file. The path is named.
    pub fn open(&self) -> Result<Box<dyn Read + Send>> {
        if self.kind != EntryKind::File {
            let message = format!("{} is no file and has no content", self.name.display());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        match &self.source {
            FileSource::Bytes(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            FileSource::Path(path) => Ok(Box::new(CheckedFile::open(self, path)?)),
        }
    }
}

/// A file that must stay what it was when it was listed.
struct CheckedFile {
    file: File,
    path: PathBuf,
    size: u64,
    modified: SystemTime,
    left: u64,
}

impl CheckedFile {
    fn open(entry: &ContextEntry, path: &Path) -> Result<Self> {
        // A pipe that took the file's place must not block, a link must not be followed.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(|source| read_failed(path, source))?;
        let metadata = file.metadata().map_err(|source| read_failed(path, source))?;
        let opened = Self {
            file,
            path: path.to_owned(),
            size: entry.size,
            modified: entry.modified,
            left: entry.size,
        };
        if entry
            .identity
            .is_some_and(|known| known != Identity::of(&metadata))
        {
            return Err(changed(path, "it was replaced by another file"));
        }
        opened.check(&metadata)?;
        Ok(opened)
    }

    fn check(&self, metadata: &Metadata) -> Result<()> {
        if metadata.len() != self.size {
            let what = format!("its size went from {} to {} bytes", self.size, metadata.len());
            return Err(changed(&self.path, &what));
        }
        if metadata
            .modified()
            .is_ok_and(|modified| modified != self.modified)
        {
            return Err(changed(&self.path, "it was written to"));
        }
        Ok(())
    }

    /// Called at the expected end: there must be no more, and nothing may have been written meanwhile.
    fn finish(&mut self) -> Result<()> {
        let more = self
            .file
            .read(&mut [0])
            .map_err(|source| read_failed(&self.path, source))?;
        if more > 0 {
            return Err(changed(&self.path, "it grew"));
        }
        let metadata = self
            .file
            .metadata()
            .map_err(|source| read_failed(&self.path, source))?;
        self.check(&metadata)
    }
}

impl Read for CheckedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            self.finish().map_err(io::Error::other)?;
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = match self.file.read(&mut buffer[..most]) {
            Ok(0) => {
                let what = format!("it ended {} bytes early", self.left);
                return Err(io::Error::other(changed(&self.path, &what)));
            }
            Ok(read) => read,
            Err(source) if source.kind() == io::ErrorKind::Interrupted => return Err(source),
            Err(source) => return Err(io::Error::other(read_failed(&self.path, source))),
        };
        self.left -= read as u64;
        Ok(read)
    }
}

/// A file or directory that was there a moment ago cannot be read.
pub(crate) fn read_failed(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => changed(path, "it is gone"),
        io::ErrorKind::PermissionDenied => {
            Error::io("a part of the build context cannot be read", path, source)
                .with_hint("Make it readable, or leave it out with a line in .dockerignore.")
        }
        _ => Error::io("a part of the build context cannot be read", path, source),
    }
}

/// Something is not what it was when the context was listed.
fn changed(path: &Path, what: &str) -> Error {
    let message = format!("a file of the build context changed while it was read: {what}");
    Error::new(ErrorKind::Conflict, message)
        .with_context("path", path.display().to_string())
        .with_hint("Try again when nothing writes to it, or leave it out with a line in .dockerignore.")
}
