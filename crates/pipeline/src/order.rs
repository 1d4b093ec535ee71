//! What orchestrators ask for: the images of a pipeline, made ready in one call.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wharf_core::artifact_store::{ArtifactStore, LocalArtifactStore};
use wharf_core::builder::ImageBuilder;
use wharf_core::event::{EventSink, Warning};
use wharf_core::stack::Stack;
use wharf_core::{Error, ErrorKind, Result};

use crate::decide::ImageRequest;
use crate::execute::{Execution, Executor, ImageState};
use crate::gather::code_archive::store_code;
use crate::inputs::Surroundings;
use crate::plan::{BuilderFacts, CodeRepositoryUse, PipelinePlan, PlanInput, StackNeeds};
use crate::records::{BuildRecord, BuildRecords, ImageRecord, RecordContext, make_unversioned};

/// In how many records it is looked what the builder could do.
const RECENT_BUILDS: usize = 5;

/// Images that are wanted for a pipeline, and with what they are made. [`new`](Self::new) has the defaults of the
/// command; fields that are public can be set afterwards.
///
/// ```no_run
/// use wharf_core::event::EventSink;
/// use wharf_core::stack::Stack;
/// use wharf_pipeline::gather::{StopSignal, surroundings_of_process};
/// use wharf_pipeline::records::FileRecords;
/// use wharf_pipeline::{ImageOrder, PipelineFile};
///
/// # async fn example(stack: &Stack) -> wharf_core::Result<()> {
/// let path = std::path::Path::new("run.yaml");
/// let file = PipelineFile::read(path, &|name| std::env::var(name).ok())?;
/// let surroundings = surroundings_of_process(path, StopSignal::default())?;
/// let records = FileRecords::of_source_root(&surroundings.source_root);
///
/// let mut order = ImageOrder::new(&file.name, file.images(), stack, &surroundings);
/// order.records = Some(&records);
/// let delivery = order.deliver(&EventSink::discard()).await?;
/// println!("{:?}", delivery.reference("orchestrator"));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ImageOrder<'a> {
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The images. Requests that come to the same image are built once.
    pub images: Vec<ImageRequest>,
    /// Who builds, where images and code go, and what all images need. A stack without an image builder is an
    /// error; without a registry images stay with the builder; without an artifact store code goes to
    /// `.wharf/artifacts` of the source root.
    pub stack: &'a Stack,
    /// The world outside.
    pub surroundings: &'a Surroundings,
    /// What the builder can do; none, the default: what [`probe`](Self::probe) finds out.
    pub builder: Option<BuilderFacts>,
    /// The parent image for settings that name none; none, the default: chosen for the active Python.
    pub default_parent: Option<String>,
    /// Whether the code repository may be used. Default: where it can.
    pub code_repository: CodeRepositoryUse,
    /// How many images are built at once; none, the default: as
    /// [`default_jobs`](crate::execute::default_jobs).
    pub jobs: Option<NonZeroUsize>,
    /// Whether images that exist may be used. Default: yes.
    pub reuse: bool,
    /// Where the build is recorded; none, the default: nowhere.
    pub records: Option<&'a dyn BuildRecords>,
    /// Stops everything when it fires.
    pub cancel: CancellationToken,
}

/// Images that are ready.
#[derive(Debug)]
pub struct Delivery {
    /// What was done, and from what. It is recorded already, where records are kept.
    pub record: BuildRecord,
    /// How it went, image by image.
    pub execution: Execution,
}

impl Delivery {
    /// The image for a key, as [`ImageRequest::full_key`] gives it: `repository@sha256:…` where it is in a registry,
    /// else its local name. A step without an image of its own has the one of the key alone; see
    /// [`reference_for`](Self::reference_for).
    #[must_use]
    pub fn reference(&self, key: &str) -> Option<&str> {
        self.image(key).map(|image| image.reference.as_str())
    }

    /// The image in which a step runs: its own, else the one that all steps share under the key.
    #[must_use]
    pub fn reference_for(&self, step: &str, key: &str) -> Option<&str> {
        self.reference(&format!("{step}.{key}"))
            .or_else(|| self.reference(key))
    }

