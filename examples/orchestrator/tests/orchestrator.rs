//! The orchestrator over a builder that builds in memory: what it asks for, and what it gets.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::path::Path;
use std::sync::Arc;

use wharf::core::ErrorKind;
use wharf::core::builder::MemoryImageBuilder;
use wharf::core::event::EventSink;
use wharf::core::stack::Stack;
use wharf::pipeline::PipelineFile;
use wharf::pipeline::gather::{ToolEnvironment, surroundings};
use wharf::pipeline::records::{BuildRecords, FileRecords};
use wharf_example_orchestrator::{Orchestrator, StepRun};

/// A parent whose name is its digest: no registry is asked what it means.
const PARENT: &str = "base@sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn pipeline(root: &Path) -> PipelineFile {
    let text = include_str!("../pipeline/run.yaml");
    let text = text.replace(
        "requirements:",
        &format!("parent_image: {PARENT}\n    requirements:"),
    );
    std::fs::write(root.join("train.py"), "print(1)\n").unwrap();
    PipelineFile::parse(&text, &root.join("run.yaml"), &|_| None).unwrap()
}

fn orchestrator(builder: &MemoryImageBuilder) -> Orchestrator {
    let stack = Stack {
        name: "memory".into(),
        image_builder: Some(Arc::new(builder.clone())),
        ..Stack::default()
    };
    Orchestrator::new(stack).unwrap()
}

#[tokio::test]
async fn every_step_gets_an_image_with_what_the_orchestrator_adds() {
    let root = tempfile::tempdir().unwrap();
    let (pipeline, builder) = (pipeline(root.path()), MemoryImageBuilder::new());
    let around = surroundings(root.path(), &ToolEnvironment::of_process(root.path()));
    let records = FileRecords::of_source_root(root.path());
    let orchestrator = orchestrator(&builder);
    let runs = orchestrator
        .prepare(&pipeline, &around, &records, &EventSink::discard())
        .await
        .unwrap();

    let run = |step: &str, image: &str| StepRun {
        step: step.into(),
        image: image.into(),
        arguments: vec![step.into()],
    };
    assert_eq!(
        runs,
        [
            run("load", "zenml:churn-orchestrator"),
            run("train", "zenml:churn-train-orchestrator")
        ]
    );
    let record = records.list().unwrap().remove(0);
    assert_eq!(
        (record.pipeline.as_str(), record.stack.as_deref()),
        ("churn", Some("memory"))
    );
    for image in record.images.values() {
        let dockerfile = image.dockerfile.as_ref().unwrap();
        let entrypoint = dockerfile.lines().find(|line| line.starts_with("ENTRYPOINT ["));
        assert!(
            entrypoint.unwrap().contains("/app/.orchestrator/entrypoint.py"),
            "{dockerfile}"
        );
        assert_eq!(
            image.requirements.as_deref(),
            Some("typing-extensions>=4\nsix==1.17.0")
        );
        assert!(image.contains_code);
        assert!(
            image
                .content
                .as_ref()
                .unwrap()
                .files
                .contains_key(".orchestrator/entrypoint.py")
        );
    }
}

#[tokio::test]
async fn steps_without_an_image_are_named() {
    let root = tempfile::tempdir().unwrap();
    let (pipeline, builder) = (pipeline(root.path()), MemoryImageBuilder::new());
    builder.fail("zenml:churn-train-orchestrator", "no space");
    let around = surroundings(root.path(), &ToolEnvironment::of_process(root.path()));
    let records = FileRecords::of_source_root(root.path());
    let orchestrator = orchestrator(&builder);
    let prepared = orchestrator
        .prepare(&pipeline, &around, &records, &EventSink::discard())
        .await;
    let error = prepared.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BuildFailed);
    assert!(
        error
            .context()
            .any(|fact| fact == ("steps without an image", "train"))
    );
    assert_eq!(builder.built(), ["zenml:churn-orchestrator"]);
    assert_eq!(records.list().unwrap(), []);
}
