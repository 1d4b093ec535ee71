//! `wharf pipeline plan` and `dockerfile`: what would be built. Nothing is.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use wharf::pipeline::gather::{self, StopSignal};
use wharf::pipeline::plan::{BuilderFacts, CodeRepositoryUse, PlanInput, StackNeeds};
use wharf::pipeline::{PipelineFile, PipelinePlan};
use wharf_core::builder::ImageBuilder;
use wharf_core::stack::Stack;
use wharf_core::{Error, ErrorKind, Result};

use crate::args::GlobalArgs;
use crate::args::pipeline::{DockerfileArgs, PlanArgs, RepositoryUse};
use crate::commands::build::target;
use crate::failure::Failure;
use crate::output::{self, Shown};
use crate::{exit_code, wiring};

/// A plan and what it was made for.
pub(super) struct Planned {
    pub(super) plan: PipelinePlan,
    pub(super) stack: Stack,
    pub(super) builder: Arc<dyn ImageBuilder>,
    pub(super) source_root: PathBuf,
    /// The build that the pipeline's file wants used.
    pub(super) build: Option<String>,
}

/// How a plan learns what the builder can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nobody is asked: the plan is for the builder at its best.
    Nobody,
    /// The engine or service behind the builder, which is to build just what is planned.
    Builder,
}

/// Reads the pipeline's file and plans its images.
pub(super) async fn make(global: &GlobalArgs, args: &PlanArgs, ask: Ask) -> Result<Planned> {
    let file = PipelineFile::read(&args.file, &|name| std::env::var(name).ok())?;
    let stack = target::pipeline_stack(&args.target, global.host.as_deref(), &wiring::flavors())?;
    let builder = stack.image_builder.clone();
    let builder =
        builder.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the stack has no image builder"))?;
    let surroundings = gather::surroundings_of_process(&args.file, StopSignal::default())?;
    let images = file.images().into_iter();
    let plan = PipelinePlan::new(&PlanInput {
        pipeline: &file.name,
        images: images
            .map(|image| image.with_entrypoint(args.entrypoint.iter().cloned()))
            .collect(),
        surroundings: &surroundings,
        stack: StackNeeds::from(&stack),
        registry: stack.container_registry.as_deref(),
        builder: match ask {
            Ask::Nobody => builder.as_ref().into(),
            Ask::Builder => BuilderFacts::probed(builder.as_ref()).await,
        },
        default_parent: None,
        code_repository: match args.code_repository {
            RepositoryUse::Auto => CodeRepositoryUse::Auto,
            RepositoryUse::On => CodeRepositoryUse::On,
            RepositoryUse::Off => CodeRepositoryUse::Off,
        },
    })?;
    file.warnings
        .iter()
        .chain(&plan.warnings)
        .for_each(|warning| warn(warning));
    Ok(Planned {
        plan,
        stack,
        builder,
        source_root: surroundings.source_root,
        build: file.build,
    })
}

pub(super) fn warn(warning: &str) {
    output::to_stderr(&format!("warning: {warning}\n"));
}

pub(super) async fn plan(global: &GlobalArgs, args: &PlanArgs) -> Result<u8, Failure> {
    let planned = make(global, args, Ask::Nobody).await?;
    output::print(global.output, &ShownPlan(planned.plan))?;
    Ok(exit_code::OK)
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

pub(super) async fn dockerfile(global: &GlobalArgs, args: &DockerfileArgs) -> Result<u8, Failure> {
    let planned = make(global, &args.plan, Ask::Nobody).await?;
    let text = dockerfile_of(&planned.plan, args.step.as_deref(), &args.plan.file)?;
    output::print(global.output, &ShownDockerfile(json!({ "dockerfile": text })))?;
    Ok(exit_code::OK)
}

fn dockerfile_of(plan: &PipelinePlan, step: Option<&str>, file: &Path) -> Result<String> {
    let wanted = |steps: &[String]| step.is_none_or(|step| steps.iter().any(|known| known == step));
    let images = plan
        .images
        .iter()
        .filter(|image| !image.keys.is_empty() && wanted(&image.steps));
    let mut texts: Vec<&String> = images.filter_map(|image| image.dockerfile.as_ref()).collect();
    texts.dedup();
    match texts.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(
            Error::new(ErrorKind::NotFound, "no image that is built was found")
                .with_context("file", file.display().to_string())
                .with_hint("`wharf pipeline plan` shows what happens for each step."),
        ),
        many => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the pipeline has {} Dockerfiles", many.len()),
        )
        .with_hint("Say for which step with --step.")),
    }
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
