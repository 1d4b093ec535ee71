//! `wharf pipeline plan` and `dockerfile`: what would be built. Nothing is.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};
use wharf::pipeline::execute::Sighting;
use wharf::pipeline::gather::{self, StopSignal};
use wharf::pipeline::history::History;
use wharf::pipeline::inputs::Surroundings;
use wharf::pipeline::plan::CodeRepositoryUse;
use wharf::pipeline::records::{BuildRecord, BuildRecords, FileRecords};
use wharf::pipeline::{ImageOrder, PipelineFile, PipelinePlan};
use wharf_core::event::{BuildEvent, EventSink};
use wharf_core::stack::Stack;
use wharf_core::{Error, ErrorKind, ImageReference, Result};

use crate::args::GlobalArgs;
use crate::args::pipeline::{DockerfileArgs, PipelinePlanArgs, PlanArgs, RepositoryUse};
use crate::commands::build::target;
use crate::failure::Failure;
use crate::output::{self, Shown};
use crate::{exit_code, wiring};

/// How many builds a plan is compared with at most, so that planning stays quick where there are very many.
const COMPARED_BUILDS: usize = 50;

/// What images are planned and made with.
pub(super) struct Workplace {
    pub(super) stack: Stack,
    pub(super) records: FileRecords,
    surroundings: Surroundings,
    default_parent: Option<String>,
}

/// Reads the pipeline's file.
pub(super) fn read(args: &PlanArgs) -> Result<PipelineFile> {
    PipelineFile::read(&args.file, &|name| std::env::var(name).ok())
}

impl Workplace {
    pub(super) fn new(global: &GlobalArgs, args: &PlanArgs) -> Result<Self> {
        let surroundings = gather::surroundings_of_process(&args.file, StopSignal::default())?;
        let image = args.default_parent_image.as_deref();
        Ok(Self {
            stack: target::pipeline_stack(&args.target, global.host.as_deref(), &wiring::flavors())?,
            records: FileRecords::of_source_root(&surroundings.source_root),
            // An empty variable says as little as none.
            default_parent: image
                .filter(|image| !image.is_empty())
                .map(default_parent)
                .transpose()?,
            surroundings,
        })
    }

    /// What is wanted.
    pub(super) fn order<'a>(&'a self, file: &'a PipelineFile, args: &PlanArgs) -> ImageOrder<'a> {
        let words = || args.entrypoint.iter().cloned();
        let images = file
            .images()
            .into_iter()
            .map(|image| image.with_entrypoint(words()));
        ImageOrder {
            default_parent: self.default_parent.clone(),
            records: Some(&self.records),
            code_repository: match args.code_repository {
                RepositoryUse::Auto => CodeRepositoryUse::Auto,
                RepositoryUse::On => CodeRepositoryUse::On,
                RepositoryUse::Off => CodeRepositoryUse::Off,
            },
            ..ImageOrder::new(&file.name, images.collect(), &self.stack, &self.surroundings)
        }
    }
}

/// Plans, and tells what the user should know.
pub(super) fn plan_of(file: &PipelineFile, order: &ImageOrder<'_>) -> Result<PipelinePlan> {
    let plan = order.plan()?;
    let warnings = file.warnings.iter().chain(&plan.warnings);
    warnings.for_each(|warning| warn(warning));
    Ok(plan)
}

/// The parent image for settings that name none, as it was given.
fn default_parent(image: &str) -> Result<String> {
    let parsed = image.parse::<ImageReference>();
    parsed.map(|_| image.to_owned()).map_err(|error| {
        let message = format!(
            "`{image}` cannot be the default parent image: {}",
            error.message()
        );
        Error::new(ErrorKind::InvalidInput, message)
            .with_hint("Write an image's name after --default-parent-image or in WHARF_DEFAULT_PARENT_IMAGE.")
    })
}

pub(super) fn warn(warning: &str) {
    output::to_stderr(&format!("warning: {warning}\n"));
}

pub(super) async fn plan(global: &GlobalArgs, args: &PipelinePlanArgs) -> Result<u8, Failure> {
    let file = read(&args.plan)?;
    let place = Workplace::new(global, &args.plan)?;
    let order = place.order(&file, &args.plan);
    let mut plan = plan_of(&file, &order)?;
    let sightings = match args.resolve_parents {
        true => Some(look(&order, &plan).await?),
        false => None,
    };
    plan.compare(&History {
        records: &recent(&place.records),
        sightings: sightings.as_deref(),
        reuse: !args.no_reuse,
    })?;
    output::print(global.output, &ShownPlan(plan))?;
    Ok(exit_code::OK)
}

