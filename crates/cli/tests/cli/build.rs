//! `wharf build` with the builder that builds in memory, and with real ones.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Run, Sandbox};

fn project() -> Sandbox {
    Sandbox::with(&[
        ("Dockerfile", "FROM scratch\nCOPY a /\n"),
        ("a", "a"),
        (".dockerignore", "Dockerfile\n"),
    ])
}

#[test]
fn standard_output_is_one_line_and_progress_stands_on_standard_error() {
    let sandbox = project();
    let run = sandbox.run(&["build", "-t", "app:1", "--flavor", "memory"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "app:1\n"), "{run:#?}");
    assert!(
        run.stderr
            .starts_with("building app:1 with memory\n#1 read Dockerfile\n"),
        "{run:#?}"
    );
    assert!(run.stderr.contains("#1 DONE"), "{run:#?}");
    assert!(!run.stderr.contains('\x1b'));
    let quiet = sandbox.run(&[
        "build",
        "-t",
        "app:1",
        "--flavor",
        "memory",
        "--progress",
        "quiet",
    ]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("app:1\n", ""));
}

#[test]
fn a_pushed_image_is_named_by_its_digest() {
    let sandbox = project();
    let arguments = [
        "build",
        "-t",
        "localhost:5000/app:1",
        "--flavor",
        "memory",
        "--push",
    ];
    let line = sandbox.run(&arguments).ok();
    let (name, digest) = line.trim_end().split_once('@').unwrap();
    assert_eq!(name, "localhost:5000/app");
    assert_eq!(digest.len(), "sha256:".len() + 64);
    assert_eq!(line, sandbox.run(&arguments).ok());
}

#[test]
fn json_output_and_the_metadata_file_are_the_same_outcome() {
    let sandbox = project();
    let arguments = [
        "build", "-t", "app:1", "-t", "app:2", "--flavor", "memory", "--output", "json",
    ];
    let printed = sandbox
        .run(&[&arguments[..], &["--metadata-file", "outcome.json"]].concat())
        .ok();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["reference"], "app:1");
    assert_eq!(printed["builder"], "memory");
    assert_eq!(printed["tags"].as_array().unwrap().len(), 1);
    let written = std::fs::read_to_string(sandbox.path().join("outcome.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), printed);
}

#[test]
fn every_line_of_json_progress_is_an_event() {
    let run = project().run(&["build", "-t", "app", "--flavor", "memory", "--progress", "json"]);
    let events: Vec<Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "queued");
    assert!(events.iter().all(|event| event["time"].is_string()));
    run.ok();
}

#[test]
fn a_stack_file_names_the_builder_and_the_registry() {
    let sandbox = project();
    let stack = "\
name: here
image_builder: {flavor: memory}
container_registry: {flavor: default, config: {uri: localhost:5000/ml}}
";
    sandbox.write("stack.yaml", stack);
    let build = |name: &'static str, push: &'static [&'static str]| {
        sandbox.run(&[&["build", "-t", name, "--stack-file", "stack.yaml"], push].concat())
    };
    assert!(
        build("localhost:5000/ml/app", &["--push"])
            .ok()
            .starts_with("localhost:5000/ml/app@sha256:")
    );
    assert_eq!(build("app:1", &[]).ok(), "app:1\n");
    build("app:1", &["--push"]).failed(2, &["does not belong"]);
}

#[test]
fn an_ignored_dockerfile_and_one_relative_to_the_context_are_found() {
    let sandbox = Sandbox::with(&[
        ("ctx/build/Dockerfile", "FROM scratch\n"),
        ("ctx/.dockerignore", "build\n"),
    ]);
    for file in ["ctx/build/Dockerfile", "build/Dockerfile"] {
        sandbox
            .run(&["build", "ctx", "-t", "app", "--flavor", "memory", "-f", file])
            .ok();
    }
}

fn engine() -> String {
    std::env::var("WHARF_TEST_ENGINE").expect("WHARF_TEST_ENGINE names the engine")
}

fn on_engine(sandbox: &Sandbox, more: &[&str]) -> Run {
    let host = engine();
    sandbox.run(&[&["build", "--host", &host], more].concat())
}

#[test]
#[ignore = "needs a Docker engine"]
fn engine_a_build_prints_the_local_reference() {
    let name = "wharf-cli-local:1";
    let run = on_engine(&project(), &["-t", name]);
    assert_eq!(run.ok(), format!("{name}\n"));
}

#[test]
#[ignore = "needs a Docker engine"]
fn engine_an_unknown_stage_is_named() {
    on_engine(&project(), &["-t", "wharf-cli-stage", "--target", "nope"]).failed(4, &["nope"]);
}

