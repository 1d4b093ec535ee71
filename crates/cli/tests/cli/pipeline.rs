//! `wharf pipeline` and `wharf init`, with the builder that builds in memory.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Run, Sandbox};

/// No step gets code from anywhere, and every image starts from one whose name is its digest: nothing outside is
/// asked.
const FILE: &str = "\
name: churn
settings:
  docker:
    parent_image: base@sha256:0000000000000000000000000000000000000000000000000000000000000000
    install_stack_requirements: false
    requirements: [torch==2.5]
    allow_download_from_artifact_store: false
    allow_including_files_in_images: false
    allow_download_from_code_repository: false
steps:
  load:
  train: {settings: {docker: {apt_packages: [git]}}}
";

const STACK: &str = "\
name: here
image_builder: {flavor: memory}
container_registry: {flavor: default, config: {uri: 127.0.0.1:9/ml}}
";

fn sandbox() -> Sandbox {
    Sandbox::with(&[("run.yaml", FILE), ("stack.yaml", STACK)])
}

fn json_of(run: Run) -> Value {
    serde_json::from_str(&run.ok()).unwrap()
}

/// Runs a command of `wharf pipeline` with the builder in memory.
fn pipeline(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.run(&[&["pipeline"], arguments, &["--flavor", "memory"]].concat())
}

fn plan(sandbox: &Sandbox, more: &[&str]) -> Value {
    let arguments = [&["plan", "run.yaml", "--output", "json"], more].concat();
    json_of(pipeline(sandbox, &arguments))
}

fn build(sandbox: &Sandbox, more: &[&str]) -> Value {
    let arguments = [&["build", "run.yaml", "--output", "json"], more].concat();
    json_of(pipeline(sandbox, &arguments))
}

fn reasons(plan: &Value) -> Vec<(&str, &str)> {
    let images = plan["images"].as_array().unwrap().iter();
    images
        .map(|image| {
            (
                image["action"].as_str().unwrap(),
                image["reason"].as_str().unwrap(),
            )
        })
        .collect()
}

/// Puts the images of the only record into a registry, as far as the record goes.
fn pretend_pushed(sandbox: &Sandbox, registry: &str) {
    let directory = sandbox.path().join(".wharf/builds");
    let mut paths = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.extension().is_some()).unwrap();
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for image in record["images"].as_object_mut().unwrap().values_mut() {
        let reference = format!("{registry}/ml/zenml@sha256:{}", "1".repeat(64));
        image["reference"] = reference.into();
    }
    std::fs::write(path, record.to_string()).unwrap();
}

#[test]
fn a_plan_is_a_table_or_json_and_leaves_nothing_behind() {
    let sandbox = sandbox();
    let table = pipeline(&sandbox, &["plan", "run.yaml"]).ok();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ACTION  IMAGE"), "{table}");
    assert!(
        lines[1].starts_with("build   zenml:churn-orchestrator"),
        "{table}"
    );
    assert!(
        lines[1].ends_with("load   first build: adds requirements"),
        "{table}"
    );
    let plan = plan(&sandbox, &[]);
    assert_eq!(plan["pipeline"], "churn");
    assert_eq!(
        reasons(&plan),
        [
            ("build", "first build: adds requirements"),
            ("build", "first build: adds requirements, apt packages")
        ]
    );
    assert_eq!(sandbox.names(), ["run.yaml", "stack.yaml"]);
}

#[test]
fn a_plan_says_what_is_reused_and_what_changed_since() {
    let sandbox = sandbox();
    let built = build(&sandbox, &[]);
    // Where the images are said to be, somebody listens for connections that must not come.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    pretend_pushed(&sandbox, &address);
    let registry = format!("{address}/ml");
    let to = ["--registry", registry.as_str()];
    let id = &built["build"].as_str().unwrap()[..12];
    let reuse = format!("reuse of build {id}");
    assert_eq!(reasons(&plan(&sandbox, &to)), [("reuse", reuse.as_str()); 2]);
    sandbox.write(
        "run.yaml",
        &FILE.replace("[git]", "[git], requirements: [torch==2.6]"),
    );
    assert_eq!(
        reasons(&plan(&sandbox, &to)),
        [
            ("reuse", reuse.as_str()),
            ("build", "requirements changed: + torch==2.6 - torch==2.5")
        ]
    );
    let refused = plan(&sandbox, &["--registry", &registry, "--no-reuse"]);
    assert_eq!(reasons(&refused)[0], ("build", "no reuse was asked for"));
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
}

