//! The plan: for every image of a pipeline what happens, and why.
//!
//! Planning builds nothing, opens no file, starts no program and speaks with no network; what it must know from
//! outside it asks [`Surroundings`], each distinct question once.

mod index_access;
mod instructions;
mod planner;
mod problems;
mod questions;
mod recipe;
mod table;
mod warnings;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use wharf_core::Result;
use wharf_core::builder::{DockerfileDialect, ImageBuilder};
use wharf_core::registry::ContainerRegistry;
use wharf_core::stack::Stack;

pub use self::instructions::{BuildInstructions, PullParent};
use crate::decide::{CodeSource, ImageRequest, PipelineCode};
use crate::inputs::{RepositoryCode, Surroundings};
use crate::requirements::RequirementsFile;

/// What a plan is made from.
#[derive(Debug)]
pub struct PlanInput<'a> {
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The images that are asked for.
    pub images: Vec<ImageRequest>,
    /// The world outside.
    pub surroundings: &'a Surroundings,
    /// What the stack needs inside images.
    pub stack: StackNeeds,
    /// Where images go; none: they stay with the builder.
    pub registry: Option<&'a dyn ContainerRegistry>,
    /// What of the builder matters: for a plan that is executed, [`BuilderFacts::probed`].
    pub builder: BuilderFacts,
    /// The parent image for settings that name none; none: chosen for the active Python.
    pub default_parent: Option<String>,
    /// Whether the code repository may be used.
    pub code_repository: CodeRepositoryUse,
}

/// Packages that the stack's components need inside images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackNeeds {
    /// Python packages.
    pub requirements: Vec<String>,
    /// Debian packages.
    pub apt_packages: Vec<String>,
}

impl From<&Stack> for StackNeeds {
    fn from(stack: &Stack) -> Self {
        Self {
            requirements: stack.requirements.clone(),
            apt_packages: stack.apt_packages.clone(),
        }
    }
}

/// What of a builder matters to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BuilderFacts {
    /// What it understands inside a Dockerfile.
    pub dialect: DockerfileDialect,
    /// Whether an image that another is built on can stay on this machine.
    pub builds_locally: bool,
}

impl From<&dyn ImageBuilder> for BuilderFacts {
    fn from(builder: &dyn ImageBuilder) -> Self {
        Self {
            dialect: builder.capabilities().dialect,
            builds_locally: builder.is_building_locally(),
        }
    }
}

impl BuilderFacts {
    /// What the builder can do right now, asked from the engine or service behind it. Where nothing answers it is
    /// what the builder can at its best: images that exist can be reused without an engine.
    pub async fn probed(builder: &dyn ImageBuilder) -> Self {
        Self::probe(builder).await.unwrap_or_else(|| Self::from(builder))
    }

    /// The same; none: nothing answers.
    pub async fn probe(builder: &dyn ImageBuilder) -> Option<Self> {
        let capabilities = builder.probe().await.ok()?;
        Some(Self {
            dialect: capabilities.dialect,
            ..Self::from(builder)
        })
    }
}

/// Whether steps may get their code from the code repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CodeRepositoryUse {
    /// Where the settings allow it and the repository has the code.
    #[default]
    Auto,
    /// As `Auto`, but a repository that cannot be used is an error.
    On,
    /// Never: as if there were no repository.
    Off,
}

/// What is done for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is built.
    Build,
    /// It exists, and is used.
    Reuse,
    /// The parent image gets the image's name.
    Tag,
    /// The parent image is used as it is.
    None,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "build",
            Self::Reuse => "reuse",
            Self::Tag => "tag",
            Self::None => "none",
        })
    }
}

