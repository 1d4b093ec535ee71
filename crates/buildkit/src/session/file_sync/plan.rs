//! What one transfer sends: the list of paths, and which of them are files that may be asked for.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard_buildkit_proto::fsutil::types::Stat;
use wharf_core::{Error, ErrorKind, Result};

use super::directory::Listing;
use super::filter;
use super::metadata::Wanted;
use super::mode;
use super::source::{SyncEntry, SyncKind};
use super::tree::Node;

/// The paths of one transfer; a path's place in the list is its number on the wire.
#[derive(Debug)]
pub(crate) struct Plan {
    listing: Arc<Listing>,
    selected: Vec<usize>,
}

/// A file that may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedFile {
    /// Its place among the source's entries.
    pub(crate) index: usize,
    /// How long it must be.
    pub(crate) size: u64,
    /// For messages.
    pub(crate) path: String,
}

impl Plan {
    /// Picks what is wanted. Takes its time with many files.
    pub(crate) fn new(listing: Arc<Listing>, wanted: &Wanted) -> Result<Self> {
        let selected = filter::select(&listing.tree, &listing.entries, wanted)?;
        Ok(Self { listing, selected })
    }

    /// How many paths there are.
    pub(crate) fn len(&self) -> usize {
        self.selected.len()
    }

    /// What the daemon is told about a path.
    pub(crate) fn stat(&self, number: usize) -> Result<Stat> {
        let node = &self.listing.tree.nodes()[self.selected[number]];
        match node.entry {
            Some(entry) => stat(node, &self.listing.entries[entry]),
            None => Ok(Stat {
                path: node.path.clone(),
                mode: mode::to_go(&SyncKind::Directory, 0o755),
                ..Stat::default()
            }),
        }
    }

    /// The file of this number; none if it is no regular file.
    pub(crate) fn file(&self, number: u32) -> Option<PlannedFile> {
        let place = *self.selected.get(usize::try_from(number).ok()?)?;
        let node = &self.listing.tree.nodes()[place];
        let index = node.entry?;
        let entry = &self.listing.entries[index];
        (entry.kind == SyncKind::File).then(|| PlannedFile {
            index,
            size: entry.size,
            path: node.path.clone(),
        })
    }
}

fn stat(node: &Node, entry: &SyncEntry) -> Result<Stat> {
    require_utf8(&entry.path, &node.path)?;
    let linkname = match &entry.kind {
        SyncKind::Symlink { target } => require_utf8(target, &node.path)?.to_owned(),
        SyncKind::File | SyncKind::Directory => String::new(),
    };
    let size = match &entry.kind {
        SyncKind::File => entry.size,
        SyncKind::Directory => 0,
        SyncKind::Symlink { .. } => linkname.len() as u64,
    };
    Ok(Stat {
        path: node.path.clone(),
        mode: mode::to_go(&entry.kind, entry.mode),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        mod_time: nanoseconds(entry.modified),
        linkname,
        ..Stat::default()
    })
}

fn require_utf8<'a>(text: &'a Path, path: &str) -> Result<&'a str> {
    text.to_str().ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "a file name that is not UTF-8 cannot be sent to BuildKit",
        )
        .with_context("path", path)
        .with_hint(
            "Rename the file, exclude it in the ignore file, or build with an engine without BuildKit.",
        )
    })
}

/// Nanoseconds since 1970, negative before; what does not fit is cut off at the ends, in the years 1677 and 2262.
fn nanoseconds(time: SystemTime) -> i64 {
    let clamp = |nanos: u128| i64::try_from(nanos).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => clamp(since.as_nanos()),
        Err(before) => -clamp(before.duration().as_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{MemorySource, SyncSource};

    fn plan(source: &dyn SyncSource, wanted: &Wanted) -> Plan {
        Plan::new(Arc::new(Listing::new(source).unwrap()), wanted).unwrap()
    }

    struct One(SyncEntry);

    impl SyncSource for One {
        fn entries(&self) -> Result<Arc<[SyncEntry]>> {
            Ok([self.0.clone()].into())
        }

        fn open(&self, _: usize) -> Result<Box<dyn std::io::Read + Send>> {
            unreachable!("nothing is asked for")
        }
    }

    #[test]
    fn only_regular_files_can_be_asked_for() {
        let source = MemorySource::new().with_file("dir/file", "1234");
        let plan = plan(&source, &Wanted::default());
        assert_eq!(plan.len(), 2);
        assert_eq!(plan.file(0), None, "a directory");
        assert_eq!(plan.file(2), None, "beyond the end");
        let file = PlannedFile {
            index: 0,
            size: 4,
            path: "dir/file".into(),
        };
        assert_eq!(plan.file(1), Some(file));
    }

    #[test]
    fn times_before_1970_are_negative() {
        let second = Duration::from_secs(1);
        assert_eq!(nanoseconds(UNIX_EPOCH + second), 1_000_000_000);
        assert_eq!(nanoseconds(UNIX_EPOCH - second), -1_000_000_000);
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf8_is_refused_only_when_it_would_be_sent() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"bad-\xff");
        let source = One(SyncEntry {
            path: name.into(),
            kind: SyncKind::File,
            mode: 0o644,
            size: 0,
            modified: UNIX_EPOCH,
        });
        let error = plan(&source, &Wanted::default()).stat(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.report().contains("bad-"), "{}", error.report());
        let wanted = Wanted {
            exclude: vec!["bad*".into()],
            ..Wanted::default()
        };
        assert_eq!(plan(&source, &wanted).len(), 0);
    }
}