    /// What is recorded of the image for a key.
    #[must_use]
    pub fn image(&self, key: &str) -> Option<&ImageRecord> {
        self.record.images.get(key)
    }
}

impl<'a> ImageOrder<'a> {
    /// An order with every default.
    #[must_use]
    pub fn new(
        pipeline: &'a str,
        images: Vec<ImageRequest>,
        stack: &'a Stack,
        surroundings: &'a Surroundings,
    ) -> Self {
        Self {
            pipeline,
            images,
            stack,
            surroundings,
            builder: None,
            default_parent: None,
            code_repository: CodeRepositoryUse::default(),
            jobs: None,
            reuse: true,
            records: None,
            cancel: CancellationToken::new(),
        }
    }

    /// Asks the engine or service behind the builder what it can do. Where nothing answers it is what it could do at
    /// the newest build that is recorded, else what it can at its best: images that exist are found without it.
    ///
    /// # Errors
    ///
    /// [`InvalidConfiguration`](ErrorKind::InvalidConfiguration) without an image builder.
    pub async fn probe(&mut self) -> Result<()> {
        self.builder = match BuilderFacts::probe(self.image_builder()?.as_ref()).await {
            Some(facts) => Some(facts),
            None => Some(self.known_facts()?),
        };
        Ok(())
    }

    /// What would be done. Nothing is, and the builder is not asked: unless it was [before](Self::probe), the plan
    /// is for what the builder could do at the newest build that is recorded, else for it at its best.
    ///
    /// # Errors
    ///
    /// As [`PipelinePlan::new`], and [`InvalidConfiguration`](ErrorKind::InvalidConfiguration) without an image
    /// builder.
    pub fn plan(&self) -> Result<PipelinePlan> {
        PipelinePlan::new(&PlanInput {
            pipeline: self.pipeline,
            images: self.images.clone(),
            surroundings: self.surroundings,
            stack: StackNeeds::from(self.stack),
            registry: self.stack.container_registry.as_deref(),
            builder: self.known_facts()?,
            default_parent: self.default_parent.clone(),
            code_repository: self.code_repository,
        })
    }

    /// Probes, plans, stores the code where steps fetch it from there, makes every image ready, and records the build.
    /// Warnings of the plan go to `events`.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan). When an image fails the others are finished first; the error is that of the first
    /// image that failed, and names all that failed, those that were not tried for it, and every step that has no
    /// image. Nothing is recorded then; images that are in the registry are found there by the next build. That a record cannot
    /// be kept is a warning.
    ///
    /// # On cancel
    ///
    /// Builds that run are stopped on the builder, and the error is [`Cancelled`](ErrorKind::Cancelled).
    pub async fn deliver(&self, events: &EventSink) -> Result<Delivery> {
        let mut order = self.clone();
        if order.builder.is_none() {
            order.probe().await?;
        }
        let plan = order.plan()?;
        for warning in &plan.warnings {
            events.warn(Warning::new(warning));
        }
        order.deliver_plan(&plan, events).await
    }

