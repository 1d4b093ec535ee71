//! Who builds, and where the image goes: from a stack file, a flavor with settings, or nothing at all.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, json};
use wharf_core::builder::ImageBuilder;
use wharf_core::flavor::{ComponentKind, FlavorRegistry};
use wharf_core::registry::ContainerRegistry;
use wharf_core::stack::{ComponentSpec, Stack, StackSpec};
use wharf_core::{Error, ErrorKind, ImageReference, Result};

use super::resolve;
use crate::args::build::TargetArgs;
use crate::args::pipeline::PipelineTargetArgs;

/// The flavor that builds where nothing else is said.
const DEFAULT_BUILDER: &str = "local";
/// The flavor of registries that are named by their address alone.
const DEFAULT_REGISTRY: &str = "default";

/// The setting of builders elsewhere that `--allow-local-registry` stands for.
const LOCAL_REGISTRY_KEY: &str = "allow_local_registry";

/// Who builds an image, and where it goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// Who builds.
    pub builder: Arc<dyn ImageBuilder>,
    /// Where the image is pushed; none: it is not.
    pub registry: Option<Arc<dyn ContainerRegistry>>,
    /// The rest of the stack.
    pub stack: Stack,
}

/// Makes the components that the arguments name. Nothing is asked over the network.
///
/// # Errors
/// [`ErrorKind::NotFound`] for a stack file that is not there, [`ErrorKind::InvalidConfiguration`] for one that
/// is wrong and for components that do not fit together, [`ErrorKind::InvalidInput`] for options that
/// contradict each other.
pub fn target(
    args: &TargetArgs,
    host: Option<&str>,
    image: &ImageReference,
    flavors: &FlavorRegistry,
) -> Result<Target> {
    let mut spec = spec(args, flavors)?;
    let builder = spec.image_builder.get_or_insert_with(default_builder);
    use_host(builder, host)?;
    if args.allow_local_registry {
        allow_local_registry(builder, flavors)?;
    }
    let may_be_local = takes_local_registries(&builder.flavor, flavors);
    let in_stack_file = spec.container_registry.is_some();
    if let Some(uri) = &args.registry {
        spec.container_registry = Some(registry_at(uri));
    }
    if let Some(uri) = &args.artifact_store {
        spec.artifact_store = Some(artifact_store_at(uri));
    }
    let mut stack = flavors.stack(&spec)?;
    let builder = stack.image_builder.clone().ok_or_else(no_builder)?;
    let push = args.push || !builder.capabilities().keeps_images;
    if !push && args.registry.is_some() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "--registry says where to push, and nothing says that the image is to be pushed",
        )
        .with_hint("Add --push, or leave --registry out."));
    }
    if push && stack.container_registry.is_none() && !in_stack_file {
        let own = registry_at(image.domain());
        stack.container_registry = Some(flavors.container_registry(&own.flavor, own.config)?);
    }
    if !push {
        stack.container_registry = None;
    }
    validate(&stack, may_be_local)?;
    Ok(Target {
        builder,
        registry: stack.container_registry.clone(),
        stack,
    })
}

fn spec(args: &TargetArgs, flavors: &FlavorRegistry) -> Result<StackSpec> {
    if let Some(path) = &args.stack_file {
        return read_stack_file(path);
    }
    let Some(name) = &args.flavor else {
        return Ok(StackSpec::default());
    };
    let flavor = flavors.get(ComponentKind::ImageBuilder, name)?;
    let component = ComponentSpec {
        flavor: name.clone(),
        config: resolve::settings(flavor, &args.settings)?,
    };
    Ok(StackSpec {
        image_builder: Some(component),
        ..StackSpec::default()
    })
}

/// The image builder that the arguments name, and its stack as far as it is needed where nothing is pushed.
///
/// # Errors
/// As [`target`].
pub fn without_registry(
    args: &TargetArgs,
    flavors: &FlavorRegistry,
) -> Result<(Arc<dyn ImageBuilder>, Stack)> {
    let mut spec = spec(args, flavors)?;
    spec.container_registry = None;
    spec.image_builder.get_or_insert_with(default_builder);
    if let Some(uri) = &args.artifact_store {
        spec.artifact_store = Some(artifact_store_at(uri));
    }
    let stack = flavors.stack(&spec)?;
    let builder = stack.image_builder.clone().ok_or_else(no_builder)?;
    Ok((builder, stack))
}

/// The stack that a pipeline's images are planned and built for, validated. The builder is always there; without
/// a registry images stay with it.
///
/// # Errors
/// As [`target`].
pub fn pipeline_stack(
    args: &PipelineTargetArgs,
    host: Option<&str>,
    flavors: &FlavorRegistry,
) -> Result<Stack> {
    let args = TargetArgs {
        stack_file: args.stack_file.clone(),
        flavor: args.flavor.clone(),
        settings: args.settings.clone(),
        registry: args.registry.clone(),
        artifact_store: args.artifact_store.clone(),
        allow_local_registry: args.allow_local_registry,
        ..TargetArgs::default()
    };
    let mut spec = spec(&args, flavors)?;
    let builder = spec.image_builder.get_or_insert_with(default_builder);
    use_host(builder, host)?;
    if args.allow_local_registry {
        allow_local_registry(builder, flavors)?;
    }
    let may_be_local = takes_local_registries(&builder.flavor, flavors);
    if let Some(uri) = &args.registry {
        spec.container_registry = Some(registry_at(uri));
    }
    if let Some(uri) = &args.artifact_store {
        spec.artifact_store = Some(artifact_store_at(uri));
    }
    let stack = flavors.stack(&spec)?;
    validate(&stack, may_be_local)?;
    Ok(stack)
}

