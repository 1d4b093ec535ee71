//! A build context as a directory, for a command that takes nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use wharf_core::context::{ContextEntry, EntryKind};
use wharf_core::{BuildContext, Error, ErrorKind, Result};

/// Writes the context into a new directory and returns it.
pub(super) async fn write(context: &BuildContext, directory: &Path) -> Result<PathBuf> {
    let (context, directory) = (context.clone(), directory.to_owned());
    tokio::task::spawn_blocking(move || write_all(&context, &directory).map(|()| directory))
        .await
        .map_err(|source| {
            Error::new(ErrorKind::Unexpected, "copying the build context stopped").with_source(source)
        })?
}

fn write_all(context: &BuildContext, directory: &Path) -> Result<()> {
    fs::create_dir(directory).map_err(|source| Error::io("could not make a directory", directory, source))?;
    let entries = context.archive_entries()?;
    for entry in &entries {
        let path = directory.join(&entry.name);
        write_one(entry, &path)?;
    }
    // Last, and from below upwards: a directory may forbid to write into it.
    for entry in entries
        .iter()
        .rev()
        .filter(|entry| entry.kind == EntryKind::Directory)
    {
        set_mode(&directory.join(&entry.name), entry.mode)?;
    }
    Ok(())
}

fn write_one(entry: &ContextEntry, path: &Path) -> Result<()> {
    let failed = |source| Error::io("could not copy the build context", path, source);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match &entry.kind {
        EntryKind::Directory => fs::create_dir_all(path).map_err(failed),
        EntryKind::Symlink { target } => symlink(target, path).map_err(failed),
        EntryKind::File => {
            let mut file = fs::File::create_new(path).map_err(failed)?;
            std::io::copy(&mut entry.open()?, &mut file).map_err(failed)?;
            set_mode(path, entry.mode)
        }
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|source| Error::io("could not copy the build context", path, source))
}
