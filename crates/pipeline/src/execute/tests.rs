//! Execution over the builder in memory.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wharf_core::ErrorKind;
use wharf_core::builder::MemoryImageBuilder;
use wharf_core::event::EventSink;

use super::{Done, Executor, ImageState};
use crate::decide::CodeSource;
use crate::plan::{Action, BuildInstructions, ImagePlan, PipelinePlan, PlanEffort, PullParent};
use crate::{DockerSettings, PipelineCode};

fn executor(builder: &MemoryImageBuilder) -> Executor {
    Executor {
        builder: Arc::new(builder.clone()),
        registry: None,
        artifact_store: None,
        jobs: None,
        reuse: true,
        cancel: CancellationToken::new(),
    }
}

fn image(name: &str, built_on: Option<usize>) -> ImagePlan {
    let dockerfile = "FROM scratch\n".to_owned();
    ImagePlan {
        keys: vec![name.to_owned()],
        image: format!("{name}:1"),
        action: Action::Build,
        reason: String::new(),
        parent_image: None,
        dockerfile: Some(dockerfile.clone()),
        requirements_files: Vec::new(),
        apt_packages: Vec::new(),
        environment: std::collections::BTreeMap::new(),
        include_files: false,
        download_code: CodeSource::None,
        checksum: name.to_owned(),
        steps: vec![format!("step of {name}")],
        instructions: Some(BuildInstructions {
            image: format!("{name}:1").parse().unwrap(),
            context_root: None,
            ignore_file: None,
            files: Vec::new(),
            missing: Vec::new(),
            dockerfile: ("Dockerfile".into(), dockerfile),
            open_modes: false,
            left_out: Vec::new(),
            options: wharf_core::options::DockerBuildOptions::default(),
            pull: PullParent::No,
        }),
        built_on,
        push: false,
        prevent_reuse: false,
    }
}

fn plan(images: Vec<ImagePlan>) -> PipelinePlan {
    PipelinePlan {
        pipeline: "p".into(),
        images,
        code: PipelineCode::of(std::iter::empty::<&DockerSettings>(), false),
        repository: None,
        warnings: Vec::new(),
        effort: PlanEffort::default(),
    }
}

#[tokio::test]
async fn parents_are_built_before_what_is_built_on_them() {
    let builder = MemoryImageBuilder::new();
    let plan = plan(vec![
        image("parent", None),
        image("child", Some(0)),
        image("other", None),
    ]);
    let execution = executor(&builder).run(&plan, &EventSink::discard()).await;
    let done: Vec<_> = execution
        .images
        .iter()
        .map(|image| image.ready().map(|ready| ready.done))
        .collect();
    assert_eq!(done, [Some(Done::Built); 3]);
    let built = builder.built();
    let place = |name: &str| built.iter().position(|image| image == name).unwrap();
    assert!(place("parent:1") < place("child:1"));
}

#[tokio::test]
async fn a_failing_image_stops_only_what_is_built_on_it() {
    let builder = MemoryImageBuilder::new();
    builder.fail("parent:1", "exit code 1");
    let plan = plan(vec![
        image("parent", None),
        image("child", Some(0)),
        image("other", None),
    ]);
    let execution = executor(&builder).run(&plan, &EventSink::discard()).await;
    let states = &execution.images;
    assert!(matches!(&states[0].state, ImageState::Failed(error) if error.kind() == ErrorKind::BuildFailed));
    assert!(matches!(&states[1].state, ImageState::Skipped { because } if because == "parent:1"));
    assert!(states[2].ready().is_some());
    let without: Vec<&str> = execution
        .missing()
        .flat_map(|image| &image.steps)
        .map(String::as_str)
        .collect();
    assert_eq!(without, ["step of parent", "step of child"]);
}

#[tokio::test]
async fn cancelling_stops_all() {
    let builder = MemoryImageBuilder::new();
    let executor = executor(&builder);
    executor.cancel.cancel();
    let plan = plan(vec![image("a", None), image("b", None)]);
    let execution = executor.run(&plan, &EventSink::discard()).await;
    assert_eq!(execution.missing().count(), 2);
    assert!(builder.built().is_empty());
}
