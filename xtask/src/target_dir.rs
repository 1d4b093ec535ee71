//! Where build results go in CI, which clones afresh each time and would otherwise compile everything each time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Result;

use crate::process::{cargo, run};

/// The user's cache folder for this project, `${XDG_CACHE_HOME:-~/.cache}/wharf`.
pub(crate) fn cache() -> PathBuf {
    cache_in(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"))
}

fn cache_in(xdg: Option<OsString>, home: Option<OsString>) -> PathBuf {
    // The XDG base directory specification: a path that is not absolute is to be ignored.
    let xdg = xdg.map(PathBuf::from).filter(|path| path.is_absolute());
    let root = xdg.or_else(|| home.map(|home| Path::new(&home).join(".cache")));
    root.unwrap_or_else(std::env::temp_dir).join("wharf")
}

/// Whether this runs in CI, which asks no questions and lets nothing be skipped.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// The target directory for cargo calls of a task, unless cargo's own default is right: in CI one in the cache, which
/// this process then has for itself until it ends. A run at the same time gets none and starts cold.
pub(crate) fn for_children() -> Option<PathBuf> {
    // The lock goes when the file is closed, which is when the process ends.
    static LOCKED: LazyLock<Option<(PathBuf, File)>> = LazyLock::new(|| {
        let own_choice = std::env::var_os("CARGO_TARGET_DIR").is_some();
        (in_ci() && !own_choice)
            .then(|| lock(&cache().join("target")))
            .flatten()
    });
    LOCKED.as_ref().map(|(directory, _)| directory.clone())
}

/// Makes a folder and keeps other runs from using it; none if one does.
fn lock(directory: &Path) -> Option<(PathBuf, File)> {
    fs::create_dir_all(directory).ok()?;
    let file = File::create(directory.with_extension("lock")).ok()?;
    file.try_lock().ok()?;
    Some((directory.to_owned(), file))
}

/// In CI, removes what an earlier clone has left of the workspace's own packages in the shared target directory. Cargo
/// tells by the times of files whether it must compile again, and those of two clones have nothing to do with each
/// other.
pub(crate) fn forget_other_clones() -> Result<()> {
    match for_children() {
        Some(_) => run(&mut cargo(["clean", "--locked", "--workspace"])),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_xdg_rules() {
        let cache =
            |xdg: Option<&str>, home: Option<&str>| cache_in(xdg.map(Into::into), home.map(Into::into));
        assert_eq!(cache(Some("/x"), Some("/h")), Path::new("/x/wharf"));
        assert_eq!(cache(Some("relative"), Some("/h")), Path::new("/h/.cache/wharf"));
        assert_eq!(cache(None, Some("/h")), Path::new("/h/.cache/wharf"));
    }

    #[test]
    fn only_one_run_gets_the_shared_folder() {
        let directory = std::env::temp_dir().join(format!("wharf-xtask-target-{}", std::process::id()));
        let first = lock(&directory).unwrap();
        assert!(lock(&directory).is_none());
        drop(first);
        assert!(lock(&directory).is_some());
        fs::remove_dir_all(&directory).unwrap();
        fs::remove_file(directory.with_extension("lock")).unwrap();
    }
}
