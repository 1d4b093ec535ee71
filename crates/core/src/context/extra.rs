//! Files and directories that a context gets in addition to its root.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::entry::{ContextEntry, EntryKind, FileSource, read_failed};
use super::ignore::IgnoreRules;
use super::scan::Collector;
use super::walk::walk;
use crate::{Error, ErrorKind, Result};

/// What was added to a context.
#[derive(Debug, Clone)]
pub(super) enum Extra {
    File {
        name: PathBuf,
        source: FileSource,
        mode: Option<u32>,
    },
    Directory {
        name: PathBuf,
        path: PathBuf,
    },
    Symlink {
        name: PathBuf,
        target: PathBuf,
    },
}

/// The mode of files whose content is given as bytes, unless another is asked for.
const DEFAULT_MODE: u32 = 0o644;

/// Entries by their names: a path's order is the order of a walk.
pub(super) type Entries = BTreeMap<PathBuf, ContextEntry>;

impl Extra {
    /// The name under which it was added.
    pub(super) fn name(&self) -> &Path {
        match self {
            Self::File { name, .. } | Self::Directory { name, .. } | Self::Symlink { name, .. } => name,
        }
    }

    /// Adds its entries; what has the same name gives way.
    pub(super) fn collect(&self, entries: &mut Entries, collector: &mut Collector<'_>) -> Result<()> {
        match self {
            Self::File { name, source, mode } => {
                entries.insert(name.clone(), file(name, source, *mode)?);
            }
            Self::Directory { name, path } => {
                if let Some(directory) = directory(name, path)? {
                    entries.insert(name.clone(), directory);
                }
                let root = path.canonicalize().map_err(|source| read_failed(path, source))?;
                walk(&root, name, &IgnoreRules::empty(), collector)?;
                entries.extend(collector.take_entries().map(|entry| (entry.name.clone(), entry)));
            }
            Self::Symlink { name, target } => {
                entries.insert(name.clone(), ContextEntry::symlink(name.clone(), target.clone()));
            }
        }
        Ok(())
    }
}

fn file(name: &Path, source: &FileSource, mode: Option<u32>) -> Result<ContextEntry> {
    let path = match source {
        FileSource::Bytes(content) => {
            let mode = mode.unwrap_or(DEFAULT_MODE);
            return Ok(ContextEntry::from_bytes(name.to_owned(), content.clone(), mode));
        }
        FileSource::Path(path) => path,
    };
    let real = path.canonicalize().map_err(|source| missing(path, source))?;
    let metadata = real.metadata().map_err(|source| missing(path, source))?;
    match ContextEntry::from_disk(name.to_owned(), real, &metadata)? {
        Some(entry) if entry.kind == EntryKind::File => Ok(ContextEntry {
            mode: mode.unwrap_or(entry.mode),
            ..entry
        }),
        _ => {
            let message = format!("{} cannot be added as a file: it is none", path.display());
            Err(Error::new(ErrorKind::InvalidInput, message))
        }
    }
}

/// The entry of the directory itself; none for the root of the context.
fn directory(name: &Path, path: &Path) -> Result<Option<ContextEntry>> {
    let metadata = path.metadata().map_err(|source| missing(path, source))?;
    if !metadata.is_dir() {
        let message = format!("{} cannot be added as a directory: it is none", path.display());
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    match name.as_os_str().is_empty() {
        true => Ok(None),
        false => ContextEntry::from_disk(name.to_owned(), path.to_owned(), &metadata),
    }
}

fn missing(path: &Path, source: std::io::Error) -> Error {
    if source.kind() != std::io::ErrorKind::NotFound {
        return read_failed(path, source);
    }
    let message = format!(
        "{} was to be added to the build context, but does not exist",
        path.display()
    );
    Error::new(ErrorKind::NotFound, message)
}

/// A name inside a context in its shortest form, empty for the root.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for an absolute name and for one with `..`.
pub(super) fn inside(name: &Path) -> Result<PathBuf> {
    let mut inside = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => inside.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                let message = format!(
                    "{} does not name a place inside the build context",
                    name.display()
                );
                return Err(Error::new(ErrorKind::InvalidInput, message)
                    .with_hint("Give a relative name without `..`."));
            }
        }
    }
    Ok(inside)
}

/// Puts what was added over what the root has. Directories that are needed and nowhere come in as well.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if something is a directory for one and a file for the other.
pub(super) fn merge(disk: Vec<ContextEntry>, mut extra: Entries) -> Result<Vec<ContextEntry>> {
    if extra.is_empty() {
        return Ok(disk);
    }
    let mut implied = Entries::new();
    for name in extra.keys() {
        for parent in name
            .ancestors()
            .skip(1)
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            if extra.get(parent).is_some_and(|known| !known.is_directory()) {
                return Err(contradiction(parent));
            }
            if !extra.contains_key(parent) && !implied.contains_key(parent) {
                implied.insert(
                    parent.to_owned(),
                    ContextEntry::implied_directory(parent.to_owned()),
                );
            }
        }
    }
    let mut merged = Vec::with_capacity(disk.len() + extra.len());
    for entry in disk {
        let added = extra.get(&entry.name).or_else(|| implied.get(&entry.name));
        if added.is_some_and(|added| added.is_directory() != entry.is_directory()) {
            return Err(contradiction(&entry.name));
        }
        implied.remove(&entry.name);
        if !extra.contains_key(&entry.name) {
            merged.push(entry);
        }
    }
    extra.append(&mut implied);
    merged.extend(
        extra
            .into_values()
            .map(|entry| ContextEntry { added: true, ..entry }),
    );
    merged.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(merged)
}

fn contradiction(name: &Path) -> Error {
    let message = format!(
        "{} would have to be a directory and something else at once",
        name.display()
    );
    Error::new(ErrorKind::InvalidInput, message)
        .with_hint("Choose another name for the file that is added to the build context.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        assert_eq!(inside(Path::new("./a//b/")).unwrap(), Path::new("a/b"));
        assert_eq!(inside(Path::new(".")).unwrap(), Path::new(""));
        for bad in ["/a", "../a", "a/../b"] {
            assert_eq!(
                inside(Path::new(bad)).unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{bad}"
            );
        }
    }
}
