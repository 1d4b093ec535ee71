//! From a pipeline's file to images that run, and back to them without an engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use wharf::core::builder::ImageBuilder;
use wharf::core::event::EventSink;
use wharf::core::flavor::known::LocalImageBuilderConfig;
use wharf::core::registry::ContainerRegistry;
use wharf::local::LocalImageBuilder;
use wharf::pipeline::execute::{Done, Execution, Executor};
use wharf::pipeline::gather::{ToolEnvironment, surroundings};
use wharf::pipeline::plan::{BuilderFacts, CodeRepositoryUse, PlanInput, StackNeeds};
use wharf::pipeline::{PipelineFile, PipelinePlan};
use wharf::registry::RegistryClient;
use wharf_testkit::services;

/// Two settings for three steps. The requirements of the one are as long as those of the other.
const FILE: &str = "\
settings:
  docker:
    parent_image: PARENT
    install_stack_requirements: false
    python_package_installer: pip
    requirements: [six==1.16.0]
    environment: {HARD: \"it's \\\"hard\\\" $HOME\\nsecond line\"}
    allow_download_from_code_repository: false
    allow_download_from_artifact_store: false
steps:
  load: {}
  train: {settings: {docker: {requirements: [six==1.17.0]}}}
  evaluate: {}
";

async fn execute(root: &Path, file: &str, host: String, registry: &Arc<dyn ContainerRegistry>) -> Execution {
    let config = LocalImageBuilderConfig {
        host: Some(host),
        ..Default::default()
    };
    let builder: Arc<dyn ImageBuilder> = Arc::new(LocalImageBuilder::new(config));
    let file = PipelineFile::parse(file, &root.join("run.yaml"), &|_| None).unwrap();
    let surroundings = surroundings(root, &ToolEnvironment::of_process(root));
    let plan = PipelinePlan::new(&PlanInput {
        pipeline: &file.name,
        images: file.images(),
        surroundings: &surroundings,
        stack: StackNeeds::default(),
        registry: Some(registry.as_ref()),
        builder: BuilderFacts::probed(builder.as_ref()).await,
        default_parent: None,
        code_repository: CodeRepositoryUse::Off,
    })
    .unwrap();
    let executor = Executor {
        builder,
        registry: Some(registry.clone()),
        artifact_store: None,
        jobs: None,
        reuse: true,
        cancel: Default::default(),
    };
    executor.run(&plan, &EventSink::discard()).await
}

fn references(execution: &Execution) -> BTreeMap<String, (String, Done)> {
    let ready = |image: &wharf::pipeline::execute::ImageResult| match image.ready() {
        Some(ready) => (image.steps.join(","), (ready.reference.clone(), ready.done)),
        None => panic!("{:?}", image.state),
    };
    execution.images.iter().map(ready).collect()
}

fn run(image: &str, program: &str) -> String {
    let output = std::process::Command::new("docker")
        .args([
            "--host",
            &services::engine(),
            "run",
            "--rm",
            "--network",
            "none",
            image,
            "python3",
            "-c",
            program,
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

async fn parent_in_the_registry() -> String {
    let image = format!("{}/pipelines/python:3.11", services::registry_host());
    for arguments in [
        vec!["tag", &services::python_image(), &image],
        vec!["push", &image],
    ] {
        let mut docker = std::process::Command::new("docker");
        let status = docker
            .args(["--host", &services::engine()])
            .args(&arguments)
            .output()
            .unwrap()
            .status;
        assert!(status.success(), "{arguments:?}");
    }
    image
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine and a registry"]
async fn engine_registry_a_pipeline_is_built_run_and_found_again_without_an_engine() {
    let registry = services::open_registry();
    let root = tempfile::tempdir().unwrap();
    let unique = format!("made by {}", std::process::id());
    std::fs::write(root.path().join("code.py"), format!("WHO = \"{unique}\"\n")).unwrap();
    let file = FILE.replace("PARENT", &parent_in_the_registry().await);

    let first = references(&execute(root.path(), &file, services::engine(), &registry).await);
    assert_eq!(
        first.values().map(|(_, done)| *done).collect::<Vec<_>>(),
        [Done::Built, Done::Built]
    );
    let say = "import os, six, code; print(six.__version__, os.environ['HARD'], code.WHO, os.getcwd())";
    for (steps, version) in [("load,evaluate", "1.16.0"), ("train", "1.17.0")] {
        let expected = format!("{version} it's \"hard\" $HOME\nsecond line {unique} /app\n");
        assert_eq!(run(&first[steps].0, say), expected);
    }

    // Another clone, no engine: every image is found by its key.
    let clone = tempfile::tempdir().unwrap();
    std::fs::copy(root.path().join("code.py"), clone.path().join("code.py")).unwrap();
    let nowhere = || "unix:///no/engine/here.sock".to_owned();
    let second = references(&execute(clone.path(), &file, nowhere(), &registry).await);
    for (steps, (reference, done)) in &second {
        assert_eq!((reference, *done), (&first[steps].0, Done::Reused), "{steps}");
    }

    // A requirement changes: one image is built, the other is found.
    let changed = file.replace("six==1.17.0", "six==1.15.0");
    let third = references(&execute(root.path(), &changed, services::engine(), &registry).await);
    assert_eq!(
        (third["train"].1, third["load,evaluate"].1),
        (Done::Built, Done::Reused)
    );
    assert_eq!(
        run(&third["train"].0, "import six; print(six.__version__)"),
        "1.15.0\n"
    );
    let client = RegistryClient::new(registry).unwrap();
    let image = third["train"].0.parse().unwrap();
    assert!(client.digest_of(&image).await.unwrap().is_some());
}

/// A clone of a repository made under a umask.
fn clone_of(origin: &Path, umask: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let script = format!("umask {umask} && git clone --quiet \"$1\" \"$2/code\"");
    let mut clone = std::process::Command::new("sh");
    clone.args(["-c", &script, "sh"]).args([origin, directory.path()]);
    assert!(clone.status().unwrap().success());
    directory
}

fn repository() -> tempfile::TempDir {
    let origin = tempfile::tempdir().unwrap();
    std::fs::create_dir(origin.path().join("steps")).unwrap();
    let unique = format!("print('made by {}')\n", std::process::id());
    std::fs::write(origin.path().join("steps/train.py"), unique).unwrap();
    let script = "git init --quiet && git add . && chmod +x steps/train.py && git add . && \
                  git -c user.name=t -c user.email=t@t commit --quiet -m code";
    let mut git = std::process::Command::new("sh");
    git.args(["-c", script]).current_dir(origin.path());
    assert!(git.status().unwrap().success());
    origin
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine and a registry"]
async fn engine_registry_two_clones_of_a_repository_have_one_image() {
    let registry = services::open_registry();
    let origin = repository();
    let file = format!(
        "settings:\n  docker:\n    parent_image: {}\n    install_stack_requirements: false\n    \
         allow_download_from_code_repository: false\n    allow_download_from_artifact_store: false\nsteps: {{train: {{}}}}\n",
        parent_in_the_registry().await
    );
    let one = clone_of(origin.path(), "022");
    let first = execute(&one.path().join("code"), &file, services::engine(), &registry).await;
    let other = clone_of(origin.path(), "077");
    // Somebody ran the code here.
    let cache = other.path().join("code/steps/__pycache__");
    std::fs::create_dir(&cache).unwrap();
    std::fs::write(cache.join("train.cpython-311.pyc"), "times differ").unwrap();
    let nowhere = "unix:///no/engine/here.sock".to_owned();
    let second = execute(&other.path().join("code"), &file, nowhere.clone(), &registry).await;
    assert_eq!(first.images[0].content_key, second.images[0].content_key);
    let (built, reused) = (references(&first), references(&second));
    assert_eq!(built["train"].1, Done::Built);
    assert_eq!(reused["train"], (built["train"].0.clone(), Done::Reused));
    assert_eq!(
        run(&built["train"].0, "import os; print(os.listdir('.'))"),
        "['steps']\n"
    );

    // What is built for another platform is another image.
    let arm = file.replace(
        "docker:\n",
        "docker:\n    build_config: {build_options: {platform: linux/arm64}}\n",
    );
    let third = execute(&other.path().join("code"), &arm, nowhere, &registry).await;
    assert!(third.images[0].ready().is_none(), "{:?}", third.images[0]);
}
