//! Pipelines that are built, and what came of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_builder_local::LocalImageBuilder;
use wharf_core::Result;
use wharf_core::builder::ImageBuilder;
use wharf_core::event::{EventSink, TimedEvent};
use wharf_core::flavor::known::LocalImageBuilderConfig;
use wharf_pipeline::execute::{Execution, Executor};
use wharf_pipeline::gather::{ToolEnvironment, surroundings};
use wharf_pipeline::plan::{BuilderFacts, CodeRepositoryUse, StackNeeds};
use wharf_pipeline::{PipelineFile, PipelinePlan, PlanInput};
use wharf_testkit::services;

/// A way to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    BuildKit,
    Classic,
    Podman,
}

impl Way {
    fn host(self) -> String {
        match self {
            Self::BuildKit | Self::Classic => services::engine(),
            Self::Podman => services::podman(),
        }
    }

    pub(crate) fn builder(self) -> Arc<dyn ImageBuilder> {
        Arc::new(LocalImageBuilder::new(LocalImageBuilderConfig {
            host: Some(self.host()),
            buildkit: (self == Self::Classic).then_some(false),
            ..Default::default()
        }))
    }

    /// Runs the `docker` command, which speaks with Podman as well.
    fn output(self, arguments: &[&str]) -> Output {
        let mut docker = Command::new("docker");
        docker.args(["--host", &self.host()]).args(arguments);
        docker.output().unwrap()
    }

    /// What the `docker` command prints.
    pub(crate) fn docker(self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a new container of an image prints.
    pub(crate) fn run(self, image: &str, words: &[&str]) -> String {
        self.run_as(&[], image, words)
    }

    /// The same with more options of `docker create`. `docker run` attaches to a container before Podman lets it.
    pub(crate) fn run_as(self, options: &[&str], image: &str, words: &[&str]) -> String {
        // Podman asks for more by itself than a root without all capabilities may have.
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
        let create = [
            &["create", "--network", "none"],
            &limits[..],
            options,
            &[image],
            words,
        ]
        .concat();
        let id = self.docker(&create);
        let id = id.trim();
        self.docker(&["start", id]);
        let code = self.docker(&["wait", id]);
        let output = self.output(&["logs", id]);
        self.docker(&["rm", "--force", id]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code.trim(), "0", "{words:?} in {image}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn inspect(self, image: &str) -> Value {
        let text = self.docker(&["image", "inspect", image]);
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }
}

/// A source root.
pub(crate) struct Project {
    root: TempDir,
    tools: ToolEnvironment,
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Project {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let tools = ToolEnvironment::of_process(root.path());
        Self { root, tools }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(name, content);
        self
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn variable(self, name: &str, value: &str) -> Self {
        Self {
            tools: self.tools.with(name, value),
            root: self.root,
        }
    }

    /// Plans a pipeline of these settings, and these steps with settings of their own.
    pub(crate) async fn plan(
        &self,
        way: Way,
        docker: Value,
        steps: &[(&str, Value)],
    ) -> Result<PipelinePlan> {
        self.plan_with(way, docker, steps, &[]).await
    }

    async fn plan_with(
        &self,
        way: Way,
        docker: Value,
        steps: &[(&str, Value)],
        entrypoint: &[&str],
    ) -> Result<PipelinePlan> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wharf-test-{}-{number}", std::process::id());
        let steps: BTreeMap<&str, Value> = steps
            .iter()
            .map(|(name, docker)| (*name, json!({"settings": {"docker": docker}})))
            .collect();
        let file = json!({"name": name, "settings": {"docker": with_defaults(docker)}, "steps": steps});
        let path = self.root().join("run.yaml");
        let file = PipelineFile::parse(&file.to_string(), &path, &|name| {
            self.tools.text(name).map(str::to_owned)
        })?;
        let builder = way.builder();
        let images = file.images().into_iter();
        PipelinePlan::new(&PlanInput {
            pipeline: &file.name,
            images: images
                .map(|image| image.with_entrypoint(entrypoint.iter().copied()))
                .collect(),
            surroundings: &surroundings(self.root(), &self.tools),
            stack: StackNeeds::default(),
            registry: None,
            builder: BuilderFacts::probed(builder.as_ref()).await,
            default_parent: None,
            code_repository: CodeRepositoryUse::Off,
        })
    }

    /// Builds the one image of these settings.
    pub(crate) async fn build(&self, way: Way, docker: Value) -> Built {
        let plan = self.plan(way, docker, &[("step", json!({}))]).await;
        execute(way, plan.unwrap_or_else(|error| panic!("{}", error.report()))).await
    }

    pub(crate) async fn build_with_entrypoint(&self, way: Way, docker: Value, words: &[&str]) -> Built {
        let steps = [("step", json!({}))];
        execute(way, self.plan_with(way, docker, &steps, words).await.unwrap()).await
    }
}

/// The code and the requirements are in the image, and nothing else is added.
fn with_defaults(docker: Value) -> Value {
    let mut all = json!({
        "parent_image": services::python_image(),
        "install_stack_requirements": false,
        "disable_automatic_requirements_detection": true,
        "allow_download_from_code_repository": false,
        "allow_download_from_artifact_store": false,
    });
    let own = docker.as_object().unwrap().clone();
    if own.contains_key("dockerfile") {
        all.as_object_mut().unwrap().remove("parent_image");
    }
    all.as_object_mut().unwrap().extend(own);
    all
}

/// Builds all images of a plan.
pub(crate) async fn execute(way: Way, plan: PipelinePlan) -> Built {
    let executor = Executor {
        builder: way.builder(),
        registry: None,
        artifact_store: None,
        jobs: None,
        reuse: true,
        cancel: Default::default(),
    };
    let (sink, mut stream) = EventSink::channel();
    let execution = executor.run(&plan, &sink).await;
    drop(sink);
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event);
    }
    Built {
        way,
        plan,
        execution,
        events,
    }
}

/// Images that are removed again.
pub(crate) struct Built {
    pub(crate) way: Way,
    pub(crate) plan: PipelinePlan,
    pub(crate) execution: Execution,
    pub(crate) events: Vec<TimedEvent>,
}

impl Built {
    /// The image that a step runs in.
    pub(crate) fn image_of(&self, step: &str) -> &str {
        let mut images = self.execution.images.iter();
        let has = |steps: &[String]| steps.iter().any(|known| known == step);
        let image = images
            .find(|image| !image.keys.is_empty() && has(&image.steps))
            .unwrap();
        match image.ready() {
            Some(ready) => &ready.reference,
            None => panic!("{:?}\n{:#?}", image.state, self.events),
        }
    }

    /// The one image.
    pub(crate) fn image(&self) -> &str {
        self.image_of("step")
    }

    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.way.run(self.image(), words)
    }

    pub(crate) fn python(&self, program: &str) -> String {
        self.run(&["python3", "-c", program])
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        for image in self.execution.images.iter().filter_map(|image| image.ready()) {
            // A failing test has more to say than that an image is in use.
            let _ = self.way.output(&["image", "rm", &image.reference]);
        }
    }
}
