use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use wharf_core::context::{DockerfileSource, Presence};
use wharf_core::{BuildContext, EntryKind, ErrorKind};

use super::{entry, files, names, put, tree};

#[test]
fn entries_are_sorted_component_by_component() {
    let root = tree(&["a/x", "a.b", "a-b/y", "B", "empty/", "a/é"]);
    let expected = ["B", "a/", "a/x", "a/é", "a-b/", "a-b/y", "a.b", "empty/"];
    assert_eq!(files(&BuildContext::new(root.path())), expected);
}

#[test]
fn names_need_not_be_utf_8() {
    let root = tree(&[".dockerignore"]);
    fs::write(root.path().join(".dockerignore"), b"\xff*\n").unwrap();
    let (kept, dropped) = (OsStr::from_bytes(b"a\xff\xfe"), OsStr::from_bytes(b"\xffb"));
    fs::write(root.path().join(kept), "x").unwrap();
    fs::write(root.path().join(dropped), "x").unwrap();
    let entries = BuildContext::new(root.path()).files().unwrap();
    let names: Vec<&Path> = entries.iter().map(|entry| entry.name.as_path()).collect();
    assert_eq!(names, [Path::new(".dockerignore"), Path::new(kept)]);
}

#[test]
fn links_are_listed_and_never_followed() {
    let root = tree(&["real/file"]);
    for (target, name) in [
        ("real", "inside"),
        ("/etc", "outside"),
        ("nowhere", "broken"),
        ("loop", "loop"),
    ] {
        symlink(target, root.path().join(name)).unwrap();
    }
    let entries = BuildContext::new(root.path()).files().unwrap();
    assert_eq!(
        names(&entries),
        ["broken", "inside", "loop", "outside", "real/", "real/file"]
    );
    let link = entry(&entries, "outside");
    assert_eq!(
        link.kind,
        EntryKind::Symlink {
            target: "/etc".into()
        }
    );
    assert_eq!((link.mode, link.size), (0o777, 0));
    assert_eq!(link.open().err().unwrap().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_root_that_is_a_link_is_the_directory_it_leads_to() {
    let root = tree(&["a"]);
    let place = tree(&[]);
    symlink(root.path(), place.path().join("link")).unwrap();
    assert_eq!(files(&BuildContext::new(place.path().join("link"))), ["a"]);
}

#[test]
fn a_root_must_be_a_directory() {
    let root = tree(&["file"]);
    let error = BuildContext::new(root.path().join("file")).files().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("/file is not a directory") && error.hint().is_some());
    let error = BuildContext::new(root.path().join("file/below"))
        .files()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = BuildContext::new(root.path().join("none")).files().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("/none"));
}

