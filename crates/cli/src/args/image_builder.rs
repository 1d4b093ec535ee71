//! The arguments of `wharf image-builder`.

use clap::{Args, Subcommand};

/// Looks at what can build images.
#[derive(Debug, Clone, Subcommand)]
pub enum ImageBuilderCommand {
    /// Look at the kinds of image builders there are
    #[command(subcommand)]
    Flavor(FlavorCommand),
}

/// Looks at flavors.
#[derive(Debug, Clone, Subcommand)]
pub enum FlavorCommand {
    /// List the flavors of image builders, those that are not compiled in among them
    #[command(after_help = "Example:\n  wharf image-builder flavor list --output json | jq -r '.[].name'")]
    List,
    /// Describe a flavor: what it does, and the keys of its configuration
    #[command(after_help = "Example:\n  wharf image-builder flavor describe local")]
    Describe(DescribeArgs),
}

/// The arguments of `describe`.
#[derive(Debug, Clone, Args)]
pub struct DescribeArgs {
    /// The flavor's name
    #[arg(value_name = "FLAVOR")]
    pub name: String,
}
