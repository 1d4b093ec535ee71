//! Bad input: each gets one clear message with the cure, its exit code, and an empty standard output.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::Sandbox;

/// A socket that nothing listens on: these tests must never reach an engine.
const NO_ENGINE: &str = "unix:///nothing/here.sock";

fn project() -> Sandbox {
    Sandbox::with(&[("Dockerfile", "FROM scratch\nCOPY a /\n"), ("a", "a")])
}

#[test]
fn an_unknown_option_or_command_is_a_usage_error_with_a_suggestion() {
    let sandbox = project();
    sandbox
        .run(&["build", "-t", "app", "--pussh"])
        .failed(2, &["--pussh", "--push"]);
    sandbox.run(&["buidl"]).failed(2, &["buidl", "build"]);
    sandbox
        .run(&["context", "ls", "--output", "yaml"])
        .failed(2, &["yaml", "json"]);
    sandbox.run(&["build"]).failed(2, &["--tag"]);
}

#[test]
fn live_progress_without_a_terminal_is_a_usage_error() {
    let sandbox = project();
    sandbox
        .run(&["build", "-t", "app", "--progress", "tty", "--host", NO_ENGINE])
        .failed(2, &["needs a terminal", "--progress plain"]);
}

#[test]
fn a_context_that_is_not_there_or_no_directory_is_named() {
    let sandbox = project();
    for command in [
        &["context", "ls"][..],
        &["context", "digest"],
        &["build", "-t", "app", "--host", NO_ENGINE],
    ] {
        let with = |root: &'static str| [command, &[root]].concat();
        sandbox.run(&with("missing")).failed(4, &["missing"]);
        sandbox.run(&with("a")).failed(2, &["a"]);
    }
    sandbox.run(&["context", "ls", ""]).failed(2, &["ROOT"]);
}

#[test]
fn a_missing_dockerfile_is_named_before_any_engine_is_asked() {
    let sandbox = Sandbox::with(&[("Dockerfile.gpu", "FROM scratch\n")]);
    sandbox
        .run(&["build", "-t", "app", "--host", NO_ENGINE])
        .failed(4, &["Dockerfile", "Dockerfile.gpu"]);
    sandbox
        .run(&["build", "-t", "app", "-f", "nope/Dockerfile", "--host", NO_ENGINE])
        .failed(4, &["nope/Dockerfile"]);
}

#[test]
fn a_dockerfile_outside_of_the_context_is_refused() {
    let sandbox = Sandbox::with(&[("Dockerfile", "FROM scratch\n"), ("sub/a", "a")]);
    sandbox
        .run(&[
            "build",
            "sub",
            "-t",
            "app",
            "-f",
            "Dockerfile",
            "--host",
            NO_ENGINE,
        ])
        .failed(2, &["outside of the build context"]);
}

#[test]
fn an_invalid_ignore_pattern_is_shown_with_its_line() {
    let sandbox = project();
    sandbox.write(".dockerignore", "*.log\n[\n");
    for command in [
        &["context", "ls"][..],
        &["build", "-t", "app", "--host", NO_ENGINE],
    ] {
        sandbox.run(command).failed(2, &[".dockerignore", "2"]);
    }
}

#[test]
fn a_name_that_is_no_reference_is_refused() {
    let sandbox = project();
    sandbox
        .run(&["build", "-t", "My App", "--host", NO_ENGINE])
        .failed(2, &["My App", "--tag"]);
    let digest = format!("app@sha256:{}", "0".repeat(64));
    sandbox
        .run(&["build", "-t", &digest, "--host", NO_ENGINE])
        .failed(2, &["digest"]);
}

#[test]
fn options_of_the_wrong_form_name_themselves_and_repeat_no_secret() {
    let sandbox = project();
    for (option, value) in [
        ("--shm-size", "lots"),
        ("--platform", "amd64"),
        ("--add-host", "db"),
        ("--build-arg", "=x"),
        ("--secret", "id=a,value=planted"),
    ] {
        let run = sandbox.run(&["build", "-t", "app", "--host", NO_ENGINE, option, value]);
        assert!(!run.stderr.contains("planted"), "{run:#?}");
        run.failed(2, &[option, "help: "]);
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let sandbox = project();
    let build = |more: &[&'static str]| sandbox.run(&[&["build", "-t", "app"], more].concat());
    build(&["--registry", "localhost:5000"]).failed(2, &["--push"]);
    build(&["--set", "a=b"]).failed(2, &["--flavor"]);
    build(&["--stack-file", "s.yaml", "--flavor", "local"]).failed(2, &["cannot be used with"]);
    build(&["--flavor", "memory", "--host", NO_ENGINE]).failed(2, &["--host"]);
    build(&["--allow-local-registry"]).failed(5, &["--allow-local-registry", "`local`", "kaniko"]);
    build(&["--push", "--registry", "localhost:5000/ml"])
        .failed(2, &["does not belong", "localhost:5000/ml"]);
}

#[test]
fn what_needs_a_catalog_says_what_to_use_instead() {
    let sandbox = project();
    for (option, value) in [("--stack", "prod"), ("--builder", "mine")] {
        sandbox
            .run(&["build", "-t", "app", option, value])
            .failed(5, &[option, "help: ", "--stack-file"]);
    }
    sandbox
        .run(&["build", "-t", "app", "--push", "--registry", "prod"])
        .failed(5, &["`prod`", "address"]);
}

#[test]
fn a_context_from_elsewhere_is_refused() {
    let sandbox = project();
    for context in ["-", "https://github.com/example/app.git"] {
        sandbox
            .run(&["build", "-t", "app", context])
            .failed(5, &["build context", "directory"]);
    }
}

#[test]
fn a_stack_file_that_is_wrong_is_named_with_the_place() {
    let sandbox = project();
    let build = |file: &str| sandbox.run(&["build", "-t", "app", "--stack-file", file]);
    build("gone.yaml").failed(4, &["gone.yaml"]);
    sandbox.write("typo.yaml", "name: x\nimage_bilder: {flavor: local}\n");
    build("typo.yaml").failed(3, &["typo.yaml", "image_bilder", "image_builder"]);
    sandbox.write("flavor.yaml", "image_builder: {flavor: lokal}\n");
    build("flavor.yaml").failed(4, &["lokal", "local"]);
    sandbox.write("key.yaml", "image_builder: {flavor: local, config: {hst: x}}\n");
    build("key.yaml").failed(3, &["`hst`", "did you mean `host`?"]);
    sandbox.write("broken.yaml", "name: [\n");
    build("broken.yaml").failed(3, &["broken.yaml"]);
}

#[test]
fn an_engine_that_does_not_answer_is_told_with_what_was_tried() {
    let sandbox = project();
    sandbox
        .run(&["build", "-t", "app", "--host", NO_ENGINE])
        .failed(6, &["/nothing/here.sock", "help: "]);
}

#[test]
fn a_path_that_is_not_utf8_is_no_reason_to_panic() {
    let sandbox = project();
    let root = OsStr::from_bytes(b"no\xffsuch");
    let run = sandbox.run(&[OsStr::new("context"), OsStr::new("ls"), root]);
    assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{run:#?}");
}

#[test]
fn a_metadata_file_that_cannot_be_written_is_found_before_the_build() {
    let sandbox = project();
    sandbox
        .run(&[
            "build",
            "-t",
            "app",
            "--flavor",
            "memory",
            "--metadata-file",
            "no/such/outcome.json",
        ])
        .failed(4, &["no/such/outcome.json"]);
    assert_eq!(sandbox.names(), ["Dockerfile", "a"]);
}
