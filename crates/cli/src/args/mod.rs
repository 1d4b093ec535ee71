//! The command line as it stands: parsed without asking the disk, the environment or the network anything.
//!
//! What the words mean is decided afterwards, see [`crate::commands`].

pub mod build;
pub mod context;
pub mod gc;
pub mod image_builder;
pub mod pipeline;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::display::ProgressMode;
use crate::exit_code;
use crate::output::Format;

pub use build::BuildArgs;
pub use context::{ContextArgs, ContextCommand};
pub use gc::GcArgs;
pub use image_builder::{FlavorCommand, ImageBuilderCommand};
pub use pipeline::{BuildsCommand, PipelineCommand};

/// Builds container images for machine-learning pipelines on the builder you have.
#[derive(Debug, Parser)]
#[command(
    name = "wharf",
    bin_name = "wharf",
    version,
    long_about = "Builds container images for machine-learning pipelines on the builder you have.\n\n\
        The result goes to standard output and nothing else does; progress, warnings and errors go to standard \
        error.",
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// How the result is written to standard output
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// How progress is shown on standard error
    #[arg(long, global = true, value_enum, default_value_t, value_name = "MODE")]
    pub progress: ProgressMode,
    /// The engine to use: unix:///path, tcp://host:port or ssh://user@host
    ///
    /// Without it: $DOCKER_HOST, the current Docker context, then the usual sockets of Docker and Podman.
    #[arg(long, global = true, value_name = "URI")]
    pub host: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image and, with --push, push it
    ///
    /// Standard output gets one line: `repository@sha256:…` when the image was pushed, else its local
    /// reference. Ctrl-C stops the build on the builder, too; a second one stops wharf at once.
    Build(Box<BuildArgs>),
    /// Look at what a build may use: its context
    #[command(subcommand)]
    Context(ContextCommand),
    /// Plan and build the images of a pipeline
    #[command(subcommand)]
    Pipeline(Box<PipelineCommand>),
    /// Make the current directory the source root of its pipelines
    ///
    /// Puts a directory `.wharf` into it; commit the file in there, and every clone has the same source root.
    Init,
    /// Look at what can build images
    #[command(subcommand)]
    ImageBuilder(ImageBuilderCommand),
    /// Check whether this machine can build images, and say what to do where it cannot
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Remove what killed builds have left with a builder
    ///
    /// A build that ends, fails or is cancelled leaves nothing. One that was killed may leave objects behind, which
    /// end by themselves some time; this removes them now. What a running build needs stays.
    Gc(GcArgs),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
}

/// The arguments of `wharf doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The build context whose disk is checked
    #[arg(default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub context: std::path::PathBuf,
}

/// The arguments of `wharf completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

const DOCTOR_HELP: &str = "\
Exit codes: 0 nothing is broken (warnings do not count), 14 something is.

Examples:
  wharf doctor
  wharf doctor --host ssh://me@builder.example.com
  wharf doctor --output json | jq '.checks[] | select(.status != \"ok\")'";

const COMPLETIONS_HELP: &str = "\
Examples:
  wharf completions bash > ~/.local/share/bash-completion/completions/wharf
  wharf completions zsh > \"${fpath[1]}/_wharf\"
  wharf completions fish > ~/.config/fish/completions/wharf.fish";

impl Cli {
    /// The whole command line as clap has it, with the exit codes below the help of the top.
    #[must_use]
    pub fn definition() -> clap::Command {
        Self::command().after_help(exit_codes_help())
    }
}

fn exit_codes_help() -> String {
    let mut text = String::from("Exit codes:\n");
    for row in exit_code::TABLE {
        let meaning = row
            .meaning
            .split_once([':', '.'])
            .map_or(row.meaning, |(first, _)| first);
        text.push_str(&format!("  {:>3}  {meaning}\n", row.code));
    }
    text.push_str("\nColours appear on a terminal only, and never when NO_COLOR is set.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::definition().debug_assert();
    }

    #[test]
    fn every_command_and_argument_is_explained() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let name = (command.get_name(), argument.get_id());
                assert!(argument.get_help().is_some(), "{name:?}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::definition());
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in [
            ["wharf", "--output", "json", "context", "ls"],
            ["wharf", "context", "--output", "json", "ls"],
            ["wharf", "context", "ls", "--output", "json"],
        ] {
            assert_eq!(Cli::parse_from(line).global.output, Format::Json);
        }
    }
}
