//! Container images for machine-learning pipelines, on whichever builder the team has.
//!
//! This crate is the door to wharf: it re-exports [`wharf_core`] and, each behind a feature, the builders.
//!
//! # Features
//!
//! | feature | what it adds | on by default |
//! | --- | --- | --- |
//! | `local` | the image builder `local`: Docker and Podman | yes |
//! | `kaniko` | the image builder `kaniko`: a Kubernetes cluster | no |
//! | `aws` | the image builder `aws` (CodeBuild), the artifact store `s3`, the registry `aws` (ECR) | no |
//! | `pipeline` | from a pipeline's Docker settings to images: plan, generate, gather, reuse | no |
//! | `full` | everything | no |
//!
//! ```toml
//! wharf = "0.1"                                                         # the local builder
//! wharf = { version = "0.1", default-features = false }                 # types, contexts, registries only
//! ```
//!
//! # A build
//!
//! ```no_run
//! use wharf::core::builder::BuildRequest;
//! use wharf::core::event::EventSink;
//! use wharf::core::{BuildContext, Result};
//!
//! # async fn example() -> Result<()> {
//! let builder = wharf::default_image_builder()?;
//! let mut request = BuildRequest::new("registry.example.com/ml/train:1".parse()?, BuildContext::new("."));
//! request.registry = Some(wharf::registry_of(&request.image)?); // push it
//! let outcome = builder.build(request, EventSink::discard()).await?;
//! println!("{}", outcome.reference());
//! # Ok(()) }
//! ```
//!
//! [`EventSink::channel`](wharf_core::event::EventSink::channel) gives the events while it builds.
//!
//! # The images of a pipeline
//!
//! With the feature `pipeline`, an orchestrator says which images it wants, and gets references by key:
//! `wharf::pipeline::ImageOrder`. The directory `examples/orchestrator` of the repository has a small one.

use std::sync::Arc;

use wharf_core::builder::ImageBuilder;
use wharf_core::flavor::FlavorRegistry;
use wharf_core::registry::{ContainerRegistry, FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{ImageReference, Result};

#[cfg(feature = "aws")]
pub use wharf_aws as aws;
#[cfg(feature = "aws")]
pub use wharf_builder_aws as codebuild;
#[cfg(feature = "kaniko")]
pub use wharf_builder_kaniko as kaniko;
#[cfg(feature = "local")]
pub use wharf_builder_local as local;
pub use wharf_core as core;
#[cfg(feature = "pipeline")]
pub use wharf_pipeline as pipeline;
pub use wharf_registry as registry;

/// The flavors of wharf. Those whose feature is off are listed too; using one names the feature to turn on.
#[must_use]
pub fn flavors() -> FlavorRegistry {
    let mut flavors = FlavorRegistry::with_core_flavors();
    flavors.register(local_flavor());
    flavors.register(kaniko_flavor());
    aws_flavors()
        .into_iter()
        .for_each(|flavor| flavors.register(flavor));
    flavors
}

#[cfg(feature = "aws")]
fn aws_flavors() -> Vec<wharf_core::flavor::Flavor> {
    vec![
        wharf_builder_aws::flavor(),
        wharf_aws::artifact_store_flavor(),
        wharf_aws::registry_flavor(),
    ]
}

/// The registry is not among them: one that needs no API of Amazon's is in the core.
#[cfg(not(feature = "aws"))]
fn aws_flavors() -> Vec<wharf_core::flavor::Flavor> {
    use wharf_core::flavor::known::{AwsImageBuilderConfig, S3ArtifactStoreConfig};
    use wharf_core::flavor::{ComponentKind, Flavor};
    vec![
        Flavor::not_compiled_in::<AwsImageBuilderConfig>(
            ComponentKind::ImageBuilder,
            "aws",
            "Builds in AWS CodeBuild",
            "aws",
        ),
        Flavor::not_compiled_in::<S3ArtifactStoreConfig>(
            ComponentKind::ArtifactStore,
            "s3",
            "Keeps files in a bucket of S3, or of another server that speaks S3",
            "aws",
        ),
    ]
}

#[cfg(feature = "local")]
fn local_flavor() -> wharf_core::flavor::Flavor {
    wharf_builder_local::flavor()
}

#[cfg(not(feature = "local"))]
fn local_flavor() -> wharf_core::flavor::Flavor {
    use wharf_core::flavor::known::LocalImageBuilderConfig;
    use wharf_core::flavor::{ComponentKind, Flavor};
    let description = "Builds on the local Docker or Podman engine";
    Flavor::not_compiled_in::<LocalImageBuilderConfig>(
        ComponentKind::ImageBuilder,
        "local",
        description,
        "local",
    )
}

#[cfg(feature = "kaniko")]
fn kaniko_flavor() -> wharf_core::flavor::Flavor {
    wharf_builder_kaniko::flavor()
}

#[cfg(not(feature = "kaniko"))]
fn kaniko_flavor() -> wharf_core::flavor::Flavor {
    use wharf_core::flavor::known::KanikoImageBuilderConfig;
    use wharf_core::flavor::{ComponentKind, Flavor};
    let description = "Builds in a pod of a Kubernetes cluster, with Kaniko";
    Flavor::not_compiled_in::<KanikoImageBuilderConfig>(
        ComponentKind::ImageBuilder,
        "kaniko",
        description,
        "kaniko",
    )
}

/// The builder that is used where nothing was configured: `local`.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`](wharf_core::ErrorKind::Unsupported) when the feature `local` is off.
pub fn default_image_builder() -> Result<Arc<dyn ImageBuilder>> {
    flavors().image_builder("local", Default::default())
}

/// The registry an image's own name says, with the credentials of Docker's and Podman's configuration.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](wharf_core::ErrorKind::InvalidInput) when the name has no usable host.
pub fn registry_of(image: &ImageReference) -> Result<Arc<dyn ContainerRegistry>> {
    let config = RegistryConfig {
        uri: image.domain().to_owned(),
        ..RegistryConfig::default()
    };
    Ok(Arc::new(FlavoredRegistry::new(RegistryFlavor::Default, config)?))
}

#[cfg(test)]
mod tests {
    use wharf_core::flavor::ComponentKind;

    #[test]
    fn every_builder_is_listed_whether_or_not_it_is_compiled_in() {
        let flavors = super::flavors();
        let is_missing = |name: &str| {
            let flavor = flavors.get(ComponentKind::ImageBuilder, name).unwrap();
            flavor.missing_feature().is_some()
        };
        assert_eq!(is_missing("local"), cfg!(not(feature = "local")));
        assert_eq!(is_missing("kaniko"), cfg!(not(feature = "kaniko")));
    }

    #[test]
    fn the_aws_flavors_are_listed_whether_or_not_they_are_compiled_in() {
        let flavors = super::flavors();
        for (kind, name) in [
            (ComponentKind::ImageBuilder, "aws"),
            (ComponentKind::ArtifactStore, "s3"),
        ] {
            let flavor = flavors.get(kind, name).unwrap();
            assert_eq!(
                flavor.missing_feature(),
                cfg!(not(feature = "aws")).then_some("aws"),
                "{name}"
            );
        }
    }
}
