//! Folders in the cache that engines keep their images in from run to run, one engine at a time in each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::pid::Process;
use super::run_dir::ServiceDir;
use crate::target_dir::cache;

/// How many engines of one kind may run at the same time.
const LIMIT: usize = 50;

/// The first of the folders `kind-0`, `kind-1`, … that no running engine uses. Call it with the set-up lock held.
pub(crate) fn free_folder(kind: &str) -> Result<PathBuf> {
    let free = free_folder_in(&cache(), kind);
    free.with_context(|| format!("{LIMIT} {kind} services of other runs are running; stop some of them"))
}

fn free_folder_in(parent: &Path, kind: &str) -> Option<PathBuf> {
    let mut all = (0..LIMIT).map(|number| parent.join(format!("{kind}-{number}")));
    all.find(|folder| !in_use(folder))
}

/// Notes that the service's daemon uses the folder as long as it runs.
pub(crate) fn occupy(folder: &Path, service: &ServiceDir) -> Result<()> {
    fs::copy(service.join("pid"), owner(folder)).context("cannot note the owner of a folder")?;
    Ok(())
}

fn in_use(folder: &Path) -> bool {
    let owner = fs::read_to_string(owner(folder)).ok();
    owner
        .as_deref()
        .and_then(Process::from_text)
        .is_some_and(Process::is_alive)
}

/// Beside the folder, because what is inside belongs to the engine.
fn owner(folder: &Path) -> PathBuf {
    folder.with_extension("owner")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_when_its_owner_has_ended() {
        let parent = std::env::temp_dir().join(format!("wharf-xtask-storage-{}", std::process::id()));
        fs::create_dir_all(&parent).unwrap();
        let first = free_folder_in(&parent, "engine").unwrap();
        assert_eq!(first, parent.join("engine-0"));
        fs::write(
            owner(&first),
            Process::with_id(std::process::id()).unwrap().to_text(),
        )
        .unwrap();
        assert_eq!(
            free_folder_in(&parent, "engine").unwrap(),
            parent.join("engine-1")
        );
        fs::write(owner(&first), "1 1\n").unwrap();
        assert_eq!(free_folder_in(&parent, "engine").unwrap(), first);
        fs::remove_dir_all(&parent).unwrap();
    }
}
