//! From an execution to its record.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharf_core::{Result, random_name};

use super::{BuildRecord, ImageRecord, value_checksum};
use crate::execute::{Execution, ImageResult, ImageState};
use crate::plan::{BuilderFacts, ImagePlan, PipelinePlan};

/// What a record says beside the images.
#[derive(Debug, Clone, Default)]
pub struct RecordContext {
    /// The stack's name.
    pub stack: Option<String>,
    /// The flavor that built.
    pub builder: String,
    /// What it could do, as the plan has it.
    pub builder_facts: Option<BuilderFacts>,
    /// Where the code is in the artifact store.
    pub code_archive: Option<String>,
}

impl BuildRecord {
    /// The record of an execution. Images that are not there are left out.
    ///
    /// # Errors
    ///
    /// [`Unexpected`](wharf_core::ErrorKind::Unexpected) when the machine has no random numbers for the id.
    pub fn of(plan: &PipelinePlan, execution: &Execution, context: RecordContext) -> Result<Self> {
        let images = || plan.images.iter().zip(&execution.images);
        Ok(Self {
            id: random_name(16)?,
            pipeline: plan.pipeline.clone(),
            created: Timestamp::now(),
            duration_seconds: (execution.duration.as_secs_f64() * 1000.0).round() / 1000.0,
            stack: context.stack,
            builder: context.builder,
            builder_facts: context.builder_facts,
            commit: plan.repository.as_ref().map(|code| code.commit.clone()),
            repository: plan.repository.as_ref().map(|code| code.url.clone()),
            code_archive: context.code_archive,
            images: images()
                .flat_map(|(plan, result)| by_key(plan, result))
                .collect::<BTreeMap<_, _>>(),
            parents: images()
                .filter(|(plan, _)| plan.keys.is_empty())
                .filter_map(|(plan, result)| record(plan, result))
                .collect(),
        })
    }
}

fn by_key(plan: &ImagePlan, result: &ImageResult) -> Vec<(String, ImageRecord)> {
    let record = record(plan, result);
    let keys = plan.keys.iter();
    keys.filter_map(|key| Some((key.clone(), record.clone()?)))
        .collect()
}

/// The record of an image that is there, or that was not needed and would be as it always was.
fn record(plan: &ImagePlan, result: &ImageResult) -> Option<ImageRecord> {
    let reference = match &result.state {
        ImageState::Ready(ready) => ready.reference.clone(),
        ImageState::Unneeded => plan.image.clone(),
        _ => return None,
    };
    let variables = plan.environment.iter();
    Some(ImageRecord {
        reference,
        image: plan.image.clone(),
        checksum: plan.checksum.clone(),
        content_key: result.content_key.as_ref().map(ToString::to_string),
        parent_image: plan.parent_image.clone(),
        dockerfile: plan.dockerfile.clone(),
        requirements: plan.requirements(),
        apt_packages: plan.apt_packages.clone(),
        environment: variables
            .map(|(name, value)| (name.clone(), value_checksum(value)))
            .collect(),
        content: result.content.clone(),
        contains_code: plan.include_files,
        steps: plan.steps.clone(),
    })
}
