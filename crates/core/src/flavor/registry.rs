//! The flavors a program knows.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::known::AwsRegistryConfig;
use super::{ComponentKind, Constructor, Flavor};
use crate::artifact_store::{ArtifactStore, LocalArtifactStore, LocalArtifactStoreConfig};
use crate::builder::{ImageBuilder, MemoryImageBuilder};
use crate::registry::{ContainerRegistry, FlavoredRegistry, RegistryConfig, RegistryFlavor};
use crate::stack::{ComponentSpec, Stack, StackSpec, called};
use crate::{Error, ErrorKind, Result};

/// The flavors a program knows, sorted by kind and name.
#[derive(Debug, Clone, Default)]
pub struct FlavorRegistry {
    flavors: Vec<Flavor>,
}

/// The flavor `memory` has nothing to configure.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoConfig {}

impl FlavorRegistry {
    /// Knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows the flavors that need no SDK: the container registries, the `local` artifact store, and the
    /// `memory` image builder.
    #[must_use]
    pub fn with_core_flavors() -> Self {
        let mut registry = Self::new();
        registry.register(Flavor::image_builder(
            "memory",
            "Builds nothing and remembers what it was asked; for tests",
            |_: NoConfig| Ok(Arc::new(MemoryImageBuilder::new()) as _),
        ));
        for flavor in RegistryFlavor::ALL {
            if flavor == RegistryFlavor::Aws {
                registry.register(Flavor::container_registry(
                    flavor.as_str(),
                    flavor.description(),
                    aws_registry,
                ));
                continue;
            }
            registry.register(Flavor::container_registry(
                flavor.as_str(),
                flavor.description(),
                move |config: RegistryConfig| Ok(Arc::new(FlavoredRegistry::new(flavor, config)?) as _),
            ));
        }
        registry.register(Flavor::artifact_store(
            "local",
            "Keeps files in a directory",
            |config: LocalArtifactStoreConfig| Ok(Arc::new(LocalArtifactStore::new(config.path)) as _),
        ));
        registry
    }

    /// Adds a flavor. One of the same kind and name is replaced.
    pub fn register(&mut self, flavor: Flavor) {
        self.flavors
            .retain(|known| (known.kind, &known.name) != (flavor.kind, &flavor.name));
        self.flavors.push(flavor);
        self.flavors
            .sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    }

    /// The flavors of a kind.
    pub fn list(&self, kind: ComponentKind) -> impl Iterator<Item = &Flavor> {
        self.flavors.iter().filter(move |flavor| flavor.kind == kind)
    }

    /// A flavor by its name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] listing the flavors there are.
    pub fn get(&self, kind: ComponentKind, name: &str) -> Result<&Flavor> {
        self.list(kind).find(|flavor| flavor.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.list(kind).map(Flavor::name).collect();
            Error::new(ErrorKind::NotFound, format!("there is no {kind} flavor `{name}`"))
                .with_hint(format!("There are: {}.", known.join(", ")))
        })
    }

    /// Makes an image builder.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`Flavor::check`]; [`ErrorKind::Unsupported`] naming the feature to turn on.
    pub fn image_builder(&self, name: &str, config: Map<String, Value>) -> Result<Arc<dyn ImageBuilder>> {
        let flavor = self.get(ComponentKind::ImageBuilder, name)?;
        match &flavor.constructor {
            Constructor::ImageBuilder(make) => make(config).map_err(|error| flavor.about(error)),
            _ => Err(flavor.unusable()),
        }
    }

    /// Makes a container registry.
    ///
    /// # Errors
    ///
    /// As [`image_builder`](Self::image_builder).
    pub fn container_registry(
        &self,
        name: &str,
        config: Map<String, Value>,
    ) -> Result<Arc<dyn ContainerRegistry>> {
        let flavor = self.get(ComponentKind::ContainerRegistry, name)?;
        match &flavor.constructor {
            Constructor::ContainerRegistry(make) => make(config).map_err(|error| flavor.about(error)),
            _ => Err(flavor.unusable()),
        }
    }

    /// Makes an artifact store.
    ///
    /// # Errors
    ///
    /// As [`image_builder`](Self::image_builder).
    pub fn artifact_store(&self, name: &str, config: Map<String, Value>) -> Result<Arc<dyn ArtifactStore>> {
        let flavor = self.get(ComponentKind::ArtifactStore, name)?;
        match &flavor.constructor {
            Constructor::ArtifactStore(make) => make(config).map_err(|error| flavor.about(error)),
            _ => Err(flavor.unusable()),
        }
    }

    /// Makes a stack from what a stack file says. The stack is not validated yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] listing the problem of every component that cannot be made; the
    /// error of a single one keeps its own kind.
    pub fn stack(&self, spec: &StackSpec) -> Result<Stack> {
        let mut errors = Vec::new();
        let stack = Stack {
            name: spec.name.clone(),
            image_builder: component(&spec.image_builder, |n, c| self.image_builder(n, c), &mut errors),
            container_registry: component(
                &spec.container_registry,
                |n, c| self.container_registry(n, c),
                &mut errors,
            ),
            artifact_store: component(
                &spec.artifact_store,
                |n, c| self.artifact_store(n, c),
                &mut errors,
            ),
            requirements: spec.requirements.clone(),
            apt_packages: spec.apt_packages.clone(),
        };
        match errors.len() {
            0 => Ok(stack),
            1 => Err(errors.remove(0)),
            _ => Err(all_of(&spec.name, &errors)),
        }
    }
}

