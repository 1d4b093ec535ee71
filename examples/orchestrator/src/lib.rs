//! An orchestrator that runs the steps of a pipeline one after the other, each in a container of its own.
//!
//! What it wants of wharf is an image for each step, with an entrypoint, a file and a requirement that it adds
//! itself. What it gets are references by key: it decides nothing about Dockerfiles, registries or reuse.

use std::collections::BTreeMap;

use wharf::core::event::EventSink;
use wharf::core::stack::Stack;
use wharf::core::{Error, ErrorKind, Result};
use wharf::pipeline::decide::{ExtraRequirements, ORCHESTRATOR_KEY};
use wharf::pipeline::inputs::Surroundings;
use wharf::pipeline::records::BuildRecords;
use wharf::pipeline::{ImageOrder, ImageRequest, PipelineFile};

/// What runs inside every container: a step is the Python file of its name.
const ENTRYPOINT: &str = "\
import runpy, sys
runpy.run_path(f'/app/{sys.argv[1]}.py', run_name='__main__')
";

/// Where that is, below `/app`.
const ENTRYPOINT_FILE: &str = ".orchestrator/entrypoint.py";

/// A step that is ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRun {
    /// The step's name.
    pub step: String,
    /// The image to run it in: `repository@sha256:…`, or the name of an image that the builder keeps.
    pub image: String,
    /// What the image's entrypoint is given.
    pub arguments: Vec<String>,
}

/// Runs pipelines with the components of a stack.
#[derive(Debug)]
pub struct Orchestrator {
    stack: Stack,
}

impl Orchestrator {
    /// An orchestrator with a stack.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] listing everything that keeps the stack's components from working together.
    pub fn new(stack: Stack) -> Result<Self> {
        stack.validate()?;
        Ok(Self { stack })
    }

    /// What this orchestrator wants for a pipeline: steps with settings of their own get an image of their own,
    /// the others share one.
    #[must_use]
    pub fn images(pipeline: &PipelineFile) -> Vec<ImageRequest> {
        let requests = pipeline.images().into_iter();
        requests.map(with_what_is_added).collect()
    }

    /// Makes the images of a pipeline ready.
    ///
    /// # Errors
    ///
    /// Whatever kept images from being made, with the steps that have none.
    pub async fn prepare(
        &self,
        pipeline: &PipelineFile,
        surroundings: &Surroundings,
        records: &dyn BuildRecords,
        events: &EventSink,
    ) -> Result<Vec<StepRun>> {
        let images = Self::images(pipeline);
        let mut order = ImageOrder::new(&pipeline.name, images, &self.stack, surroundings);
        order.records = Some(records);
        let delivery = order.deliver(events).await?;
        let step = |step: &str| {
            let image = delivery.reference_for(step, ORCHESTRATOR_KEY);
            let missing = || Error::new(ErrorKind::Unexpected, format!("the step `{step}` has no image"));
            Ok(StepRun {
                step: step.to_owned(),
                image: image.ok_or_else(missing)?.to_owned(),
                arguments: vec![step.to_owned()],
            })
        };
        pipeline.steps.iter().map(|known| step(&known.name)).collect()
    }
}

/// The request with an entrypoint, a file and a requirement of the orchestrator's own.
fn with_what_is_added(request: ImageRequest) -> ImageRequest {
    let request = request.with_entrypoint(["python3".to_owned(), format!("/app/{ENTRYPOINT_FILE}")]);
    ImageRequest {
        extra_files: BTreeMap::from([(ENTRYPOINT_FILE.to_owned(), ENTRYPOINT.as_bytes().to_vec())]),
        extra_requirements: vec![ExtraRequirements {
            name: ".orchestrator_requirements".to_owned(),
            requirements: vec!["typing-extensions>=4".to_owned()],
        }],
        ..request
    }
}
