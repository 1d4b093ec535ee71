//! The only place of the command that knows which builders are compiled in.

use wharf_core::doctor::Check;
use wharf_core::flavor::FlavorRegistry;
use wharf_core::registry::DockerConfigLocator;

/// Every flavor there is, those that are not compiled in among them.
#[must_use]
pub fn flavors() -> FlavorRegistry {
    wharf::flavors()
}

/// Asks everything that is compiled in how it is. `host` is the engine to use, in the form of `DOCKER_HOST`.
pub async fn diagnose(host: Option<&str>) -> Vec<Check> {
    let mut checks = engine(host).await;
    checks.extend(DockerConfigLocator::from_env().diagnose());
    checks
}

#[cfg(feature = "local")]
async fn engine(host: Option<&str>) -> Vec<Check> {
    use wharf::local::{LocalImageBuilder, LocalImageBuilderConfig};
    let config = LocalImageBuilderConfig {
        host: host.map(str::to_owned),
        ..LocalImageBuilderConfig::default()
    };
    wharf::local::diagnose(&LocalImageBuilder::new(config)).await
}

#[cfg(not(feature = "local"))]
async fn engine(_: Option<&str>) -> Vec<Check> {
    let detail = "this wharf was compiled without the local builder";
    vec![Check::warning(
        "engine",
        detail,
        "Turn on the feature `local` of `wharf-cli`.",
    )]
}