#[test]
fn modes_are_kept_with_their_special_bits() {
    let root = tree(&["run", "dir/"]);
    fs::set_permissions(root.path().join("run"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(root.path().join("dir"), fs::Permissions::from_mode(0o1770)).unwrap();
    let entries = BuildContext::new(root.path()).files().unwrap();
    assert_eq!(
        (entry(&entries, "run").mode, entry(&entries, "dir").mode),
        (0o4751, 0o1770)
    );
}

#[test]
fn an_excluded_directory_is_never_opened() {
    let root = tree(&["venv/lib/deep/x", "venv/bin/y", "src/a/b", "main.py"]);
    put(root.path(), ".dockerignore", "venv\n*.log\n!src/keep.log\n");
    let scan = BuildContext::new(root.path()).scan().unwrap();
    assert_eq!(scan.totals.directories_read, 3, "the root, src and src/a");
    assert_eq!(
        scan.ignore_file.unwrap(),
        root.path().canonicalize().unwrap().join(".dockerignore")
    );

    // An exception with a wildcard opens what it can reach, and nothing below.
    put(root.path(), ".dockerignore", "*\n!src/*.py\n");
    let scan = BuildContext::new(root.path()).scan().unwrap();
    assert_eq!((scan.totals.directories_read, scan.entries.len()), (2, 0));
}

#[test]
fn an_excluded_directory_need_not_be_readable() {
    // Not even root can open a path of more than 4096 bytes.
    let root = tree(&["main.py"]);
    let script =
        r#"cd "$1" && name=$(printf '%0250d' 0) && for i in $(seq 20); do mkdir $name && cd $name; done"#;
    let made = Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(root.path())
        .status()
        .unwrap();
    assert!(made.success());
    let context = BuildContext::new(root.path());
    let error = context.files().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(
        error
            .context()
            .any(|(key, path)| key == "path" && path.contains("000/0000"))
    );
    put(root.path(), ".dockerignore", "0*\n!main.py\n");
    assert_eq!(files(&context), [".dockerignore", "main.py"]);
    Command::new("rm").arg("-rf").arg(root.path()).status().unwrap();
}

#[test]
fn a_directory_without_permission_is_an_error_unless_it_is_excluded() {
    let root = tree(&["locked/x", "main.py"]);
    let locked = root.path().join("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let context = BuildContext::new(root.path());
    if fs::read_dir(&locked).is_ok() {
        // This user may read everything; the previous test shows the same with another error.
        assert_eq!(files(&context), ["locked/", "locked/x", "main.py"]);
        return;
    }
    let error = context.files().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.report().contains("locked") && error.hint().unwrap().contains(".dockerignore"));
    put(root.path(), ".dockerignore", "locked\n!**/*.py\n");
    assert_eq!(files(&context), [".dockerignore", "main.py"]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_tree_may_be_deeper_than_a_process_may_open_files() {
    let root = tempfile::tempdir().unwrap();
    let deep = "d/".repeat(1100);
    fs::create_dir_all(root.path().join(&deep)).unwrap();
    fs::write(root.path().join(&deep).join("file"), "x").unwrap();
    let scan = BuildContext::new(root.path()).scan().unwrap();
    assert_eq!((scan.totals.directories, scan.totals.files), (1100, 1));
}

#[test]
fn sockets_and_pipes_are_passed_over_with_a_warning() {
    let root = tree(&["a"]);
    let _socket = UnixListener::bind(root.path().join("s.sock")).unwrap();
    let context = BuildContext::new(root.path());
    let scan = context.scan().unwrap();
    assert_eq!(names(&scan.entries), ["a"]);
    assert!(scan.warnings[0].message.contains("s.sock"));

    assert!(
        Command::new("mkfifo")
            .arg(root.path().join("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let scan = context.scan().unwrap();
    assert_eq!(scan.warnings.len(), 1);
    assert_eq!(scan.warnings[0].detail, ["pipe", "s.sock"]);

    put(root.path(), ".dockerignore", "pipe\n*.sock\n");
    assert!(context.scan().unwrap().warnings.is_empty());
}

#[test]
fn a_large_context_without_an_ignore_file_gets_a_warning() {
    let root = tree(&["small/x"]);
    for (name, mebibytes) in [("data/raw/a", 30), ("models/b", 21), ("notes/c", 1), ("zero", 0)] {
        let path = put(root.path(), name, "");
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(mebibytes << 20)
            .unwrap();
    }
    let context = BuildContext::new(root.path());
    let warnings = context.scan().unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].message.contains("52.0 MiB"),
        "{}",
        warnings[0].message
    );
    let expected = [
        "data/ holds 30.0 MiB",
        "models/ holds 21.0 MiB",
        "notes/ holds 1.0 MiB",
    ];
    assert_eq!(warnings[0].detail, expected);

    put(root.path(), ".dockerignore", "");
    assert!(context.scan().unwrap().warnings.is_empty());
}

#[test]
fn one_ignore_file_applies_the_most_specific_one() {
    let root = tree(&["a", "b", "c", "d"]);
    let context = BuildContext::new(root.path());
    put(root.path(), ".dockerignore", "a\n.dockerignore\n");
    assert_eq!(files(&context), ["b", "c", "d"]);

    put(
        root.path(),
        "docker/app.Dockerfile.dockerignore",
        "b\ndocker\n.dockerignore\n",
    );
    let specific = context
        .clone()
        .with_dockerfile(DockerfileSource::Path("./docker/app.Dockerfile".into()));
    assert_eq!(files(&specific), ["a", "c", "d"]);
    let absolute = root.path().canonicalize().unwrap().join("docker/app.Dockerfile");
    let specific = context.clone().with_dockerfile(DockerfileSource::Path(absolute));
    assert_eq!(files(&specific), ["a", "c", "d"]);

    let elsewhere = tree(&[]);
    let path = put(elsewhere.path(), "rules", "c\ndocker\n.dockerignore\n");
    assert_eq!(files(&specific.clone().with_ignore_file(&path)), ["a", "b", "d"]);
    let error = specific
        .clone()
        .with_ignore_file(path.join("none"))
        .files()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(specific.without_ignore_file().files().unwrap().len(), 7);
}

#[test]
fn an_ignore_file_that_is_no_file_is_an_error() {
    let root = tree(&["a", ".dockerignore/"]);
    let error = BuildContext::new(root.path()).files().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains(".dockerignore is a directory"));

    let pipe = root.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = BuildContext::new(root.path())
        .with_ignore_file(pipe)
        .files()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_explanation_names_the_rule_for_each_path() {
    let root = tree(&["data/raw.csv", "data/keep.csv", "venv/x", "main.py", "src/a.py"]);
    put(
        root.path(),
        ".dockerignore",
        "# big\ndata\nvenv\n\n!data/keep.csv\n",
    );
    let mut context = BuildContext::new(root.path());
    let source = wharf_core::FileSource::Bytes("0123456789".into());
    context.add_file("data/raw.csv", source, None).unwrap();
    let explanation = context.explain().unwrap();
    let paths: Vec<_> = explanation
        .paths
        .iter()
        .map(|path| {
            (
                path.path.as_str(),
                path.presence,
                path.rule.as_ref().map(|rule| rule.line),
            )
        })
        .collect();
    let expected = [
        (".dockerignore", Presence::Kept, None),
        ("data/", Presence::KeptForContent, Some(2)),
        ("data/keep.csv", Presence::Kept, Some(5)),
        ("data/raw.csv", Presence::Added, None),
        ("main.py", Presence::Kept, None),
        ("src/", Presence::Kept, None),
        ("src/a.py", Presence::Kept, None),
        ("venv/", Presence::DroppedWhole, Some(3)),
    ];
    assert_eq!(paths, expected);
    let rule = explanation.paths[2].rule.clone().unwrap();
    assert_eq!(rule.pattern, "!data/keep.csv");
    assert!(rule.file.ends_with("/.dockerignore"));
    assert_eq!(explanation.largest_directories[0].path, "data/");
    assert_eq!(explanation.largest_directories[0].bytes, 23);
    assert_eq!(explanation.largest_files[0].path, ".dockerignore");

    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["paths"][7]["is"], "dropped_whole");
    assert_eq!(json["paths"][7]["rule"]["line"], 3);
}