#[test]
#[ignore = "needs a Docker engine and a registry"]
fn registry_a_pushed_image_is_one_digest_on_standard_output() {
    let registry = std::env::var("WHARF_TEST_REGISTRY").unwrap();
    let name = format!("{registry}/wharf-cli/pushed");
    let line = on_engine(&project(), &["-t", &format!("{name}:1"), "--push"]).ok();
    assert!(line.starts_with(&format!("{name}@sha256:")), "{line}");
    assert_eq!(line.lines().count(), 1);
}

/// Leaves a login in the sandbox's home directory, as `docker login` does.
fn log_in(sandbox: &Sandbox, registry: &str, user: &str, password: &str) {
    let auths = serde_json::json!({ "auths": { registry: { "username": user, "password": password } } });
    sandbox.write(".docker/config.json", &auths.to_string());
}

#[test]
#[ignore = "needs a Docker engine and a registry with a password"]
fn registry_a_login_is_found_and_a_wrong_password_is_told() {
    let address = std::env::var("WHARF_TEST_REGISTRY_AUTH").unwrap();
    let (login, registry) = address.rsplit_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let name = format!("{registry}/wharf-cli/login:1");
    let sandbox = project();
    log_in(&sandbox, registry, user, password);
    assert!(
        on_engine(&sandbox, &["-t", &name, "--push"])
            .ok()
            .contains("@sha256:")
    );
    log_in(&sandbox, registry, user, "planted-wrong");
    let run = on_engine(&sandbox, &["-t", &name, "--push"]);
    assert!(!run.stderr.contains("planted"), "{run:#?}");
    run.failed(7, &["help: "]);
}

#[test]
#[ignore = "needs Podman"]
fn podman_builds_with_its_classic_builder_and_refuses_secrets() {
    let host = std::env::var("WHARF_TEST_PODMAN").unwrap();
    let sandbox = project();
    let name = "localhost/wharf-cli:1";
    let build =
        |more: &[&'static str]| sandbox.run(&[&["build", "--host", &host, "-t", name], more].concat());
    assert_eq!(build(&[]).ok(), format!("{name}\n"));
    build(&["--secret", "id=a,src=a"]).failed(5, &["secrets", "help: "]);
}

#[test]
#[ignore = "needs a Docker engine and a registry with a password"]
fn registry_a_push_without_a_login_says_how_to_log_in() {
    let address = std::env::var("WHARF_TEST_REGISTRY_AUTH").unwrap();
    let (_, registry) = address.rsplit_once('@').unwrap();
    let name = format!("{registry}/wharf-cli/no-login:1");
    on_engine(&project(), &["-t", &name, "--push"]).failed(7, &["help: "]);
}

/// A project whose build runs until it is stopped.
fn endless() -> Sandbox {
    let parent = std::env::var("WHARF_TEST_BUSYBOX_IMAGE").unwrap_or("busybox".into());
    Sandbox::with(&[(
        "Dockerfile",
        &format!("FROM {parent}\nRUN echo begun && sleep 600\n"),
    )])
}

#[test]
#[ignore = "needs a Docker engine"]
fn engine_a_signal_cancels_the_build_and_is_the_exit_code() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let sandbox = endless();
        let host = engine();
        let mut child = sandbox
            .command(&[
                "build",
                "--host",
                &host,
                "-t",
                "wharf-cli-cancelled",
                "--no-cache",
                "--network",
                "none",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map(Result::unwrap);
        assert!(lines.any(|line| line.ends_with(" begun")), "the step never ran");
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let rest: Vec<String> = lines.collect();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{rest:#?}");
        assert!(output.stdout.is_empty());
        assert!(rest.iter().any(|line| line.starts_with("error: ")), "{rest:#?}");
    }
}

#[test]
#[ignore = "needs a Docker engine"]
fn engine_a_failing_step_is_shown_with_output_and_place() {
    let parent = std::env::var("WHARF_TEST_BUSYBOX_IMAGE").unwrap_or("busybox".into());
    let dockerfile = format!("FROM {parent}\n\nRUN echo some output && \\\n    exit 3\nRUN true\n");
    let run = on_engine(
        &Sandbox::with(&[("Dockerfile", &dockerfile)]),
        &["-t", "wharf-cli-failing", "--no-cache", "--network", "none"],
    );
    for text in [
        "failed: ",
        "some output\n",
        "Dockerfile:3\n",
        ">>> 3 | RUN echo",
        ">>> 4 |     exit 3",
    ] {
        assert!(run.stderr.contains(text), "{text:?} in {run:#?}");
    }
    run.failed(1, &[]);
}