fn default_builder() -> ComponentSpec {
    ComponentSpec {
        flavor: DEFAULT_BUILDER.into(),
        config: Map::new(),
    }
}

/// `--host` is the engine of the local builder; no other builder has one.
fn use_host(builder: &mut ComponentSpec, host: Option<&str>) -> Result<()> {
    let Some(host) = host else { return Ok(()) };
    if builder.flavor != DEFAULT_BUILDER {
        let message = format!(
            "--host names an engine, and the builder `{}` uses none",
            builder.flavor
        );
        return Err(Error::new(ErrorKind::InvalidInput, message).with_hint("Leave --host out."));
    }
    builder.config.insert("host".into(), host.into());
    Ok(())
}

/// `--allow-local-registry` is a setting of the builders that have it.
fn allow_local_registry(builder: &mut ComponentSpec, flavors: &FlavorRegistry) -> Result<()> {
    if !takes_local_registries(&builder.flavor, flavors) {
        let message = format!(
            "--allow-local-registry is for builders in a place that may reach this machine's registries, and the \
             builder `{}` knows no such setting",
            builder.flavor
        );
        let able = flavors
            .list(ComponentKind::ImageBuilder)
            .map(|flavor| flavor.name());
        let able: Vec<&str> = able
            .filter(|name| takes_local_registries(name, flavors))
            .collect();
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_hint(format!("Leave it out, or build with: {}.", able.join(", "))));
    }
    builder
        .config
        .retain(|key, _| key.replace('-', "_") != LOCAL_REGISTRY_KEY);
    builder.config.insert(LOCAL_REGISTRY_KEY.into(), true.into());
    Ok(())
}

/// Whether a flavor of builder can be told that it reaches this machine's registries.
fn takes_local_registries(flavor: &str, flavors: &FlavorRegistry) -> bool {
    let flavor = flavors.get(ComponentKind::ImageBuilder, flavor);
    flavor.is_ok_and(|flavor| {
        let schema = flavor.schema().as_value();
        schema["properties"].get(LOCAL_REGISTRY_KEY).is_some()
    })
}

/// Checks the stack; a registry that the builder is not told to reach is told with the option that does.
fn validate(stack: &Stack, may_be_local: bool) -> Result<()> {
    let registry = stack.container_registry.as_ref();
    let out_of_reach = registry.is_some_and(|registry| registry.is_local())
        && stack
            .image_builder
            .as_ref()
            .is_some_and(|builder| !builder.reaches_local_registries());
    stack
        .validate()
        .map_err(|error| match may_be_local && out_of_reach {
            true => error.with_hint("Where the builder does reach it, say --allow-local-registry."),
            false => error,
        })
}

fn registry_at(uri: &str) -> ComponentSpec {
    let flavor = if is_ecr(uri) { "aws" } else { DEFAULT_REGISTRY };
    component(flavor, "uri", uri)
}

/// Whether an address is a whole registry of Amazon's, which logs in with a token of its own.
fn is_ecr(uri: &str) -> bool {
    uri == "public.ecr.aws" || uri.contains(".dkr.ecr.") && uri.ends_with(".amazonaws.com")
}

fn artifact_store_at(uri: &str) -> ComponentSpec {
    let flavor = match uri.split_once("://") {
        Some(("gs", _)) => "gcp",
        Some((scheme, _)) => scheme,
        None => "local",
    };
    component(flavor, "path", uri)
}

fn component(flavor: &str, key: &str, uri: &str) -> ComponentSpec {
    let mut config = Map::new();
    config.insert(key.into(), json!(uri));
    ComponentSpec {
        flavor: flavor.into(),
        config,
    }
}

fn no_builder() -> Error {
    Error::new(ErrorKind::Unexpected, "the stack has no image builder")
}

/// Reads a stack file.
///
/// # Errors
/// [`ErrorKind::NotFound`], [`ErrorKind::Io`], or [`ErrorKind::InvalidConfiguration`] with the line.
pub fn read_stack_file(path: &Path) -> Result<StackSpec> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "there is no such stack file")
            .with_context("path", path.display().to_string())
            .with_hint("Check the path after --stack-file."),
        _ => Error::io("could not read the stack file", path, error),
    })?;
    serde_saphyr::from_str(&text).map_err(|error| {
        Error::new(ErrorKind::InvalidConfiguration, "the stack file is wrong")
            .with_context("path", path.display().to_string())
            .with_source(error)
            .with_hint(
                "Keys are name, image_builder, container_registry, artifact_store, requirements, apt_packages and \
                 labels; each component has flavor and config.",
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(flavor: &str) -> ComponentSpec {
        component(flavor, "allow-local-registry", "false")
    }

    #[test]
    fn a_local_registry_is_allowed_where_the_builder_knows_it_and_refused_elsewhere() {
        let flavors = wharf::flavors();
        let mut kaniko = builder("kaniko");
        allow_local_registry(&mut kaniko, &flavors).unwrap();
        assert_eq!(json!(kaniko.config), json!({"allow_local_registry": true}));
        let error = allow_local_registry(&mut builder("aws"), &flavors).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.report().contains("build with: kaniko"),
            "{}",
            error.report()
        );
    }
}
