//! A stack: the components that work together, and whether they can.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::artifact_store::ArtifactStore;
use crate::builder::ImageBuilder;
use crate::registry::ContainerRegistry;
use crate::{Error, ErrorKind, Result};

/// A set of components: who builds, where images go, where files go.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// The name of the stack.
    pub name: String,
    /// Who builds images; none: the default builder.
    pub image_builder: Option<Arc<dyn ImageBuilder>>,
    /// Where images are pushed.
    pub container_registry: Option<Arc<dyn ContainerRegistry>>,
    /// Where files are stored.
    pub artifact_store: Option<Arc<dyn ArtifactStore>>,
    /// Python packages that the stack itself needs inside images.
    pub requirements: Vec<String>,
    /// Debian packages that the stack itself needs inside images.
    pub apt_packages: Vec<String>,
}

impl Stack {
    /// Checks that the components can work together.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] listing every problem.
    pub fn validate(&self) -> Result<()> {
        let problems = self.problems();
        let message = match problems.as_slice() {
            [] => return Ok(()),
            [one] => format!("{} does not work: {one}", called(&self.name)),
            many => format!(
                "{} has {} problems:\n  - {}",
                called(&self.name),
                many.len(),
                many.join("\n  - ")
            ),
        };
        Err(Error::new(ErrorKind::InvalidConfiguration, message))
    }

    /// Every problem, each a full sentence.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let Some(builder) = &self.image_builder else {
            return Vec::new();
        };
        let mut problems = self.registry_problems(builder.as_ref());
        problems.extend(self.artifact_store_problem(builder.as_ref()));
        problems.extend(builder.validate(self));
        problems
    }

    fn registry_problems(&self, builder: &dyn ImageBuilder) -> Vec<String> {
        let flavor = builder.flavor();
        match &self.container_registry {
            None if builder.capabilities().needs_registry => {
                vec![format!(
                    "The image builder `{flavor}` pushes its images: add a container registry."
                )]
            }
            Some(registry) if registry.is_local() && !builder.reaches_local_registries() => vec![format!(
                "The container registry `{}` can be reached from this machine only, and the image builder \
                 `{flavor}` builds elsewhere: use a registry that both reach.",
                registry.uri()
            )],
            _ => Vec::new(),
        }
    }

    fn artifact_store_problem(&self, builder: &dyn ImageBuilder) -> Option<String> {
        let wanted = builder.capabilities().needs_artifact_store;
        if wanted.is_empty() {
            return None;
        }
        let schemes = wanted.join(" or ");
        let flavor = builder.flavor();
        let Some(store) = &self.artifact_store else {
            return Some(format!(
                "The image builder `{flavor}` needs an artifact store ({schemes}): add one."
            ));
        };
        let scheme = store
            .uri()
            .split_once("://")
            .map_or("local", |(scheme, _)| scheme);
        (!wanted.iter().any(|known| known == scheme)).then(|| {
            format!(
                "The image builder `{flavor}` needs an artifact store of {schemes}, not `{}`.",
                store.uri()
            )
        })
    }
}

/// A stack for people, with its name if it has one: those made from options have none.
pub(crate) fn called(name: &str) -> String {
    match name {
        "" => "the stack".to_owned(),
        name => format!("the stack `{name}`"),
    }
}

/// A stack as it stands in a stack file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StackSpec {
    /// The name of the stack.
    #[serde(default)]
    pub name: String,
    /// Who builds images.
    #[serde(default)]
    pub image_builder: Option<ComponentSpec>,
    /// Where images are pushed.
    #[serde(default)]
    pub container_registry: Option<ComponentSpec>,
    /// Where files are stored.
    #[serde(default)]
    pub artifact_store: Option<ComponentSpec>,
    /// Python packages that the stack itself needs inside images.
    #[serde(default)]
    pub requirements: Vec<String>,
    /// Debian packages that the stack itself needs inside images.
    #[serde(default)]
    pub apt_packages: Vec<String>,
    /// Settings of the whole stack, for tools that stand above wharf; wharf keeps them and reads none.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A component as it stands in a stack file: a flavor and its configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComponentSpec {
    /// The name of the flavor.
    pub flavor: String,
    /// The flavor's configuration; its schema is the flavor's own.
    #[serde(default)]
    pub config: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::artifact_store::LocalArtifactStore;
    use crate::builder::{BuildOutcome, BuildRequest, Capabilities, MemoryImageBuilder};
    use crate::event::EventSink;
    use crate::registry::{FlavoredRegistry, RegistryConfig, RegistryFlavor};

    #[derive(Debug)]
    struct Remote;

    #[async_trait]
    impl ImageBuilder for Remote {
        fn flavor(&self) -> &str {
            "remote"
        }

        fn is_building_locally(&self) -> bool {
            false
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities {
                needs_registry: true,
                needs_artifact_store: vec!["s3".into()],
                ..MemoryImageBuilder::new().capabilities()
            }
        }

        fn validate(&self, _: &Stack) -> Vec<String> {
            vec!["Third.".into()]
        }

        async fn build(&self, _: BuildRequest, _: EventSink) -> Result<BuildOutcome> {
            Err(Error::cancelled("the build"))
        }
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let stack = Stack {
            name: "s".into(),
            image_builder: Some(Arc::new(Remote)),
            ..Stack::default()
        };
        let message = stack.validate().unwrap_err().message().to_owned();
        for part in [
            "the stack `s` has 3 problems",
            "add a container registry",
            "artifact store (s3)",
            "Third.",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn a_store_of_another_kind_and_a_registry_on_loopback_are_problems_of_a_remote_builder() {
        let config = RegistryConfig {
            uri: "localhost:5000".into(),
            ..RegistryConfig::default()
        };
        let registry = FlavoredRegistry::new(RegistryFlavor::Default, config).unwrap();
        let stack = Stack {
            image_builder: Some(Arc::new(Remote)),
            container_registry: Some(Arc::new(registry)),
            artifact_store: Some(Arc::new(LocalArtifactStore::new("/tmp/x"))),
            ..Stack::default()
        };
        let problems = stack.problems().join("\n");
        assert!(
            problems.contains("from this machine only") && problems.contains("not `/tmp/x`"),
            "{problems}"
        );
        let message = stack.validate().unwrap_err().message().to_owned();
        assert!(message.starts_with("the stack has 3 problems"), "{message}");
    }

    #[test]
    fn a_stack_without_a_builder_has_no_problem_of_its_own() {
        Stack::default().validate().unwrap();
    }
}
