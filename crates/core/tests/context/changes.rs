use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use wharf_core::context::DockerfileSource;
use wharf_core::{ArchiveFormat, BuildContext, ContextEntry, Error, ErrorKind, FileSource};

use super::tree;

/// What is done to something, and how.
type Change<T> = (&'static str, fn(&T));

fn only_file(root: &Path) -> ContextEntry {
    BuildContext::new(root).files().unwrap().remove(0)
}

fn inner(error: io::Error) -> Error {
    error.downcast().unwrap()
}

fn assert_conflict(error: &Error, name: &str) {
    assert_eq!(error.kind(), ErrorKind::Conflict, "{}", error.report());
    let named = error
        .context()
        .any(|(key, path)| key == "path" && path.ends_with(name));
    assert!(named && error.hint().is_some(), "{}", error.report());
}

#[test]
fn a_file_that_changed_since_it_was_listed_is_not_opened() {
    let changes: [Change<Path>; 6] = [
        ("vanishes", |path| fs::remove_file(path).unwrap()),
        ("grows", |path| fs::write(path, "longer than before").unwrap()),
        ("shrinks", |path| fs::write(path, "").unwrap()),
        ("is written to", |path| {
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(SystemTime::UNIX_EPOCH)
                .unwrap();
        }),
        ("becomes a link", |path| {
            fs::rename(path, path.with_extension("moved")).unwrap();
            symlink("file.moved", path).unwrap();
        }),
        ("becomes a pipe", |path| {
            fs::remove_file(path).unwrap();
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
    ];
    for (what, change) in changes {
        let root = tree(&["file"]);
        let entry = only_file(root.path());
        assert_eq!(io::read_to_string(entry.open().unwrap()).unwrap(), "file");
        change(&root.path().join("file"));
        let error = entry
            .open()
            .err()
            .unwrap_or_else(|| panic!("a file that {what} was opened"));
        if what != "becomes a link" {
            assert_conflict(&error, "/file");
        }
    }
}

#[test]
fn a_file_that_is_replaced_by_one_like_it_is_noticed() {
    let root = tree(&["file"]);
    let (path, entry) = (root.path().join("file"), only_file(root.path()));
    fs::rename(&path, root.path().join("moved")).unwrap();
    fs::write(&path, "like").unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(entry.modified)
        .unwrap();
    assert_conflict(&entry.open().err().unwrap(), "/file");
}

#[test]
fn a_file_that_changes_while_it_is_read_ends_with_an_error() {
    let changes: [Change<File>; 2] = [
        ("grows", |mut file| file.write_all(b"more").unwrap()),
        ("shrinks", |file| file.set_len(3).unwrap()),
    ];
    for (what, change) in changes {
        let root = tree(&["file"]);
        let path = root.path().join("file");
        let entry = only_file(root.path());
        let mut reader = entry.open().unwrap();
        reader.read_exact(&mut [0; 2]).unwrap();
        change(&OpenOptions::new().append(true).open(&path).unwrap());
        let error = inner(io::read_to_string(reader).unwrap_err());
        assert_conflict(&error, "/file");
        assert!(!error.message().is_empty(), "{what}");
    }
    // Written to, with the same size: the time tells.
    let root = tree(&["file"]);
    let mut reader = only_file(root.path()).open().unwrap();
    reader.read_exact(&mut [0; 4]).unwrap();
    let file = File::options()
        .write(true)
        .open(root.path().join("file"))
        .unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_conflict(&inner(reader.read(&mut [0; 4]).unwrap_err()), "/file");
}

#[test]
fn an_archive_of_a_changing_tree_is_an_error_and_incomplete() {
    for format in ArchiveFormat::ALL {
        let root = tree(&["a", "b", "c"]);
        let victim = root.path().join("b");
        let mut out = Vec::new();
        let error = BuildContext::new(root.path())
            .write_archive(format, &mut out, &mut |_| fs::write(&victim, "").unwrap())
            .unwrap_err();
        assert_conflict(&error, "/b");
        let mut whole = Vec::new();
        BuildContext::new(root.path())
            .write_archive(format, &mut whole, &mut |_| {})
            .unwrap();
        assert_ne!(out, whole);
        assert!(!out.ends_with(&[0; 1024]) && !out.windows(4).any(|four| four == b"PK\x05\x06"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    // The kernel opens this file for root and refuses to read it to anybody.
    let path = Path::new("/proc/self/clear_refs");
    let mut context = BuildContext::empty();
    context
        .add_file("x", FileSource::Path(path.into()), None)
        .unwrap();
    let error = context.digest().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(
        error.context().any(|(_, value)| value.ends_with("clear_refs")),
        "{}",
        error.report()
    );
    let root = tree(&[]);
    let context = BuildContext::new(root.path()).with_dockerfile(DockerfileSource::Path("gone/x".into()));
    assert_eq!(context.digest().unwrap_err().kind(), ErrorKind::NotFound);
}
