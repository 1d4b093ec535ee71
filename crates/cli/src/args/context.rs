//! The arguments of `wharf context`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::build::FileArgs;

/// Looks at what a build may use.
#[derive(Debug, Clone, Subcommand)]
pub enum ContextCommand {
    /// List what `COPY . /` would copy: one path per line, sorted, directories with a trailing slash
    #[command(after_help = LS_HELP)]
    Ls(ContextArgs),
    /// Write the context as an archive; the same files always give the same bytes
    #[command(after_help = ARCHIVE_HELP)]
    Archive(ArchiveArgs),
    /// Print the sha256 digest of the reproducible tar archive of the context
    #[command(after_help = DIGEST_HELP)]
    Digest(ContextArgs),
    /// Explain what is big, and which rule kept or dropped a path
    #[command(after_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),
}

/// Which context.
#[derive(Debug, Clone, Args)]
pub struct ContextArgs {
    /// The directory whose files the build may use
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub root: PathBuf,
    /// What it holds
    #[command(flatten)]
    pub files: FileArgs,
}

/// The arguments of `wharf context archive`.
#[derive(Debug, Clone, Args)]
pub struct ArchiveArgs {
    /// Which context
    #[command(flatten)]
    pub context: ContextArgs,
    /// The file to write, or - for standard output
    ///
    /// The file appears whole or not at all.
    #[arg(short = 'o', long = "out", value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
    /// The form of the archive
    #[arg(long, value_enum, default_value_t)]
    pub format: ArchiveKind,
}

/// The arguments of `wharf context explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// Which context
    #[command(flatten)]
    pub context: ContextArgs,
}

/// The form of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ArchiveKind {
    /// Uncompressed tar
    #[default]
    #[value(name = "tar")]
    Tar,
    /// tar, compressed with gzip
    #[value(name = "tar.gz", alias = "tgz")]
    TarGz,
    /// zip
    #[value(name = "zip")]
    Zip,
}

const LS_HELP: &str = "\
Examples:
  wharf context ls
  wharf context ls training/ --output json | jq length";

const ARCHIVE_HELP: &str = "\
Examples:
  wharf context archive -o context.tar.gz --format tar.gz
  wharf context archive training/ -o - | tar -t";

const DIGEST_HELP: &str = "\
Example:
  wharf context digest training/";

const EXPLAIN_HELP: &str = "\
Examples:
  wharf context explain
  wharf context explain --output json";
