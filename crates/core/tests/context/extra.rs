use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use wharf_core::{BuildContext, EntryKind, ErrorKind, FileSource, IgnoreRules};

use super::{content, entry, files, names, put, tree};

fn bytes(text: &'static str) -> FileSource {
    FileSource::Bytes(text.into())
}

#[test]
fn added_files_lie_over_the_root_and_rules_do_not_touch_them() {
    let root = tree(&["a", "sub/b", ".dockerignore"]);
    put(root.path(), ".dockerignore", "*\n");
    let mut context = BuildContext::new(root.path());
    context.add_file("a", bytes("new"), None).unwrap();
    context.add_file("./x/y/z", bytes("deep"), Some(0o755)).unwrap();
    context.add_file("a", bytes("newer"), None).unwrap();
    let entries = context.files().unwrap();
    assert_eq!(names(&entries), ["a", "x/", "x/y/", "x/y/z"]);
    assert_eq!(content(&entries, "a"), "newer");
    assert_eq!(
        (entry(&entries, "a").mode, entry(&entries, "x/y/z").mode),
        (0o644, 0o755)
    );
    assert_eq!(entry(&entries, "x").mode, 0o755);
}

#[test]
fn engines_that_apply_the_rules_again_keep_what_was_added() {
    let root = tree(&["src/a"]);
    put(root.path(), ".dockerignore", "*\n!src\n**/*.bin");
    let added = tree(&["weights.bin", "card.md"]);
    let mut context = BuildContext::new(root.path());
    context.add_file("requirements 1.txt", bytes("x"), None).unwrap();
    context.add_file("src/fine", bytes("x"), None).unwrap();
    context.add_directory("src/model", added.path()).unwrap();
    let entries = context.archive_entries().unwrap();
    let text = content(&entries, ".dockerignore");
    assert_eq!(text, "*\n!src\n**/*.bin\n!/requirements[ ]1.txt\n!/src/model\n");
    let again = IgnoreRules::parse(text, "again").unwrap();
    let files = context.files().unwrap();
    assert_eq!(files.len(), 7);
    assert!(files.iter().all(|file| !again.excludes(&file.name).unwrap()));
}

#[test]
fn a_directory_is_added_with_everything_in_it() {
    let root = tree(&["assets/old", "assets/same"]);
    let added = tree(&["same", "bin/data", "empty/", ".dockerignore"]);
    put(added.path(), "bin/data", [0, 159, 146, 150]);
    put(added.path(), ".dockerignore", "*");
    symlink("bin", added.path().join("link")).unwrap();
    fs::set_permissions(added.path().join("bin/data"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut context = BuildContext::new(root.path());
    context.add_directory("assets", added.path()).unwrap();
    let entries = context.files().unwrap();
    let expected = [
        "assets/",
        "assets/.dockerignore",
        "assets/bin/",
        "assets/bin/data",
        "assets/empty/",
        "assets/link",
        "assets/old",
        "assets/same",
    ];
    assert_eq!(names(&entries), expected);
    assert_eq!(entry(&entries, "assets/bin/data").mode, 0o700);
    let mut data = Vec::new();
    entry(&entries, "assets/bin/data")
        .open()
        .unwrap()
        .read_to_end(&mut data)
        .unwrap();
    assert_eq!(data, [0, 159, 146, 150]);

    let mut context = BuildContext::empty();
    context.add_directory(".", added.path()).unwrap();
    assert_eq!(files(&context)[..2], [".dockerignore", "bin/"]);
}

#[test]
fn a_path_is_read_late_and_through_links() {
    let place = tree(&["real"]);
    symlink("real", place.path().join("link")).unwrap();
    fs::set_permissions(place.path().join("real"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut context = BuildContext::empty();
    context
        .add_file("x", FileSource::Path(place.path().join("link")), None)
        .unwrap();
    context
        .add_file("y", FileSource::Path(place.path().join("later")), Some(0o444))
        .unwrap();
    let error = context.files().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("later"));
    put(place.path(), "later", "now");
    let entries = context.files().unwrap();
    assert_eq!(content(&entries, "x"), "real");
    assert_eq!(
        (entry(&entries, "x").mode, entry(&entries, "y").mode),
        (0o600, 0o444)
    );
}

#[test]
fn what_cannot_be_added_is_refused() {
    let root = tree(&["file", "dir/x"]);
    let mut context = BuildContext::new(root.path());
    for name in ["", ".", "/a", "../a", "a/../b"] {
        let error = context.add_file(name, bytes("x"), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
    }
    assert!(context.add_directory("../a", root.path()).is_err());
    assert!(context.add_file("a", bytes("x"), Some(0o10_0644)).is_err());

    for (name, source) in [
        ("file/below", bytes("x")),
        ("dir", bytes("x")),
        ("a", FileSource::Path(root.path().join("dir"))),
    ] {
        let mut context = BuildContext::new(root.path());
        context.add_file(name, source, None).unwrap();
        assert_eq!(
            context.files().unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{name}"
        );
    }
    let mut context = BuildContext::empty();
    context.add_file("a", bytes("x"), None).unwrap();
    context.add_file("a/b", bytes("x"), None).unwrap();
    assert_eq!(context.files().unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut context = BuildContext::empty();
    context.add_directory("d", root.path().join("file")).unwrap();
    assert_eq!(context.files().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_same_name_for_a_link_gives_way_to_a_file_only() {
    let root = tree(&["dir/x"]);
    symlink("dir", root.path().join("link")).unwrap();
    let mut context = BuildContext::new(root.path());
    context.add_file("link", bytes("file"), None).unwrap();
    assert_eq!(content(&context.files().unwrap(), "link"), "file");
    let mut context = BuildContext::new(root.path());
    context
        .add_file(Path::new("link/below"), bytes("x"), None)
        .unwrap();
    assert_eq!(context.files().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_link_is_added_as_it_is() {
    let context = |target: &str| {
        let mut context = BuildContext::empty();
        context.add_symlink("a/link", target).unwrap();
        context
    };
    let entries = context("../gone").files().unwrap();
    let names: Vec<_> = entries.iter().map(|entry| entry.display_name()).collect();
    assert_eq!(names, ["a/", "a/link"]);
    assert_eq!(
        entries[1].kind,
        EntryKind::Symlink {
            target: "../gone".into()
        }
    );
    assert_ne!(
        context("../gone").digest().unwrap(),
        context("gone").digest().unwrap()
    );
    assert!(BuildContext::empty().add_symlink("../x", "y").is_err());
    assert!(BuildContext::empty().add_symlink(".", "y").is_err());
}
