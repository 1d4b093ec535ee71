use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use wharf_core::context::DockerfileSource;
use wharf_core::{BuildContext, ErrorKind, FileSource};

use super::{content, files, names, put, tree};

fn at(root: &Path, path: impl Into<std::path::PathBuf>) -> BuildContext {
    BuildContext::new(root).with_dockerfile(DockerfileSource::Path(path.into()))
}

fn text(text: &'static str) -> DockerfileSource {
    DockerfileSource::Bytes {
        name: "Dockerfile".into(),
        content: text.into(),
    }
}

#[test]
fn the_default_is_found_even_if_the_rules_leave_it_out() {
    let root = tree(&["Dockerfile", "a"]);
    put(root.path(), ".dockerignore", "*\n!a\n");
    let context = BuildContext::new(root.path());
    let found = context.dockerfile().unwrap();
    assert_eq!(
        (found.name.as_path(), found.content.as_ref()),
        (Path::new("Dockerfile"), b"Dockerfile".as_slice())
    );
    assert_eq!(files(&context), ["a"]);
    let entries = context.archive_entries().unwrap();
    assert_eq!(names(&entries), [".dockerignore", "Dockerfile", "a"]);
    assert_eq!(content(&entries, ".dockerignore"), "*\n!a\n");
}

#[test]
fn a_missing_one_is_an_error_that_lists_those_that_are_there() {
    let root = tree(&[
        "docker/train.Dockerfile",
        "Containerfile",
        "Dockerfile.dockerignore",
        "a",
    ]);
    let error = BuildContext::new(root.path()).dockerfile().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.hint(),
        Some("There are Containerfile, docker/train.Dockerfile. Name the one you mean.")
    );
    let error = at(root.path(), "docker/Dockerfile")
        .archive_entries()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("docker/Dockerfile"));
    // Nobody asked for one: an archive needs none.
    assert_eq!(BuildContext::new(root.path()).archive_entries().unwrap().len(), 5);
    assert_eq!(
        BuildContext::empty().dockerfile().unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_directory_or_a_pipe_is_no_dockerfile() {
    let root = tree(&["docker/Dockerfile"]);
    let error = at(root.path(), "docker").dockerfile().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.hint(), Some("Name the file in it: docker/Dockerfile"));
    assert!(
        Command::new("mkfifo")
            .arg(root.path().join("pipe"))
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        at(root.path(), "pipe").dockerfile().unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn an_archive_does_not_mind_a_directory_of_the_default_name() {
    let root = tree(&["Dockerfile/a"]);
    let context = BuildContext::new(root.path());
    assert_eq!(
        names(&context.archive_entries().unwrap()),
        ["Dockerfile/", "Dockerfile/a"]
    );
    assert_eq!(context.dockerfile().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(at(root.path(), "Dockerfile").archive_entries().is_err());
}

#[test]
fn one_outside_of_the_context_is_an_error_with_a_cure() {
    let outside = tree(&["Dockerfile", "context/a"]);
    let root = outside.path().join("context");
    symlink("../Dockerfile", root.join("link")).unwrap();
    for path in [
        Path::new("../Dockerfile"),
        &outside.path().join("Dockerfile"),
        Path::new("link"),
    ] {
        let error = at(&root, path).dockerfile().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
        assert!(error.message().contains("outside of the build context") && error.hint().is_some());
    }
}

#[test]
fn a_link_inside_of_the_context_leads_to_the_file() {
    let root = tree(&["docker/real"]);
    symlink("docker/real", root.path().join("Dockerfile")).unwrap();
    put(root.path(), ".dockerignore", "docker\n");
    let context = BuildContext::new(root.path());
    assert_eq!(context.dockerfile().unwrap().name, Path::new("docker/real"));
    let entries = context.archive_entries().unwrap();
    assert_eq!(names(&entries), [".dockerignore", "Dockerfile", "docker/real"]);
    let absolute = at(root.path(), root.path().join("Dockerfile"));
    assert_eq!(absolute.dockerfile().unwrap().name, Path::new("docker/real"));
}

#[test]
fn a_text_travels_but_is_not_among_the_files() {
    let root = tree(&["a"]);
    let context = BuildContext::new(root.path()).with_dockerfile(text("FROM scratch\n"));
    assert_eq!(files(&context), ["a"]);
    let entries = context.archive_entries().unwrap();
    assert_eq!(names(&entries), [".dockerignore", "Dockerfile", "a"]);
    // An engine that takes everything but what this says has the files.
    assert_eq!(
        content(&entries, ".dockerignore"),
        "/Dockerfile\n/.dockerignore\n"
    );
    assert_eq!(content(&entries, "Dockerfile"), "FROM scratch\n");
}

#[test]
fn a_text_does_not_take_the_place_of_a_file() {
    let root = tree(&["Dockerfile", ".dockerignore"]);
    let context = BuildContext::new(root.path()).with_dockerfile(text("FROM scratch\n"));
    let found = context.dockerfile().unwrap();
    assert_eq!(
        (found.name.to_str().unwrap(), found.path),
        ("Dockerfile.wharf-1", None)
    );
    let entries = context.archive_entries().unwrap();
    assert_eq!(
        names(&entries),
        [".dockerignore", "Dockerfile", "Dockerfile.wharf-1"]
    );
    assert_eq!(content(&entries, "Dockerfile"), "Dockerfile");
    assert_eq!(
        content(&entries, ".dockerignore"),
        ".dockerignore\n/Dockerfile.wharf-1\n"
    );
}

#[test]
fn an_added_dockerfile_comes_first() {
    let root = tree(&["Dockerfile"]);
    let mut context = BuildContext::new(root.path());
    context
        .add_file("Dockerfile", FileSource::Bytes("FROM added\n".into()), None)
        .unwrap();
    assert_eq!(context.dockerfile().unwrap().content, "FROM added\n");
    let entries = context.archive_entries().unwrap();
    assert_eq!(names(&entries), ["Dockerfile"]);
    assert_eq!(content(&entries, "Dockerfile"), "FROM added\n");
}

#[test]
fn an_archive_holds_the_rules_in_force() {
    let root = tree(&["a", "b", "Dockerfile"]);
    put(root.path(), ".dockerignore", "a\n");
    let elsewhere = tree(&[]);
    let rules = put(elsewhere.path(), "rules", "b");
    let context = BuildContext::new(root.path()).with_ignore_file(rules);
    let entries = context.archive_entries().unwrap();
    assert_eq!(names(&entries), [".dockerignore", "Dockerfile", "a"]);
    assert_eq!(content(&entries, ".dockerignore"), "b");
    let entries = context.clone().without_ignore_file().archive_entries().unwrap();
    assert_eq!(names(&entries), [".dockerignore", "Dockerfile", "a", "b"]);
    assert_eq!(content(&entries, ".dockerignore"), "");

    // Not among the files: hidden from the engine as well.
    put(root.path(), ".dockerignore", "");
    let rules = put(elsewhere.path(), "rules", "b\n.dockerignore\n");
    let entries = context.with_ignore_file(rules).archive_entries().unwrap();
    assert_eq!(
        content(&entries, ".dockerignore"),
        "b\n.dockerignore\n/.dockerignore\n"
    );
}
