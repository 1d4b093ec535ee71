//! The arguments of `wharf build`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueHint};

/// The arguments of `wharf build`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER)]
pub struct BuildArgs {
    /// The directory whose files the build may use
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub context: PathBuf,
    /// The image's name; given again, another name for the same image
    ///
    /// A name without a tag means `latest`. With --push, every name is pushed, and the digest is that of the
    /// first.
    #[arg(short, long = "tag", value_name = "NAME", required = true, action = ArgAction::Append)]
    pub tags: Vec<String>,
    /// What the context holds
    #[command(flatten)]
    pub files: FileArgs,
    /// How to build
    #[command(flatten)]
    pub options: OptionArgs,
    /// Where the image goes
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Which files make the context.
#[derive(Debug, Clone, Default, Args)]
pub struct FileArgs {
    /// The Dockerfile, relative to the working directory, else to CONTEXT [default: CONTEXT/Dockerfile]
    #[arg(short = 'f', long = "file", value_name = "DOCKERFILE", value_hint = ValueHint::FilePath)]
    pub dockerfile: Option<PathBuf>,
    /// The ignore file [default: DOCKERFILE.dockerignore, else CONTEXT/.dockerignore]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dockerignore: Option<PathBuf>,
}

/// How to build.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Build options")]
pub struct OptionArgs {
    /// A value for an ARG of the Dockerfile; K alone takes the environment's value, if it is set
    ///
    /// Values are visible in the image's history. Use --secret for what nobody may see.
    #[arg(long = "build-arg", value_name = "K=V|K", action = ArgAction::Append)]
    pub build_args: Vec<String>,
    /// A label of the image
    #[arg(long = "label", value_name = "K=V", action = ArgAction::Append)]
    pub labels: Vec<String>,
    /// A secret for RUN --mount=type=secret: id=ID,src=FILE or id=ID,env=VARIABLE
    ///
    /// At most 500 KiB each. It is in no layer, no cache and no history.
    #[arg(long = "secret", value_name = "SPEC", action = ArgAction::Append)]
    pub secrets: Vec<String>,
    /// An SSH agent for RUN --mount=type=ssh: default, or ID=SOCKET
    #[arg(long, value_name = "SPEC", action = ArgAction::Append)]
    pub ssh: Vec<String>,
    /// The stage to build [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// A platform to build for, such as linux/arm64 [default: the builder's own]
    #[arg(long = "platform", value_name = "OS/ARCH", action = ArgAction::Append)]
    pub platforms: Vec<String>,
    /// Ask the registry for newer parent images
    #[arg(long)]
    pub pull: bool,
    /// Run every step, whatever the cache holds
    #[arg(long)]
    pub no_cache: bool,
    /// An image whose layers may serve as a cache
    #[arg(long, value_name = "REF", action = ArgAction::Append)]
    pub cache_from: Vec<String>,
    /// The size of /dev/shm in bytes, or with a unit (k, m, g; powers of 1024) [default: the builder's]
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// The network of RUN steps: default, none or host
    #[arg(long, value_name = "MODE")]
    pub network: Option<String>,
    /// A host name that RUN steps resolve to this address
    #[arg(long = "add-host", value_name = "HOST:IP", action = ArgAction::Append)]
    pub add_hosts: Vec<String>,
}

/// Who builds, and where the image goes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Builder and registry")]
pub struct TargetArgs {
    /// Push the image once it is built
    #[arg(long)]
    pub push: bool,
    /// The registry to push to, such as registry.example.com/ml [default: the stack's, else the name's own]
    #[arg(long, value_name = "NAME|URI")]
    pub registry: Option<String>,
    /// Where builders in a cloud get the build context from, such as s3://bucket/prefix [default: the stack's]
    #[arg(long, value_name = "URI")]
    pub artifact_store: Option<String>,
    /// The builder reaches registries on localhost and loopback addresses, too: a cluster on this machine does
    #[arg(long)]
    pub allow_local_registry: bool,
    /// A file that describes the stack: image builder, container registry, artifact store
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["flavor", "stack", "builder"])]
    pub stack_file: Option<PathBuf>,
    /// The flavor of image builder to use; `wharf image-builder flavor list` lists them [default: local]
    #[arg(long, value_name = "FLAVOR", conflicts_with_all = ["stack", "builder"])]
    pub flavor: Option<String>,
    /// A setting of the flavor; `wharf image-builder flavor describe FLAVOR` lists its keys
    #[arg(long = "set", value_name = "KEY=VALUE", action = ArgAction::Append, requires = "flavor")]
    pub settings: Vec<String>,
    /// A registered stack; not in this version
    #[arg(long, value_name = "NAME", hide = true, conflicts_with = "builder")]
    pub stack: Option<String>,
    /// A registered image builder; not in this version
    #[arg(long, value_name = "NAME", hide = true)]
    pub builder: Option<String>,
    /// Also write the outcome to this file, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub metadata_file: Option<PathBuf>,
}

const AFTER: &str = "\
Exit codes: 0 built (and pushed), 1 an instruction failed, 2 wrong input, 4 something named does not exist, 5 the \
builder cannot do this, 6 no engine or registry answers, 7 not logged in, 10 not pushed, 130 cancelled; \
`wharf --help` lists all.

Examples:
  wharf build -t app:1
  wharf build training/ -t registry.example.com/ml/train:1 --push
  wharf build -t app --build-arg PYTHON=3.12 --secret id=pip,src=$HOME/.config/pip/pip.conf
  wharf build -t app --stack-file production.yaml --metadata-file outcome.json
  image=$(wharf build -t registry.example.com/app --push --progress plain) && docker run \"$image\"";
