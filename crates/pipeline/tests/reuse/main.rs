//! Building again: what is found, with how many requests, and what a plan says about it beforehand.

// Everything here is a test or helps one.
#![allow(clippy::unwrap_used)]

mod registry;

use std::path::Path;
use std::sync::Arc;

use registry::{Builder, Registry};
use wharf_core::builder::MemoryImageBuilder;
use wharf_core::event::EventSink;
use wharf_core::stack::Stack;
use wharf_core::{ErrorKind, Result};
use wharf_pipeline::gather::{ProjectFiles, ToolEnvironment};
use wharf_pipeline::history::{History, short_id};
use wharf_pipeline::inputs::{
    ActivePython, CodeRepositories, EnvironmentExport, LocalEnvironment, LocalRepository, RequirementsText,
    Surroundings,
};
use wharf_pipeline::plan::Action;
use wharf_pipeline::records::{BuildRecords, FileRecords};
use wharf_pipeline::{Delivery, ImageOrder, PipelineFile, PipelinePlan};

/// Neither Python nor Git.
#[derive(Debug)]
struct Nothing;

impl LocalEnvironment for Nothing {
    fn freeze(&self, _: &EnvironmentExport) -> Result<RequirementsText> {
        Ok(RequirementsText::default())
    }

    fn python(&self) -> Result<Option<ActivePython>> {
        Ok(None)
    }
}

impl CodeRepositories for Nothing {
    fn local(&self, _: &Path) -> Result<LocalRepository> {
        Ok(LocalRepository::None)
    }
}

/// A source root, a registry, and a builder that pushes to it.
struct World {
    root: tempfile::TempDir,
    registry: Registry,
    memory: MemoryImageBuilder,
    stack: Stack,
}

impl World {
    async fn new() -> Self {
        let (registry, memory) = (Registry::start().await, MemoryImageBuilder::new());
        registry.put("base:1", "first");
        let builder = Builder {
            memory: memory.clone(),
            registry: registry.clone(),
        };
        let stack = Stack {
            image_builder: Some(Arc::new(builder)),
            container_registry: Some(registry.component()),
            ..Stack::default()
        };
        Self {
            root: tempfile::tempdir().unwrap(),
            registry,
            memory,
            stack,
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.root.path().join(name), text).unwrap();
    }

    /// What is said about every image; each step then has something of its own.
    fn file(&self, steps: &str) -> PipelineFile {
        let text = format!(
            "settings: {{docker: {{parent_image: '{}/base:1', allow_download_from_artifact_store: false}}}}\n\
             steps: {{{steps}}}\n",
            self.registry.address()
        );
        PipelineFile::parse(&text, &self.root.path().join("run.yaml"), &|_| None).unwrap()
    }

    fn surroundings(&self) -> Surroundings {
        let tools = ToolEnvironment::of_process(self.root.path());
        Surroundings {
            source_root: self.root.path().to_owned(),
            environment: Arc::new(Nothing),
            files: Arc::new(ProjectFiles::new(tools)),
            repositories: Arc::new(Nothing),
        }
    }

    fn records(&self) -> FileRecords {
        FileRecords::of_source_root(self.root.path())
    }

    async fn deliver(&self, steps: &str, reuse: bool) -> Delivery {
        let (file, surroundings, records) = (self.file(steps), self.surroundings(), self.records());
        let mut order = ImageOrder::new(&file.name, file.images(), &self.stack, &surroundings);
        order.records = Some(&records);
        order.reuse = reuse;
        order.deliver(&EventSink::discard()).await.unwrap()
    }

    /// The plan, compared with what there is; `ask` asks the registry, too.
    async fn plan(&self, steps: &str, ask: bool) -> PipelinePlan {
        let (file, surroundings) = (self.file(steps), self.surroundings());
        let order = ImageOrder::new(&file.name, file.images(), &self.stack, &surroundings);
        let mut plan = order.plan().unwrap();
        let sightings = match ask {
            true => Some(
                order
                    .executor()
                    .unwrap()
                    .look(&plan, &EventSink::discard())
                    .await
                    .unwrap(),
            ),
            false => None,
        };
        plan.compare(&History {
            records: &self.records().list().unwrap(),
            sightings: sightings.as_deref(),
            reuse: true,
        })
        .unwrap();
        plan
    }
}

const STEPS: &str = "a: {settings: {docker: {requirements: [x]}}}, b: {settings: {docker: {user: u}}}";

#[tokio::test]
async fn where_nothing_changed_two_questions_an_image_and_one_a_parent_are_all_that_is_sent() {
    let world = World::new().await;
    world.write("code.py", "1");
    let first = world.deliver(STEPS, true).await;
    world.registry.requests();
    let second = world.deliver(STEPS, true).await;
    assert_eq!(world.memory.built().len(), 2);
    let key = |step: &str| {
        first
            .image(&format!("{step}.orchestrator"))
            .unwrap()
            .content_key
            .clone()
            .unwrap()
    };
    let mut expected = vec!["HEAD base:1".to_owned()];
    for step in ["a", "b"] {
        expected.push(format!("HEAD ml/zenml:run-{step}-orchestrator"));
        expected.push(format!("HEAD ml/zenml:wharf-{}", key(step)));
        let wanted = format!("{step}.orchestrator");
        assert_eq!(second.reference(&wanted), first.reference(&wanted));
        assert_eq!(
            second.reference_for(step, "orchestrator"),
            first.reference(&wanted)
        );
    }
    expected.sort();
    assert_eq!(world.registry.requests(), expected);
}

