//! The arguments of `wharf gc`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueHint};

/// Which builder to clean up after, and how thoroughly.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = AFTER)]
pub struct GcArgs {
    /// A file that describes the stack whose image builder is meant
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "flavor")]
    pub stack_file: Option<PathBuf>,
    /// The flavor of the image builder [default: local, which leaves nothing]
    #[arg(long, value_name = "FLAVOR")]
    pub flavor: Option<String>,
    /// A setting of the flavor; `wharf image-builder flavor describe FLAVOR` lists its keys
    #[arg(long = "set", value_name = "KEY=VALUE", action = ArgAction::Append, requires = "flavor")]
    pub settings: Vec<String>,
    /// Where builders in a cloud get the build context from, such as s3://bucket/prefix [default: the stack's]
    #[arg(long, value_name = "URI")]
    pub artifact_store: Option<String>,
    /// Remove whatever is older than this, such as 2h or 30m, even if its build may still run somewhere
    #[arg(long, value_name = "DURATION")]
    pub older_than: Option<String>,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

const AFTER: &str = "\
Standard output gets one line for each thing found.

Examples:
  wharf gc --stack-file production.yaml
  wharf gc --flavor kaniko --set kubernetes_namespace=builds --dry-run
  wharf gc --flavor aws --set code_build_project=images --artifact-store s3://bucket/wharf
  wharf gc --flavor kaniko --older-than 6h --output json";