/// The newest records of builds. A plan can do without those that cannot be read.
fn recent(records: &FileRecords) -> Vec<BuildRecord> {
    records.recent(COMPARED_BUILDS).unwrap_or_else(|error| {
        warn(&format!(
            "earlier builds are left out of account: {}",
            error.report()
        ));
        Vec::new()
    })
}

/// Asks registries what is there.
async fn look(order: &ImageOrder<'_>, plan: &PipelinePlan) -> Result<Vec<Option<Sighting>>> {
    let (sink, mut events) = EventSink::channel();
    let sightings = order.executor()?.look(plan, &sink).await;
    for event in events.drain() {
        if let BuildEvent::Warning(warning) = event.event {
            warn(
                &[warning.message]
                    .into_iter()
                    .chain(warning.detail)
                    .collect::<Vec<_>>()
                    .join(": "),
            );
        }
    }
    sightings
}

struct ShownPlan(PipelinePlan);

impl Shown for ShownPlan {
    type Json = PipelinePlan;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", self.0)
    }

    fn json(&self) -> &PipelinePlan {
        &self.0
    }
}

pub(super) fn dockerfile(global: &GlobalArgs, args: &DockerfileArgs) -> Result<u8, Failure> {
    let file = read(&args.plan)?;
    let place = Workplace::new(global, &args.plan)?;
    let plan = plan_of(&file, &place.order(&file, &args.plan))?;
    let text = dockerfile_of(&plan, args.step.as_deref(), &args.plan.file)?;
    output::print(global.output, &ShownDockerfile(json!({ "dockerfile": text })))?;
    Ok(exit_code::OK)
}

fn dockerfile_of(plan: &PipelinePlan, step: Option<&str>, file: &Path) -> Result<String> {
    let images = plan.images.iter().filter(|image| !image.keys.is_empty());
    if let Some(step) = step {
        let of_step = images
            .clone()
            .find(|image| image.steps.iter().any(|known| known == step));
        return match of_step {
            Some(image) => image
                .dockerfile
                .clone()
                .ok_or_else(|| not_built(step, &image.image)),
            None => Err(no_step(plan, step, file)),
        };
    }
    let mut texts: Vec<(&str, &str)> = Vec::new();
    for image in images {
        let (text, step) = (image.dockerfile.as_deref(), image.steps.first());
        if let Some(text) = text.filter(|text| texts.iter().all(|(known, _)| known != text)) {
            texts.push((text, step.map_or("", String::as_str)));
        }
    }
    match texts.as_slice() {
        [(one, _)] => Ok((*one).to_owned()),
        [] => Err(
            Error::new(ErrorKind::NotFound, "the pipeline has no image that is built")
                .with_context("file", file.display().to_string())
                .with_hint("`wharf pipeline plan` shows what happens for each step."),
        ),
        many => {
            let steps: Vec<&str> = many.iter().map(|(_, step)| *step).collect();
            let message = format!("the pipeline has {} Dockerfiles", many.len());
            Err(Error::new(ErrorKind::InvalidInput, message).with_hint(format!(
                "Say for which step, with --step {}.",
                steps.join(" or --step ")
            )))
        }
    }
}

fn not_built(step: &str, image: &str) -> Error {
    let message = format!("no Dockerfile is built for the step `{step}`: it runs in {image}");
    Error::new(ErrorKind::NotFound, message)
        .with_hint("`wharf pipeline plan` shows what happens for each step.")
}

fn no_step(plan: &PipelinePlan, step: &str, file: &Path) -> Error {
    let steps = plan.images.iter().flat_map(|image| &image.steps);
    let mut steps: Vec<&str> = steps.map(String::as_str).collect();
    steps.sort_unstable();
    steps.dedup();
    Error::new(ErrorKind::NotFound, format!("the pipeline has no step `{step}`"))
        .with_context("file", file.display().to_string())
        .with_hint(format!("Its steps are {}.", steps.join(", ")))
}

struct ShownDockerfile(Value);

impl Shown for ShownDockerfile {
    type Json = Value;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", self.0["dockerfile"].as_str().unwrap_or_default())
    }

    fn json(&self) -> &Value {
        &self.0
    }
}
