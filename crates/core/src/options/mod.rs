//! The options of a build, under every name in use for them.

mod arguments;
mod parse;
mod secret;
mod size;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::parse::OptionProblem;
pub use self::secret::{BuildSecret, MAX_SECRET_BYTES, SecretSource, SshAgent};
pub use self::size::parse_bytes;
use crate::{Platform, Result};

/// How an image is to be built.
///
/// The same options exist under several names: ZenML's (`build_args`), the Docker SDK's for Python
/// (`buildargs`) and the `docker build` command's (`build-arg`). [`DockerBuildOptions::from_map`] takes all
/// of them; the table is [`BuildOption::names`]. What it does not know is kept in
/// [`extra`](Self::extra): a builder that can pass it on does, every other refuses it by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DockerBuildOptions {
    /// Values for the Dockerfile's `ARG`s. They are visible in the image's history: never put a secret here.
    pub build_args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// The stage to build; none: the last one.
    pub target: Option<String>,
    /// The platforms to build for; none: the builder's own.
    pub platforms: Vec<Platform>,
    /// Ask the registry for newer parent images even if the builder has some.
    pub pull: bool,
    /// Run every step, whatever the cache holds.
    pub no_cache: bool,
    /// Images whose layers may be used as a cache.
    pub cache_from: Vec<String>,
    /// The size of `/dev/shm` in bytes; none: the builder's default, 64 MiB with Docker.
    pub shm_size: Option<u64>,
    /// The network of `RUN` steps: `default`, `none`, `host`, or what the builder else knows.
    pub network: Option<String>,
    /// Host names and the addresses that `RUN` steps resolve them to.
    pub extra_hosts: BTreeMap<String, String>,
    /// Secrets for `RUN --mount=type=secret`. They stay out of the image and its history.
    pub secrets: Vec<BuildSecret>,
    /// SSH agents for `RUN --mount=type=ssh`.
    pub ssh: Vec<SshAgent>,
    /// Options that wharf does not know, by the name they were given.
    pub extra: BTreeMap<String, Value>,
}

/// One option of a build, for saying which builder can honour it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BuildOption {
    /// Values for `ARG`s.
    BuildArgs,
    /// Labels of the image.
    Labels,
    /// The stage to build.
    Target,
    /// A platform.
    Platform,
    /// More than one platform at once.
    MultiPlatform,
    /// Newer parent images.
    Pull,
    /// No cache.
    NoCache,
    /// Images as a cache.
    CacheFrom,
    /// The size of `/dev/shm`.
    ShmSize,
    /// The network of `RUN`.
    Network,
    /// Host names.
    ExtraHosts,
    /// Secret mounts.
    Secrets,
    /// SSH mounts.
    Ssh,
}

impl BuildOption {
    /// Every option.
    pub const ALL: [Self; 13] = [
        Self::BuildArgs,
        Self::Labels,
        Self::Target,
        Self::Platform,
        Self::MultiPlatform,
        Self::Pull,
        Self::NoCache,
        Self::CacheFrom,
        Self::ShmSize,
        Self::Network,
        Self::ExtraHosts,
        Self::Secrets,
        Self::Ssh,
    ];

    /// The names under which the option is accepted, wharf's own first, then ZenML's, the Docker SDK's and
    /// the `docker build` command's. Dashes and underscores mean the same.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::BuildArgs => &["build_args", "buildargs", "build_arg"],
            Self::Labels => &["labels", "label"],
            Self::Target => &["target"],
            Self::Platform => &["platform"],
            Self::MultiPlatform => &["platforms"],
            Self::Pull => &["pull"],
            Self::NoCache => &["no_cache", "nocache"],
            Self::CacheFrom => &["cache_from", "cachefrom"],
            Self::ShmSize => &["shm_size", "shmsize"],
            Self::Network => &["network", "network_mode", "networkmode"],
            Self::ExtraHosts => &["extra_hosts", "extrahosts", "add_host"],
            Self::Secrets => &["secrets", "secret"],
            Self::Ssh => &["ssh"],
        }
    }

    /// Wharf's own name of the option.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// The builders that can honour the option, for the message of one that cannot.
    #[must_use]
    pub fn served_by(self) -> &'static str {
        match self {
            Self::Secrets | Self::Ssh => {
                "the `local` builder on a Docker engine with BuildKit (18.09 or later)"
            }
            Self::ShmSize => "the `local` builder on Docker Engine 23 or later, or with `buildkit: false`",
            Self::MultiPlatform => "the `local` builder with `use_subprocess_call` and buildx",
            _ => "the `local` builder on a Docker engine",
        }
    }
}

impl DockerBuildOptions {
    /// Reads options as they stand in a configuration.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) listing every value of the wrong form and
    /// every option that was given under two names with different values.
    pub fn from_map(map: &Map<String, Value>) -> Result<Self> {
        parse::from_map(map)
    }

    /// The options that were given, in the order of [`BuildOption::ALL`].
    #[must_use]
    pub fn used(&self) -> Vec<BuildOption> {
        BuildOption::ALL
            .into_iter()
            .filter(|option| self.uses(*option))
            .collect()
    }

    fn uses(&self, option: BuildOption) -> bool {
        match option {
            BuildOption::BuildArgs => !self.build_args.is_empty(),
            BuildOption::Labels => !self.labels.is_empty(),
            BuildOption::Target => self.target.is_some(),
            BuildOption::Platform => self.platforms.len() == 1,
            BuildOption::MultiPlatform => self.platforms.len() > 1,
            BuildOption::Pull => self.pull,
            BuildOption::NoCache => self.no_cache,
            BuildOption::CacheFrom => !self.cache_from.is_empty(),
            BuildOption::ShmSize => self.shm_size.is_some(),
            BuildOption::Network => self.network.is_some(),
            BuildOption::ExtraHosts => !self.extra_hosts.is_empty(),
            BuildOption::Secrets => !self.secrets.is_empty(),
            BuildOption::Ssh => !self.ssh.is_empty(),
        }
    }
}
