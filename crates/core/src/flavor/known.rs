//! The configurations of wharf's own builder flavors.
//!
//! They stand here and not beside the builders, so that a configuration can be checked where the builder
//! itself is not compiled in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configuration of the flavor `local`. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalImageBuilderConfig {
    /// Build with the `docker` command (or `podman`, where there is no `docker`) instead of the engine's API.
    /// Options that wharf does not know are then handed on. Default: false.
    pub use_subprocess_call: bool,
    /// Where the engine is, in the form of `DOCKER_HOST`. Default: found as the `docker` command finds it.
    pub host: Option<String>,
    /// The Docker context whose engine is used. Default: the one in use.
    pub context: Option<String>,
    /// Whether BuildKit builds (true) or the classic builder does (false). Default: BuildKit where the engine
    /// has it, unless `DOCKER_BUILDKIT=0` is set.
    pub buildkit: Option<bool>,
}
