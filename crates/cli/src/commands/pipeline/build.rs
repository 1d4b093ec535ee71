//! `wharf pipeline build`: builds the images of a pipeline, or reuses those there are.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use wharf::pipeline::execute::{Execution, Executor, ImageState};
use wharf::pipeline::gather::code_archive::store_code;
use wharf::pipeline::records::{BuildRecord, BuildRecords, FileRecords, RecordContext};
use wharf_core::artifact_store::{ArtifactStore, LocalArtifactStore};
use wharf_core::event::{EventSink, Warning};
use wharf_core::{Error, ErrorKind, Result};

use super::plan::{self, Ask, Planned};
use crate::args::GlobalArgs;
use crate::args::pipeline::PipelineBuildArgs;
use crate::display;
use crate::exit_code;
use crate::failure::Failure;
use crate::output::{self, Shown};
use crate::signals::{self, Signals};

pub(super) async fn run(global: &GlobalArgs, args: &PipelineBuildArgs) -> Result<u8, Failure> {
    let progress = global.progress.for_stderr()?;
    let planned = plan::make(global, &args.plan, Ask::Builder).await?;
    let records = FileRecords::of_source_root(&planned.source_root);
    if let Some(id) = args.build.as_ref().or(planned.build.as_ref()) {
        return use_build(global, &planned, &records.get(id)?);
    }
    let (sink, stream) = EventSink::channel();
    let notices = sink.clone();
    let signals = Signals::listen(move || notices.warn(Warning::new(signals::NOTICE)))?;
    let executor = Executor {
        builder: Arc::clone(&planned.builder),
        registry: planned.stack.container_registry.clone(),
        artifact_store: planned.stack.artifact_store.clone(),
        jobs: args.jobs,
        reuse: !args.no_reuse,
        cancel: signals.token(),
    };
    let code_archive = upload_code(&planned).await?;
    let display = display::Running::start(stream, progress);
    let execution = executor.run(&planned.plan, &sink).await;
    drop(sink);
    let model = display.finish().await;
    let context = RecordContext {
        stack: Some(planned.stack.name.clone()).filter(|name| !name.is_empty()),
        builder: planned.builder.flavor().to_owned(),
        code_archive,
    };
    let record = BuildRecord::of(&planned.plan, &execution, context)?;
    match failure(execution) {
        Some(error) => Err(Failure {
            code: signals.code().unwrap_or(exit_code::of(error.kind())),
            error,
            model: Some(Box::new(model)),
            dockerfile: None,
        }),
        None => {
            records.save(&record)?;
            output::print(global.output, &Built::of(&record))?;
            Ok(exit_code::OK)
        }
    }
}

/// Uploads the code once for its content, where steps fetch it from the artifact store.
async fn upload_code(planned: &Planned) -> Result<Option<String>> {
    if !planned.plan.code.should_upload_code {
        return Ok(None);
    }
    let store = planned.stack.artifact_store.clone();
    let local = || {
        Arc::new(LocalArtifactStore::new(
            planned.source_root.join(".wharf").join("artifacts"),
        )) as _
    };
    let store: Arc<dyn ArtifactStore> = store.unwrap_or_else(local);
    Ok(Some(store_code(&planned.source_root, store.as_ref()).await?.uri))
}

/// Answers with the images of a build that was.
fn use_build(global: &GlobalArgs, planned: &Planned, record: &BuildRecord) -> Result<u8, Failure> {
    let wanted = planned.plan.images.iter().flat_map(|image| &image.keys);
    let missing: Vec<&str> = wanted
        .filter(|key| !record.images.contains_key(*key))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let message = format!("the build {} has no image for {}", record.id, missing.join(", "));
        return Err(Error::new(ErrorKind::InvalidInput, message)
            .with_hint("`wharf pipeline builds describe ID` shows what it has.")
            .into());
    }
    if record.contains_code() {
        plan::warn("the images of this build contain code: that code runs, not the local one");
    }
    output::print(global.output, &Built::of(record))?;
    Ok(exit_code::OK)
}

/// One error for everything that failed, with the steps that have no image.
fn failure(execution: Execution) -> Option<Error> {
    let steps: Vec<String> = execution
        .missing()
        .flat_map(|image| image.steps.clone())
        .collect();
    let mut failed: Vec<(String, Error)> = Vec::new();
    let mut skipped: Vec<String> = Vec::new();
    for image in execution.images {
        match image.state {
            ImageState::Failed(error) => failed.push((image.image, error)),
            ImageState::Skipped { because } => skipped.push(format!("{} (built on {because})", image.image)),
            _ => {}
        }
    }
    let others: Vec<String> = failed
        .iter()
        .skip(1)
        .map(|(image, error)| format!("{image}: {error}"))
        .collect();
    let (_, mut error) = failed.into_iter().next()?;
    if !others.is_empty() {
        error = error.with_context("other images that failed", others.join("; "));
    }
    if !skipped.is_empty() {
        error = error.with_context("not tried", skipped.join(", "));
    }
    if !steps.is_empty() {
        error = error.with_context("steps without an image", steps.join(", "));
    }
    Some(error)
}

/// The images by key.
#[derive(Serialize)]
struct Built {
    build: String,
    images: BTreeMap<String, String>,
}

impl Built {
    fn of(record: &BuildRecord) -> Self {
        let images = record.images.iter();
        Self {
            build: record.id.clone(),
            images: images
                .map(|(key, image)| (key.clone(), image.reference.clone()))
                .collect(),
        }
    }
}

impl Shown for Built {
    type Json = Self;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.images
            .iter()
            .try_for_each(|(key, reference)| writeln!(out, "{key}\t{reference}"))
    }

    fn json(&self) -> &Self {
        self
    }
}
