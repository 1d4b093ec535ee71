//! Flavors: kinds of components, each with a configuration and a way to make the component.

mod config;
pub mod known;
mod registry;

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::config::read_config;
pub use self::registry::FlavorRegistry;
use crate::artifact_store::ArtifactStore;
use crate::builder::ImageBuilder;
use crate::registry::ContainerRegistry;
use crate::{Error, ErrorKind, Result};

/// What a component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ComponentKind {
    /// Builds images.
    ImageBuilder,
    /// Holds images.
    ContainerRegistry,
    /// Holds files.
    ArtifactStore,
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ImageBuilder => "image builder",
            Self::ContainerRegistry => "container registry",
            Self::ArtifactStore => "artifact store",
        })
    }
}

type Make<T> = Arc<dyn Fn(Map<String, Value>) -> Result<Arc<T>> + Send + Sync>;
type Check = Arc<dyn Fn(Map<String, Value>) -> Result<()> + Send + Sync>;

/// How the component of a flavor is made.
#[derive(Clone)]
enum Constructor {
    ImageBuilder(Make<dyn ImageBuilder>),
    ContainerRegistry(Make<dyn ContainerRegistry>),
    ArtifactStore(Make<dyn ArtifactStore>),
    NotCompiledIn { feature: &'static str },
}

/// A kind of component: its name, the schema of its configuration, and its constructor.
///
/// A flavor of one's own is registered the same way as those of wharf:
///
/// ```
/// use std::sync::Arc;
/// use wharf_core::builder::MemoryImageBuilder;
/// use wharf_core::flavor::{Flavor, FlavorRegistry};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct MyConfig {}
///
/// let mut flavors = FlavorRegistry::new();
/// flavors.register(Flavor::image_builder("mine", "Builds on my own farm", |_config: MyConfig| {
///     Ok(Arc::new(MemoryImageBuilder::new()) as _)
/// }));
/// ```
#[derive(Clone)]
pub struct Flavor {
    kind: ComponentKind,
    name: String,
    description: String,
    schema: Schema,
    check: Check,
    constructor: Constructor,
}

impl Flavor {
    /// A flavor of image builders.
    pub fn image_builder<C, F>(name: impl Into<String>, description: impl Into<String>, make: F) -> Self
    where
        C: DeserializeOwned + JsonSchema + 'static,
        F: Fn(C) -> Result<Arc<dyn ImageBuilder>> + Send + Sync + 'static,
    {
        let make = Constructor::ImageBuilder(Arc::new(move |config| make(read_config(config)?)));
        Self::new::<C>(ComponentKind::ImageBuilder, name.into(), description.into(), make)
    }

    /// A flavor of container registries.
    pub fn container_registry<C, F>(name: impl Into<String>, description: impl Into<String>, make: F) -> Self
    where
        C: DeserializeOwned + JsonSchema + 'static,
        F: Fn(C) -> Result<Arc<dyn ContainerRegistry>> + Send + Sync + 'static,
    {
        let make = Constructor::ContainerRegistry(Arc::new(move |config| make(read_config(config)?)));
        Self::new::<C>(
            ComponentKind::ContainerRegistry,
            name.into(),
            description.into(),
            make,
        )
    }

    /// A flavor of artifact stores.
    pub fn artifact_store<C, F>(name: impl Into<String>, description: impl Into<String>, make: F) -> Self
    where
        C: DeserializeOwned + JsonSchema + 'static,
        F: Fn(C) -> Result<Arc<dyn ArtifactStore>> + Send + Sync + 'static,
    {
        let make = Constructor::ArtifactStore(Arc::new(move |config| make(read_config(config)?)));
        Self::new::<C>(
            ComponentKind::ArtifactStore,
            name.into(),
            description.into(),
            make,
        )
    }

    /// A flavor that is known, can be listed and its configuration checked, but whose code is behind a
    /// feature that is off.
    pub fn not_compiled_in<C: DeserializeOwned + JsonSchema + 'static>(
        kind: ComponentKind,
        name: impl Into<String>,
        description: impl Into<String>,
        feature: &'static str,
    ) -> Self {
        Self::new::<C>(
            kind,
            name.into(),
            description.into(),
            Constructor::NotCompiledIn { feature },
        )
    }

    /// Also checks a configuration that can be read in this way, before anything is made of it.
    #[must_use]
    pub fn with_check<C, F>(mut self, more: F) -> Self
    where
        C: DeserializeOwned + JsonSchema + 'static,
        F: Fn(&C) -> Result<()> + Send + Sync + 'static,
    {
        self.check = Arc::new(move |config| more(&read_config::<C>(config)?));
        self
    }

    fn new<C: DeserializeOwned + JsonSchema + 'static>(
        kind: ComponentKind,
        name: String,
        description: String,
        constructor: Constructor,
    ) -> Self {
        let check: Check = Arc::new(|config| read_config::<C>(config).map(drop));
        Self {
            kind,
            name,
            description,
            schema: schema_for!(C),
            check,
            constructor,
        }
    }

    /// What the flavor's components are for.
    #[must_use]
    pub fn kind(&self) -> ComponentKind {
        self.kind
    }

    /// The flavor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does, in a line.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The JSON Schema of its configuration.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The feature to turn on before the flavor can be used; `None`: it can be used.
    #[must_use]
    pub fn missing_feature(&self) -> Option<&'static str> {
        match self.constructor {
            Constructor::NotCompiledIn { feature } => Some(feature),
            _ => None,
        }
    }

    /// Checks a configuration without making anything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] listing every unknown key with the nearest known one, or the first
    /// value of the wrong form.
    pub fn check(&self, config: &Map<String, Value>) -> Result<()> {
        (self.check)(config.clone()).map_err(|error| self.about(error))
    }

    fn about(&self, error: Error) -> Error {
        error.with_context("flavor", format!("{} ({})", self.name, self.kind))
    }

    fn unusable(&self) -> Error {
        let Constructor::NotCompiledIn { feature } = self.constructor else {
            return Error::new(
                ErrorKind::Unexpected,
                format!("`{}` is not of the kind it was looked up as", self.name),
            );
        };
        Error::new(
            ErrorKind::Unsupported,
            format!("the {} flavor `{}` is not compiled in", self.kind, self.name),
        )
        .with_hint(format!(
            "Turn on the feature `{feature}` of the crate `wharf` (or of `wharf-cli`)."
        ))
    }
}

impl fmt::Debug for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flavor")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("missing_feature", &self.missing_feature())
            .finish_non_exhaustive()
    }
}