#[test]
fn a_plan_does_without_records_that_cannot_be_read() {
    let sandbox = sandbox();
    sandbox.write(".wharf/builds/ab.json", "{");
    let run = pipeline(&sandbox, &["plan", "run.yaml"]);
    assert!(
        run.stderr.contains("warning: earlier builds") && run.stderr.contains("ab.json"),
        "{run:#?}"
    );
    run.ok();
}

#[test]
fn the_default_parent_image_comes_from_the_option_else_from_the_environment() {
    let sandbox = sandbox();
    sandbox.write("run.yaml", "settings: {docker: {user: ml}}\n");
    let parent = |arguments: &[&str], variable: Option<&str>| {
        let all = [
            &[
                "pipeline", "plan", "run.yaml", "--flavor", "memory", "--output", "json",
            ],
            arguments,
        ]
        .concat();
        let mut command = sandbox.command(&all);
        if let Some(value) = variable {
            command.env("WHARF_DEFAULT_PARENT_IMAGE", value);
        }
        Run::from(command.output().unwrap())
    };
    let image = |run: Run| json_of(run)["images"][0]["parent_image"].clone();
    let option = ["--default-parent-image", "r.example/base:1"];
    assert_eq!(image(parent(&option, None)), "r.example/base:1");
    assert_eq!(image(parent(&[], Some("r.example/env:2"))), "r.example/env:2");
    assert_eq!(
        image(parent(&option, Some("r.example/env:2"))),
        "r.example/base:1"
    );
    parent(&[], Some("Not An Image")).failed(2, &["Not An Image", "WHARF_DEFAULT_PARENT_IMAGE"]);
}

#[test]
fn standard_output_of_a_build_is_one_line_for_each_key() {
    let sandbox = sandbox();
    let run = pipeline(&sandbox, &["build", "run.yaml"]);
    assert_eq!(
        run.stdout,
        "orchestrator\tzenml:churn-orchestrator\ntrain.orchestrator\tzenml:churn-train-orchestrator\n",
        "{run:#?}"
    );
    assert!(
        run.stderr
            .contains("building zenml:churn-orchestrator with memory"),
        "{run:#?}"
    );
    let quiet = pipeline(
        &sandbox,
        &["build", "run.yaml", "--progress", "quiet", "--jobs", "1"],
    );
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
    pipeline(&sandbox, &["build", "run.yaml", "--jobs", "0"]).failed(2, &["--jobs"]);
}