#[tokio::test]
async fn what_another_pipeline_built_gets_its_name_and_nothing_is_pulled() {
    let world = World::new().await;
    world
        .deliver("a: {settings: {docker: {requirements: [x]}}}", true)
        .await;
    world.registry.requests();
    let other = world
        .deliver("other: {settings: {docker: {requirements: [x]}}}", true)
        .await;
    assert_eq!(world.memory.built().len(), 1);
    assert!(
        other
            .reference("other.orchestrator")
            .unwrap()
            .contains("/ml/zenml@sha256:")
    );
    let requests = world.registry.requests();
    let name = "ml/zenml:run-other-orchestrator";
    assert!(requests.contains(&format!("PUT {name}")), "{requests:?}");
    assert_eq!(
        requests
            .iter()
            .filter(|request| request.starts_with("PUT"))
            .count(),
        1
    );
}

#[tokio::test]
async fn without_reuse_everything_is_built_again() {
    let world = World::new().await;
    world.deliver(STEPS, true).await;
    world.deliver(STEPS, false).await;
    assert_eq!(world.memory.built().len(), 4);
    let prevented = STEPS.replace("user: u", "user: u, prevent_build_reuse: true");
    world.deliver(&prevented, true).await;
    assert_eq!(world.memory.built().len(), 5);
}

#[tokio::test]
async fn a_plan_says_what_the_build_then_does() {
    let world = World::new().await;
    world.write("code.py", "1");
    let first = world.deliver(STEPS, true).await;
    let reuse = format!("reuse of build {}", short_id(&first.record.id));
    world.registry.requests();
    let plan = world.plan(STEPS, false).await;
    assert_eq!(world.registry.requests(), [""; 0]);
    assert!(
        plan.images
            .iter()
            .all(|image| (image.action, &image.reason) == (Action::Reuse, &reuse))
    );
    assert_eq!(plan.effort.read, 1);

    world.write("code.py", "2");
    let plan = world.plan(STEPS, false).await;
    assert!(
        plan.images.iter().all(|image| image.reason == "code changed"),
        "{plan}"
    );
    world.deliver(STEPS, true).await;
    assert_eq!(world.memory.built().len(), 4);

    let changed = STEPS.replace("[x]", "[x, y]");
    let plan = world.plan(&changed, false).await;
    assert_eq!(plan.images[0].reason, "requirements changed: + y");
    assert_eq!(plan.images[1].action, Action::Reuse);
    world.deliver(&changed, true).await;
    assert_eq!(world.memory.built().len(), 5);
}

#[tokio::test]
async fn a_parent_that_moved_is_noticed_when_its_registry_is_asked_and_by_the_build() {
    let world = World::new().await;
    world.deliver(STEPS, true).await;
    let asked = world.plan(STEPS, true).await;
    assert!(
        asked.images.iter().all(|image| image.action == Action::Reuse),
        "{asked}"
    );
    world.registry.put("base:1", "second");
    let asked = world.plan(STEPS, true).await;
    let reason = format!(
        "parent image changed: {}/base:1 is another image now",
        world.registry.address()
    );
    assert!(asked.images.iter().all(|image| image.reason == reason), "{asked}");
    let offline = world.plan(STEPS, false).await;
    assert!(
        offline.images.iter().all(|image| image.action == Action::Reuse),
        "{offline}"
    );
    world.deliver(STEPS, true).await;
    assert_eq!(world.memory.built().len(), 4);
}

#[tokio::test]
async fn a_dockerfile_that_others_are_built_on_is_built_only_for_them() {
    let world = World::new().await;
    world.write(
        "Dockerfile.base",
        &format!("FROM {}/base:1\n", world.registry.address()),
    );
    let steps = "a: {settings: {docker: {dockerfile: Dockerfile.base, user: u}}}, \
                 b: {settings: {docker: {dockerfile: Dockerfile.base, user: v}}}";
    world.deliver(steps, true).await;
    assert_eq!(
        world.memory.built()[0],
        "zenml:run-a-orchestrator-intermediate-build"
    );
    assert_eq!(world.memory.built().len(), 3);
    let plan = world.plan(steps, false).await;
    assert_eq!(plan.images[0].action, Action::None);
    world.registry.requests();
    world.deliver(steps, true).await;
    assert_eq!(world.memory.built().len(), 3);
    assert_eq!(world.registry.requests().len(), 5);
    // One is built anew, and so is what it is built on.
    world.deliver(&steps.replace("user: v", "user: w"), true).await;
    assert_eq!(
        world.memory.built()[3..],
        [
            "zenml:run-a-orchestrator-intermediate-build".to_owned(),
            format!("{}/ml/zenml:run-b-orchestrator", world.registry.address())
        ]
    );
}

#[tokio::test]
async fn the_images_of_a_build_are_used_as_long_as_they_are_there() {
    let world = World::new().await;
    let first = world.deliver(STEPS, true).await;
    let registry = || world.stack.container_registry.clone();
    let keys = ["a.orchestrator".to_owned(), "b.orchestrator".to_owned()];
    let images = first.record.images_for(&keys, registry()).await.unwrap();
    assert_eq!(
        images["a.orchestrator"],
        first.reference("a.orchestrator").unwrap()
    );
    let other = ["c.orchestrator".to_owned()];
    let error = first.record.images_for(&other, registry()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    world.registry.forget("ml/zenml");
    let error = first.record.images_for(&keys, registry()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error
            .message()
            .contains(first.reference("b.orchestrator").unwrap()),
        "{error}"
    );
}
