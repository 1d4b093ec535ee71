//! The Git checkout around a directory: which one it is, and which files of it differ from its commit.

use std::path::{Path, PathBuf};

use gix::bstr::{BStr, ByteSlice};
use gix::status::UntrackedFiles;
use wharf_core::{Error, ErrorKind, Result};

use super::source_root::is_own;

/// A checkout that a directory lies in.
pub(super) struct GitCheckout {
    pub(super) repository: gix::Repository,
    /// The directory inside the checkout, with `/` between its parts; empty for the root.
    pub(super) subdirectory: String,
}

/// Paths in a checkout that are not as its commit has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    pub(super) uncommitted: Vec<String>,
    pub(super) untracked: Vec<String>,
}

impl GitCheckout {
    /// The checkout that knows files in `directory`. None if there is no checkout, or if it is one that has no
    /// file there, such as that of a home directory around an ignored project.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if there is one that cannot be read.
    pub(super) fn around(directory: &Path) -> Result<Option<Self>> {
        let directory = directory
            .canonicalize()
            .map_err(|source| Error::io("the source root cannot be read", directory, source))?;
        let repository = match gix::discover(&directory) {
            Ok(repository) => repository,
            Err(error) if has_marker(&directory) => return Err(unreadable(error)),
            Err(_) => return Ok(None),
        };
        let Some(root) = repository.workdir().and_then(|root| root.canonicalize().ok()) else {
            return Ok(None);
        };
        let Ok(subdirectory) = directory.strip_prefix(&root) else {
            return Ok(None);
        };
        let Some(subdirectory) = subdirectory.to_str().map(str::to_owned) else {
            let message = format!("the path {} is not UTF-8", directory.display());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        };
        let checkout = Self {
            repository,
            subdirectory,
        };
        Ok(checkout.knows_files()?.then_some(checkout))
    }

    /// Whether anything below the directory is tracked, or could be: a checkout without any file is new.
    fn knows_files(&self) -> Result<bool> {
        let index = self.repository.index_or_empty().map_err(unreadable)?;
        Ok(match self.prefix() {
            prefix if prefix.is_empty() => true,
            prefix => index.prefixed_entries(BStr::new(prefix.as_bytes())).is_some(),
        })
    }

    /// What the paths of everything in the directory begin with.
    pub(super) fn prefix(&self) -> String {
        match self.subdirectory.as_str() {
            "" => String::new(),
            directory => format!("{directory}/"),
        }
    }

    /// Compares commit, index and files of the whole checkout. Files in directories that wharf or ZenML made for
    /// themselves do not count as untracked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`].
    pub(super) fn differences(&self, look_for_untracked: bool) -> Result<Differences> {
        let untracked = match look_for_untracked {
            true => UntrackedFiles::Collapsed,
            false => UntrackedFiles::None,
        };
        let submodules = gix::status::Submodule::Given {
            ignore: gix::submodule::config::Ignore::None,
            check_dirty: true,
        };
        let changes = self
            .repository
            .status(gix::progress::Discard)
            .and_then(|status| {
                status
                    .untracked_files(untracked)
                    .index_worktree_rewrites(None)
                    .tree_index_track_renames(gix::status::tree_index::TrackRenames::Disabled)
                    .index_worktree_submodules(submodules)
                    .into_iter(None)
            })
            .map_err(unreadable)?;
        let mut differences = Differences::default();
        for change in changes {
            differences.add(&change.map_err(unreadable)?);
        }
        differences.uncommitted.sort();
        differences.uncommitted.dedup();
        differences.untracked.sort();
        Ok(differences)
    }

    /// The files in the directory that Git tracks or would take in, relative to it: those of the index that still
    /// exist, and untracked ones that no rule ignores. Sorted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`].
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let prefix = self.prefix();
        let root = self.repository.workdir().unwrap_or(Path::new(""));
        let index = self.repository.index_or_empty().map_err(unreadable)?;
        let mut files: Vec<PathBuf> = index
            .entries()
            .iter()
            .map(|entry| entry.path(&index))
            .chain(self.untracked(&prefix)?.iter().map(|path| path.as_bstr()))
            .filter_map(|path| path.strip_prefix(prefix.as_bytes()))
            .filter_map(|path| gix::path::from_byte_slice(path).ok())
            .map(Path::to_owned)
            .collect();
        files.sort();
        files.dedup();
        let below = root.join(&self.subdirectory);
        files.retain(|file| below.join(file).symlink_metadata().is_ok());
        Ok(files)
    }

    fn untracked(&self, prefix: &str) -> Result<Vec<gix::bstr::BString>> {
        // The pathspec is literal: a directory may have any name.
        let patterns =
            (!prefix.is_empty()).then(|| gix::bstr::BString::from(format!(":(literal,top){prefix}")));
        let changes = self
            .repository
            .status(gix::progress::Discard)
            .and_then(|status| {
                status
                    .untracked_files(UntrackedFiles::Files)
                    .index_worktree_rewrites(None)
                    .index_worktree_submodules(None)
                    .into_index_worktree_iter(patterns)
            })
            .map_err(unreadable)?;
        let mut untracked = Vec::new();
        for change in changes {
            let change = gix::status::Item::IndexWorktree(change.map_err(unreadable)?);
            if is_untracked(&change) {
                untracked.push(change.location().to_owned());
            }
        }
        Ok(untracked)
    }
}

impl Differences {
    fn add(&mut self, change: &gix::status::Item) {
        let path = change.location().to_str_lossy().into_owned();
        match change {
            _ if is_untracked(change) => {
                if !is_own(Path::new(&path)) {
                    self.untracked.push(path);
                }
            }
            gix::status::Item::IndexWorktree(change) if change.summary().is_none() => {}
            _ => self.uncommitted.push(path),
        }
    }
}

fn is_untracked(change: &gix::status::Item) -> bool {
    use gix::status::index_worktree::Item::DirectoryContents;
    let gix::status::Item::IndexWorktree(DirectoryContents { entry, .. }) = change else {
        return false;
    };
    entry.status == gix::dir::entry::Status::Untracked
}

/// Whether a directory looks like one in a checkout: not finding one is then no answer.
fn has_marker(directory: &Path) -> bool {
    directory.ancestors().any(|above| above.join(".git").exists())
}

/// Some failure of Git.
pub(super) fn unreadable(source: gix::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        "the Git checkout around the source root cannot be read",
    )
    .with_source(source)
}