/// ECR without its own API: images are pushed with a login that exists already.
fn aws_registry(config: AwsRegistryConfig) -> Result<Arc<dyn ContainerRegistry>> {
    if config.needs_ecr() {
        let message = "`create_repository`, `immutable_tags` and `credentials` need ECR's own API";
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
            "Turn on the feature `aws` of the crate `wharf` (or of `wharf-cli`), or leave them out.",
        ));
    }
    let registry = FlavoredRegistry::new(RegistryFlavor::Aws, config.registry())?;
    Ok(Arc::new(registry))
}

fn component<T: ?Sized>(
    spec: &Option<ComponentSpec>,
    make: impl Fn(&str, Map<String, Value>) -> Result<Arc<T>>,
    errors: &mut Vec<Error>,
) -> Option<Arc<T>> {
    let spec = spec.as_ref()?;
    make(&spec.flavor, spec.config.clone())
        .map_err(|error| errors.push(error))
        .ok()
}

fn all_of(stack: &str, errors: &[Error]) -> Error {
    let lines: Vec<String> = errors
        .iter()
        .map(|error| error.report().replace('\n', "\n  "))
        .collect();
    let message = format!(
        "{} has {} problems:\n  - {}",
        called(stack),
        errors.len(),
        lines.join("\n  - ")
    );
    Error::new(ErrorKind::InvalidConfiguration, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> StackSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_stack_is_made_from_a_file() {
        let registry = FlavorRegistry::with_core_flavors();
        let stack = registry
            .stack(&spec(json!({
                "name": "production",
                "image_builder": {"flavor": "memory"},
                "container_registry": {"flavor": "default", "config": {"uri": "registry.example.com/ml"}},
                "artifact_store": {"flavor": "local", "config": {"path": "/srv/artifacts"}},
            })))
            .unwrap();
        stack.validate().unwrap();
        assert_eq!(stack.container_registry.unwrap().uri(), "registry.example.com/ml");
    }

    #[test]
    fn the_problems_of_all_components_are_told_together() {
        let error = FlavorRegistry::with_core_flavors()
            .stack(&spec(json!({
                "name": "s",
                "image_builder": {"flavor": "memorry"},
                "artifact_store": {"flavor": "local", "config": {"pth": "/x"}},
            })))
            .unwrap_err();
        for part in [
            "2 problems",
            "no image builder flavor `memorry`",
            "did you mean `path`?",
        ] {
            assert!(error.message().contains(part), "{part} in {}", error.message());
        }
    }

    #[test]
    fn a_flavor_that_is_not_compiled_in_is_listed_checked_and_refused() {
        let mut registry = FlavorRegistry::new();
        registry.register(Flavor::not_compiled_in::<LocalArtifactStoreConfig>(
            ComponentKind::ImageBuilder,
            "kaniko",
            "Builds in a cluster",
            "kaniko",
        ));
        assert_eq!(registry.list(ComponentKind::ImageBuilder).count(), 1);
        let flavor = registry.get(ComponentKind::ImageBuilder, "kaniko").unwrap();
        assert!(flavor.check(&Map::new()).is_err());
        let error = registry.image_builder("kaniko", Map::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint().unwrap().contains("feature `kaniko`"));
    }
}
