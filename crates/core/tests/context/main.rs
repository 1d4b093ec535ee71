//! Build contexts on real trees of files.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are no test functions to clippy"
)]

mod archive;
mod changes;
mod dockerfile;
mod extra;
mod random;
mod streams;
mod walk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use wharf_core::{BuildContext, ContextEntry};

/// A directory with these files; each holds its own name. A trailing slash makes an empty directory.
fn tree(names: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in names {
        put(root.path(), name, name);
    }
    root
}

fn put(root: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = root.join(name);
    if name.ends_with('/') {
        fs::create_dir_all(&path).unwrap();
    } else {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
    }
    path
}

fn names(entries: &[ContextEntry]) -> Vec<String> {
    entries.iter().map(ContextEntry::display_name).collect()
}

fn files(context: &BuildContext) -> Vec<String> {
    names(&context.files().unwrap())
}

fn entry<'a>(entries: &'a [ContextEntry], name: &str) -> &'a ContextEntry {
    entries
        .iter()
        .find(|entry| entry.name == Path::new(name))
        .unwrap()
}

fn content(entries: &[ContextEntry], name: &str) -> String {
    let mut text = String::new();
    entry(entries, name)
        .open()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// Whether a program is installed; where it is not, the test says so, and fails in CI.
fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok()
        || std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|directory| directory.join(program).is_file());
    assert!(
        found || std::env::var_os("CI").is_none(),
        "{program} is not installed"
    );
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}