    /// As [`deliver`](Self::deliver), for a plan of this order that was made before. Its warnings are not repeated.
    ///
    /// # Errors
    ///
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_plan(&self, plan: &PipelinePlan, events: &EventSink) -> Result<Delivery> {
        let executor = self.executor()?;
        let code_archive = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Error::cancelled("the build")),
            stored = self.store_code(plan) => stored?,
        };
        let execution = executor.run(plan, events).await;
        let context = RecordContext {
            stack: Some(self.stack.name.clone()).filter(|name| !name.is_empty()),
            builder: executor.builder.flavor().to_owned(),
            builder_facts: Some(self.known_facts()?),
            code_archive,
        };
        let record = BuildRecord::of(plan, &execution, context)?;
        let execution = all_there(execution)?;
        if let Some(Err(error)) = self.records.map(|records| records.save(&record)) {
            // The images are there all the same.
            events.warn(Warning::new("the build is not recorded").with_detail([error.report()]));
        }
        Ok(Delivery { record, execution })
    }

    /// What the images of this order are made with.
    ///
    /// # Errors
    ///
    /// [`InvalidConfiguration`](ErrorKind::InvalidConfiguration) without an image builder.
    pub fn executor(&self) -> Result<Executor> {
        Ok(Executor {
            builder: Arc::clone(self.image_builder()?),
            registry: self.stack.container_registry.clone(),
            artifact_store: self.stack.artifact_store.clone(),
            jobs: self.jobs,
            reuse: self.reuse,
            cancel: self.cancel.clone(),
        })
    }

    fn known_facts(&self) -> Result<BuilderFacts> {
        let builder = self.image_builder()?;
        let recorded = || {
            let records = self.records?.recent(RECENT_BUILDS).ok()?.into_iter();
            let mut of_flavor = records.filter(|record| record.builder == builder.flavor());
            of_flavor.find_map(|record| record.builder_facts)
        };
        Ok(self
            .builder
            .or_else(recorded)
            .unwrap_or_else(|| builder.as_ref().into()))
    }

    fn image_builder(&self) -> Result<&Arc<dyn ImageBuilder>> {
        let builder = self.stack.image_builder.as_ref();
        builder.ok_or_else(|| {
            Error::new(ErrorKind::InvalidConfiguration, "the stack has no image builder")
                .with_hint("Give the stack an image builder, such as `local`.")
        })
    }

    /// Stores the code once for its content, where steps fetch it from the artifact store.
    async fn store_code(&self, plan: &PipelinePlan) -> Result<Option<String>> {
        if !plan.code.should_upload_code {
            return Ok(None);
        }
        let root = &self.surroundings.source_root;
        let store: Arc<dyn ArtifactStore> = match &self.stack.artifact_store {
            Some(store) => Arc::clone(store),
            None => Arc::new(LocalArtifactStore::new(own_store(root)?)),
        };
        Ok(Some(store_code(root, store.as_ref()).await?.uri))
    }
}

/// The directory for code where the stack has no artifact store.
fn own_store(root: &Path) -> Result<PathBuf> {
    let directory = root.join(".wharf").join("artifacts");
    match make_unversioned(&directory) {
        Ok(()) => Ok(directory),
        Err(source) => Err(Error::io("could not store the code", &directory, source)),
    }
}

/// The execution, or one error for everything that failed.
fn all_there(execution: Execution) -> Result<Execution> {
    if execution.missing().next().is_none() {
        return Ok(execution);
    }
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
    // What a build said is more than that another could not begin.
    failed.sort_by_key(|(_, error)| error.kind() != ErrorKind::BuildFailed);
    let facts = [
        ("other images that failed", others(&failed)),
        ("not tried", skipped.join(", ")),
        ("steps without an image", each_once(steps).join(", ")),
    ];
    let first = failed.into_iter().next().map(|(_, error)| error);
    let error = first.unwrap_or_else(|| Error::new(ErrorKind::Unexpected, "images are missing"));
    let facts = facts.into_iter().filter(|(_, text)| !text.is_empty());
    Err(facts.fold(error, |error, (name, text)| error.with_context(name, text)))
}

/// What came of the images behind the first. What is the same for several is said once.
fn others(failed: &[(String, Error)]) -> String {
    let mut by_message: Vec<(String, Vec<&str>)> = Vec::new();
    for (image, error) in failed {
        let message = error.to_string();
        match by_message.iter_mut().find(|(known, _)| *known == message) {
            Some((_, images)) => images.push(image),
            None => by_message.push((message, vec![image])),
        }
    }
    let parts = by_message
        .iter()
        .enumerate()
        .map(|(at, (message, images))| match at {
            0 => images[1..].join(", "),
            _ => format!("{}: {message}", images.join(", ")),
        });
    parts
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

/// The steps of an image that is not there are also those of the image that it is built on.
fn each_once(mut names: Vec<String>) -> Vec<String> {
    let mut known = std::collections::BTreeSet::new();
    names.retain(|name| known.insert(name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_for_several_images_is_said_once() {
        let failed = [
            ("a", "no engine"),
            ("b", "no engine"),
            ("c", "x"),
            ("d", "x"),
            ("e", "y"),
        ];
        let failed = failed.map(|(image, message)| {
            let error = Error::new(ErrorKind::Unavailable, message);
            (image.to_owned(), error)
        });
        assert_eq!(others(&failed), "b; c, d: x; e: y");
        assert_eq!(others(&failed[..1]), "");
    }
}
