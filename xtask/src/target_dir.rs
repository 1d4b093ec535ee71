//! Where build results go in CI, which clones afresh each time and would otherwise compile everything each time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

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

/// The target directory for cargo calls of a task, unless cargo's own default is right.
pub(crate) fn for_children() -> Option<PathBuf> {
    let own_choice = std::env::var_os("CARGO_TARGET_DIR").is_some();
    (in_ci() && !own_choice).then(|| cache().join("target"))
}

/// In CI, removes what earlier clones have left of the workspace's own packages in the shared target directory. Cargo
/// never uses it again, because it takes the same package in another folder for another package.
pub(crate) fn forget_other_clones() -> Result<()> {
    match for_children() {
        Some(directory) if directory.is_dir() => run(&mut cargo(["clean", "--locked", "--workspace"])),
        _ => Ok(()),
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
}