/// What happens for the images of a pipeline. As JSON it is the answer of `wharf pipeline plan --output json`;
/// `Display` is its table.
#[derive(Debug, Clone, Serialize)]
pub struct PipelinePlan {
    /// The pipeline's name.
    pub pipeline: String,
    /// The images, one that others are built on before them, else in the order in which they were asked for.
    pub images: Vec<ImagePlan>,
    /// What the code of the steps means for the pipeline.
    #[serde(skip)]
    pub code: PipelineCode,
    /// Where the code is, if the repository has it; recorded even when no step fetches it from there.
    #[serde(skip)]
    pub repository: Option<RepositoryCode>,
    /// What the user should know: full sentences.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// How much was done to make the plan.
    #[serde(skip)]
    pub effort: PlanEffort,
}

/// How much was done to make a plan: what tests count in place of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanEffort {
    /// How many distinct requests were gathered.
    pub gathered: usize,
    /// How many Dockerfiles were written.
    pub written: usize,
    /// How many directories of code were read to [compare](PipelinePlan::compare) it with earlier builds.
    pub read: usize,
}

/// What happens for one image.
#[derive(Debug, Clone, Serialize)]
pub struct ImagePlan {
    /// Under which keys the image is found; none: other images are built on it.
    pub keys: Vec<String>,
    /// Its name.
    pub image: String,
    /// What is done.
    pub action: Action,
    /// Why, in a few words.
    pub reason: String,
    /// The image that it starts from; none where a Dockerfile of the user's own says that.
    pub parent_image: Option<String>,
    /// The Dockerfile's text.
    pub dockerfile: Option<String>,
    /// The requirements files, in the order in which they are installed.
    pub requirements_files: Vec<RequirementsFile>,
    /// The Debian packages, in order.
    pub apt_packages: Vec<String>,
    /// The variables that the image has from the settings.
    pub environment: BTreeMap<String, String>,
    /// Whether the code is part of it.
    pub include_files: bool,
    /// Where its steps fetch the code from.
    #[serde(serialize_with = "download")]
    pub download_code: CodeSource,
    /// The checksum of what goes into it.
    pub checksum: String,
    /// The steps that run in it.
    pub steps: Vec<String>,
    /// How it is built; none when it is not.
    #[serde(skip)]
    pub instructions: Option<BuildInstructions>,
    /// The image of the plan that it is built on, by its place in the plan.
    #[serde(skip)]
    pub built_on: Option<usize>,
    /// Whether it goes to the registry.
    #[serde(skip)]
    pub push: bool,
    /// Whether an image that exists will not do.
    #[serde(skip)]
    pub prevent_reuse: bool,
}

fn download<S: Serializer>(code: &CodeSource, serializer: S) -> Result<S::Ok, S::Error> {
    match code {
        CodeSource::Included => CodeSource::None.serialize(serializer),
        other => other.serialize(serializer),
    }
}

impl PipelinePlan {
    /// Makes the plan.
    ///
    /// # Errors
    ///
    /// - [`InvalidConfiguration`](wharf_core::ErrorKind::InvalidConfiguration): an image of nothing, an unknown
    ///   integration, a step that cannot get its code, two requests of one key for different images;
    /// - whatever the surroundings answered, with the step for which they were asked.
    pub fn new(input: &PlanInput<'_>) -> Result<Self> {
        planner::plan(input)
    }

    /// The image for a key, as [`ImageRequest::full_key`] gives it.
    #[must_use]
    pub fn image(&self, key: &str) -> Option<&ImagePlan> {
        self.images
            .iter()
            .find(|image| image.keys.iter().any(|known| known == key))
    }
}

impl ImagePlan {
    /// All requirements as one text, as builds record them.
    #[must_use]
    pub fn requirements(&self) -> Option<String> {
        let contents: Vec<&str> = self
            .requirements_files
            .iter()
            .map(|file| file.content.as_str())
            .collect();
        Some(contents.join("\n")).filter(|text| !text.is_empty())
    }
}

impl fmt::Display for PipelinePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&table::table(self))
    }
}

#[cfg(test)]
pub(crate) mod tests;
