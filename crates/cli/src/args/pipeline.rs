//! The arguments of `wharf pipeline`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum, ValueHint};

/// Plans and builds the images of a pipeline.
#[derive(Debug, Clone, Subcommand)]
pub enum PipelineCommand {
    /// Say for every image of a pipeline what would happen, and why; builds nothing and asks no network
    ///
    /// What earlier builds in this source root left says whether an image is reused, and what changed since. A
    /// parent image is taken to be what it was then; --resolve-parents asks its registry.
    #[command(after_help = PLAN_HELP)]
    Plan(PipelinePlanArgs),
    /// Build the images of a pipeline, or reuse those there are
    ///
    /// Standard output gets one line for each key under which an image is asked for: the key, a tab, and the
    /// image. An image that fails stops nothing that is not built on it.
    #[command(after_help = BUILD_HELP)]
    Build(PipelineBuildArgs),
    /// Print the Dockerfile of an image of a pipeline
    #[command(after_help = "Example:\n  wharf pipeline dockerfile run.yaml --step train")]
    Dockerfile(DockerfileArgs),
    /// Print the JSON Schema of a pipeline's file, for completion and checks in editors
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Look at the builds of the pipelines of this source root
    #[command(subcommand)]
    Builds(BuildsCommand),
}

/// The arguments of `wharf pipeline plan`.
#[derive(Debug, Clone, Args)]
pub struct PipelinePlanArgs {
    /// The pipeline
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Ask registries what the parent images are now, and which images are there already, whoever built them
    #[arg(long)]
    pub resolve_parents: bool,
    /// Plan as if no image could be reused
    #[arg(long)]
    pub no_reuse: bool,
}

/// The pipeline, and what its images are planned for.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The pipeline's run configuration: a YAML file with `settings.docker` and `steps`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Whether steps may fetch their code from the code repository
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub code_repository: RepositoryUse,
    /// A word of the images' entrypoint; given again, its next word
    #[arg(long, value_name = "WORD", action = ArgAction::Append, allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,
    /// The parent image for settings that name none [default: ZenML's image for the active Python and ZenML, else
    /// python:<major.minor>-slim]
    #[arg(
        long,
        value_name = "IMAGE",
        env = "WHARF_DEFAULT_PARENT_IMAGE",
        hide_env_values = true
    )]
    pub default_parent_image: Option<String>,
    /// Who builds, and where images go
    #[command(flatten)]
    pub target: PipelineTargetArgs,
}

/// Who builds, and where images go.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Builder and registry")]
pub struct PipelineTargetArgs {
    /// The registry to push to, such as registry.example.com/ml [default: the stack's; without one, images stay]
    #[arg(long, value_name = "URI")]
    pub registry: Option<String>,
    /// Where builders in a cloud get the build context from, such as s3://bucket/prefix [default: the stack's]
    #[arg(long, value_name = "URI")]
    pub artifact_store: Option<String>,
    /// The builder reaches registries on localhost and loopback addresses, too: a cluster on this machine does
    #[arg(long)]
    pub allow_local_registry: bool,
    /// A file that describes the stack: image builder, container registry, artifact store
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "flavor")]
    pub stack_file: Option<PathBuf>,
    /// The flavor of image builder to use [default: local]
    #[arg(long, value_name = "FLAVOR")]
    pub flavor: Option<String>,
    /// A setting of the flavor
    #[arg(long = "set", value_name = "KEY=VALUE", action = ArgAction::Append, requires = "flavor")]
    pub settings: Vec<String>,
}

/// The arguments of `wharf pipeline build`.
#[derive(Debug, Clone, Args)]
pub struct PipelineBuildArgs {
    /// The pipeline
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Use the images of this build, whatever the settings say; the beginning of its id is enough
    ///
    /// Nothing is built: an image that the build has not, or that is gone from its registry, is an error. Code
    /// inside the images runs as it was, not as it is here.
    #[arg(long, value_name = "ID")]
    pub build: Option<String>,
    /// How many images are built at once [default: half the processors but at most 4; elsewhere 8]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Build every image, even if the registry has the same one already or the file names a build to use
    #[arg(long, conflicts_with = "build")]
    pub no_reuse: bool,
}

/// The arguments of `wharf pipeline dockerfile`.
#[derive(Debug, Clone, Args)]
pub struct DockerfileArgs {
    /// The pipeline
    #[command(flatten)]
    pub plan: PlanArgs,
    /// The step whose image is meant [default: the only image there is]
    #[arg(long, value_name = "NAME")]
    pub step: Option<String>,
}

/// Looks at builds.
#[derive(Debug, Clone, Subcommand)]
pub enum BuildsCommand {
    /// List the builds, the newest first
    List(BuildsListArgs),
    /// Describe a build: its images, what they were built from, and when
    Describe(BuildIdArgs),
    /// Forget a build; its images stay where they are
    Delete(BuildIdArgs),
}

/// Which builds are listed.
#[derive(Debug, Clone, Args)]
pub struct BuildsListArgs {
    /// Only builds of this pipeline
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
}

/// A build.
#[derive(Debug, Clone, Args)]
pub struct BuildIdArgs {
    /// The id of the build, or the beginning of it
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Whether steps may fetch their code from the code repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum RepositoryUse {
    /// Where the settings allow it and the checkout is clean and pushed
    #[default]
    Auto,
    /// As auto, but a checkout that cannot be used is an error
    On,
    /// Never
    Off,
}

const PLAN_HELP: &str = "\
Examples:
  wharf pipeline plan run.yaml
  wharf pipeline plan run.yaml --registry registry.example.com/ml --resolve-parents
  wharf pipeline plan run.yaml --stack-file stack.yaml --output json | jq '.images[].reason'";

const BUILD_HELP: &str = "\
Examples:
  wharf pipeline build run.yaml --registry registry.example.com/ml
  wharf pipeline build run.yaml --stack-file stack.yaml --jobs 8
  wharf pipeline build run.yaml --build 7f3a";

const SCHEMA_HELP: &str = "\
Editors with the YAML language server take it from the first line of the file:
  wharf pipeline schema > run.schema.json
  # yaml-language-server: $schema=run.schema.json";