#[test]
fn builds_are_listed_described_and_deleted() {
    let sandbox = sandbox();
    let builds = |arguments: &[&str]| sandbox.run(&[&["pipeline", "builds"], arguments].concat());
    assert_eq!(json_of(builds(&["list", "--output", "json"])), json!([]));
    assert_eq!(builds(&["list"]).ok(), "");
    let built = build(&sandbox, &[]);
    let id = built["build"].as_str().unwrap();

    let list = json_of(builds(&["list", "--output", "json"]));
    assert_eq!((&list[0]["id"], list.as_array().unwrap().len()), (&json!(id), 1));
    let line = builds(&["list", "--pipeline", "churn"]).ok();
    assert!(
        line.starts_with(&id[..12]) && line.ends_with("churn  2 images, memory\n"),
        "{line}"
    );
    assert_eq!(builds(&["list", "--pipeline", "other"]).ok(), "");

    let described = json_of(builds(&["describe", &id[..4], "--output", "json"]));
    let image = &described["images"]["train.orchestrator"];
    assert_eq!(image["requirements"], "torch==2.5");
    assert_eq!(image["apt_packages"], json!(["git"]));
    assert!(
        image["dockerfile"]
            .as_str()
            .unwrap()
            .starts_with("FROM base@sha256:")
    );
    assert_eq!(image["checksum"].as_str().unwrap().len(), 64);
    assert_eq!(image["content_key"].as_str().unwrap().len(), 40);
    let text = builds(&["describe", id]).ok();
    for part in [
        id,
        "churn",
        "memory",
        "zenml:churn-orchestrator",
        "torch==2.5",
        "git",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for command in ["describe", "delete"] {
        builds(&[command, "ffff"]).failed(4, &["there is no build `ffff`", "builds list"]);
    }
    assert_eq!(builds(&["delete", id]).ok(), format!("{id}\n"));
    assert_eq!(builds(&["list"]).ok(), "");
}

#[test]
fn a_build_that_cannot_be_recorded_is_a_build_nevertheless() {
    let sandbox = sandbox();
    sandbox.write(".wharf", "in the way");
    let run = pipeline(&sandbox, &["build", "run.yaml"]);
    assert!(run.stderr.contains("the build is not recorded"), "{run:#?}");
    assert_eq!(run.ok().lines().count(), 2);
}

#[test]
fn a_build_that_is_named_is_used_whatever_the_settings_say() {
    let sandbox = sandbox();
    let built = build(&sandbox, &[]);
    let id = &built["build"].as_str().unwrap()[..6];
    sandbox.write("run.yaml", &FILE.replace("torch==2.5", "-r no-such-file.txt"));
    let used = pipeline(
        &sandbox,
        &["build", "run.yaml", "--build", id, "--output", "json"],
    );
    assert!(!used.stderr.contains("contain code"), "{used:#?}");
    assert_eq!(json_of(used), built);
    sandbox.write("run.yaml", &format!("{FILE}build: {id}\n"));
    assert_eq!(build(&sandbox, &[]), built);
    assert_ne!(build(&sandbox, &["--no-reuse"])["build"], built["build"]);
    sandbox.write(
        "run.yaml",
        &FILE.replace("  load:\n", "  other: {settings: {docker: {user: u}}}\n"),
    );
    pipeline(&sandbox, &["build", "run.yaml", "--build", id])
        .failed(2, &["has no image for other.orchestrator", "builds describe"]);
    pipeline(&sandbox, &["build", "run.yaml", "--build", "ffff"]).failed(4, &["no build `ffff`"]);
    pipeline(&sandbox, &["build", "run.yaml", "--build", id, "--no-reuse"])
        .failed(2, &["--no-reuse", "--build"]);
}

#[test]
fn a_build_with_code_inside_warns_that_this_code_runs() {
    let sandbox = sandbox();
    let with_code = FILE.replace("allow_including_files_in_images: false", "user: ml");
    sandbox.write("run.yaml", &with_code);
    let built = build(&sandbox, &[]);
    let id = built["build"].as_str().unwrap();
    let run = pipeline(&sandbox, &["build", "run.yaml", "--build", id]);
    assert!(
        run.stderr
            .contains("warning: the images of this build contain code"),
        "{run:#?}"
    );
    run.ok();
}

#[test]
fn every_wrong_setting_is_told_at_once_with_its_line() {
    let sandbox = sandbox();
    let text = "\
settings:
  docker: {apt_packages: git, user: a b}
steps:
  train:
    settings:
      docker: {requirments: [x], environment: {A: '${WHARF_NOT_SET}'}}
";
    sandbox.write("run.yaml", text);
    for command in ["plan", "build", "dockerfile"] {
        pipeline(&sandbox, &[command, "run.yaml"]).failed(
            3,
            &[
                "run.yaml:2: `settings.docker.apt_packages`: expected a list of texts",
                "run.yaml:2: `settings.docker.user`",
                "run.yaml:6: `steps.train.settings.docker.requirments`",
                "did you mean `requirements`?",
                "run.yaml:6: `steps.train.settings.docker.environment.A`",
                "`WHARF_NOT_SET` is not set",
            ],
        );
    }
    pipeline(&sandbox, &["plan", "gone.yaml"]).failed(4, &["gone.yaml"]);
}

#[test]
fn a_dockerfile_is_printed_for_the_step_that_is_meant() {
    let sandbox = sandbox();
    pipeline(&sandbox, &["dockerfile", "run.yaml"]).failed(2, &["2 Dockerfiles", "--step"]);
    let text = pipeline(&sandbox, &["dockerfile", "run.yaml", "--step", "train"]).ok();
    assert!(
        text.starts_with("FROM base@sha256:") && text.contains("git"),
        "{text}"
    );
    pipeline(&sandbox, &["dockerfile", "run.yaml", "--step", "nope"]).failed(4, &["run.yaml"]);
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let printed = sandbox().run(&["pipeline", "schema"]).ok();
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/docker-settings.schema.json"
    );
    assert_eq!(printed, std::fs::read_to_string(path).unwrap());
}

#[test]
fn init_marks_the_source_root_of_everything_below() {
    let sandbox = sandbox();
    assert_eq!(sandbox.run(&["init"]).ok(), "");
    let run = sandbox.run(&["init"]);
    assert!(run.stderr.contains("already"), "{run:#?}");
    sandbox.write("deep/run.yaml", FILE);
    let arguments = ["pipeline", "build", "run.yaml", "--flavor", "memory"];
    let mut command = sandbox.command(&arguments);
    Run::from(command.current_dir(sandbox.path().join("deep")).output().unwrap()).ok();
    assert!(sandbox.path().join(".wharf/builds").is_dir());
    assert!(!sandbox.path().join("deep/.wharf").exists());
}

/// Ends a command with a signal as soon as a line with this text stands on standard error.
fn interrupted(mut command: Command, text: &str, signal: &str) -> (Run, Vec<String>) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(lines.any(|line| line.contains(text)), "{text:?} never came");
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
    let rest: Vec<String> = lines.collect();
    (child.wait_with_output().unwrap().into(), rest)
}

#[test]
fn ctrl_c_while_a_registry_is_silent_ends_all_images_and_names_their_steps() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        // Connections are taken by the system, and nobody ever answers.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let sandbox = sandbox();
        let registry = format!("{address}/ml");
        let arguments = [
            "pipeline",
            "build",
            "run.yaml",
            "--flavor",
            "memory",
            "--registry",
            &registry,
        ];
        let mut child = sandbox
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (_connection, _) = silent.accept().unwrap();
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(code), 0),
            "{stderr}"
        );
        for text in ["error: ", "steps without an image: load, train"] {
            assert!(stderr.contains(text), "{text:?} in {stderr}");
        }
        assert_eq!(sandbox.names(), ["run.yaml", "stack.yaml"]);
    }
}

/// Two images that are never done.
const ENDLESS: &str = "\
settings: {docker: {install_stack_requirements: false}}
steps:
  a: {settings: {docker: {dockerfile: A}}}
  b: {settings: {docker: {dockerfile: B}}}
";

#[test]
#[ignore = "needs a Docker engine"]
fn engine_ctrl_c_stops_every_running_build_of_a_pipeline() {
    let parent = std::env::var("WHARF_TEST_BUSYBOX_IMAGE").unwrap();
    let host = std::env::var("WHARF_TEST_ENGINE").unwrap();
    let marker = format!("wharf-pipeline-cancel-{}", std::process::id());
    let dockerfile = |name: &str| format!("FROM {parent}\nRUN echo {name} begun; sleep 300; : {marker}\n");
    let sandbox = Sandbox::with(&[
        ("run.yaml", ENDLESS),
        ("A", &dockerfile("a")),
        ("B", &dockerfile("b")),
    ]);
    let arguments = [
        "pipeline",
        "build",
        "run.yaml",
        "--host",
        &host,
        "--jobs",
        "2",
        "--code-repository",
        "off",
    ];
    let (run, rest) = interrupted(sandbox.command(&arguments), " begun", "-INT");
    assert_eq!((run.code, run.stdout.as_str()), (130, ""), "{rest:#?}");
    assert!(
        rest.iter()
            .any(|line| line.contains("steps without an image: a, b")),
        "{rest:#?}"
    );
    let containers = || {
        let arguments = ["--host", &host, "ps", "--no-trunc", "--format", "{{.Command}}"];
        let output = Command::new("docker").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().matches(&marker).count()
    };
    let running = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines
            .filter(|line| String::from_utf8_lossy(line).contains(&marker))
            .count()
    };
    let begin = std::time::Instant::now();
    while containers() + running() > 0 {
        assert!(
            begin.elapsed().as_secs() < 30,
            "a build nobody waits for still runs"
        );
    }
}

#[test]
#[ignore = "needs a Docker engine"]
fn engine_one_failing_image_leaves_the_others_and_its_steps_are_named() {
    let parent = std::env::var("WHARF_TEST_BUSYBOX_IMAGE").unwrap();
    let host = std::env::var("WHARF_TEST_ENGINE").unwrap();
    let good = format!("FROM {parent}\nRUN echo good\n");
    let bad = format!("FROM {parent}\nRUN echo some output; exit 3\n");
    let sandbox = Sandbox::with(&[("run.yaml", ENDLESS), ("A", &bad), ("B", &good)]);
    let arguments = [
        "pipeline",
        "build",
        "run.yaml",
        "--host",
        &host,
        "--code-repository",
        "off",
    ];
    let run = sandbox.run(&arguments);
    let text = "steps without an image: a";
    assert!(
        run.stderr.contains("some output") && run.stderr.lines().any(|line| line.trim() == text),
        "{run:#?}"
    );
    run.failed(1, &[]);
    let inspected = Command::new("docker")
        .args(["--host", &host, "image", "rm", "zenml:run-b-orchestrator"])
        .output()
        .unwrap();
    assert!(inspected.status.success(), "{inspected:?}");
}
