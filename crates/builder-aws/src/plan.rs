//! A request after everything in it was checked.

use std::sync::Arc;

use wharf_aws::EcrAddress;
use wharf_core::artifact_store::ArtifactStore;
use wharf_core::builder::BuildRequest;
use wharf_core::context::ResolvedDockerfile;
use wharf_core::options::DockerBuildOptions;
use wharf_core::{BuildContext, ContainerRegistry, Error, ErrorKind, ImageReference, Result};

/// What to build.
#[derive(Debug)]
pub(crate) struct BuildPlan {
    /// The image's names, each with a tag. The first is the image's own.
    pub(crate) names: Vec<ImageReference>,
    pub(crate) context: BuildContext,
    pub(crate) dockerfile: ResolvedDockerfile,
    pub(crate) options: DockerBuildOptions,
    pub(crate) registry: Arc<dyn ContainerRegistry>,
    pub(crate) store: Arc<dyn ArtifactStore>,
}

impl BuildPlan {
    /// Checks a request for what every build here needs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] when registry or artifact store are missing or of the wrong kind; as
    /// [`BuildRequest::check_names`] and [`BuildContext::dockerfile`].
    pub(crate) fn new(request: &BuildRequest, implicit_auth: bool) -> Result<Self> {
        request.check_names()?;
        let mut problems = Vec::new();
        match &request.registry {
            None => problems
                .push("The image builder `aws` pushes its images: add a container registry.".to_owned()),
            Some(registry) => problems.extend(auth_problem(registry.as_ref(), implicit_auth)),
        }
        match &request.artifact_store {
            Some(store) if store.uri().starts_with("s3://") => {}
            Some(store) => problems.push(format!(
                "The image builder `aws` needs an artifact store of s3, not `{}`.",
                store.uri()
            )),
            None => problems.push(
                "The image builder `aws` uploads the build context: add an artifact store of the flavor `s3`.".to_owned(),
            ),
        }
        let (Some(registry), Some(store), true) =
            (&request.registry, &request.artifact_store, problems.is_empty())
        else {
            return Err(Error::new(ErrorKind::InvalidConfiguration, problems.join(" ")).with_hint(
                "Name both in a stack file: `container_registry` and `artifact_store: {flavor: s3, config: {path: \
                 s3://bucket/prefix}}`.",
            ));
        };
        Ok(Self {
            names: request.tagged_names()?,
            dockerfile: request.context.dockerfile()?,
            context: request.context.clone(),
            options: request.options.clone(),
            registry: Arc::clone(registry),
            store: Arc::clone(store),
        })
    }

    /// The Dockerfile's content, for finding places in it.
    pub(crate) fn dockerfile_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.dockerfile.content)
    }
}

/// Whether the project's role can log in to this registry.
pub(crate) fn is_ecr(registry: &dyn ContainerRegistry) -> bool {
    registry.flavor() == "aws" || EcrAddress::parse(registry.address().domain()).is_some()
}

/// What is wrong with how the build would log in to this registry.
pub(crate) fn auth_problem(registry: &dyn ContainerRegistry, implicit_auth: bool) -> Option<String> {
    (implicit_auth && !is_ecr(registry)).then(|| {
        format!(
            "The container registry `{}` is not Amazon's, so CodeBuild cannot log in to it by itself: set \
             `implicit_container_registry_auth: false` for the image builder `aws`, and give the registry credentials.",
            registry.uri()
        )
    })
}

/// A plan for tests: `r.example:5000/app:1`.
#[cfg(test)]
pub(crate) fn test_plan(options: serde_json::Value) -> BuildPlan {
    use wharf_aws::S3ArtifactStore;
    use wharf_core::FileSource;
    use wharf_core::flavor::known::S3ArtifactStoreConfig;
    use wharf_core::registry::{FlavoredRegistry, RegistryConfig, RegistryFlavor};

    let mut context = BuildContext::empty();
    let dockerfile = FileSource::Bytes("FROM scratch\nRUN false\n".into());
    context.add_file("Dockerfile", dockerfile, None).unwrap();
    let mut request = BuildRequest::new("r.example:5000/app:1".parse().unwrap(), context);
    request.options = DockerBuildOptions::from_map(options.as_object().unwrap()).unwrap();
    let registry = RegistryConfig {
        uri: "r.example:5000".into(),
        ..RegistryConfig::default()
    };
    let store = S3ArtifactStoreConfig {
        path: "s3://bucket/store".into(),
        ..S3ArtifactStoreConfig::default()
    };
    request.registry = Some(Arc::new(
        FlavoredRegistry::new(RegistryFlavor::Default, registry).unwrap(),
    ));
    request.artifact_store = Some(Arc::new(S3ArtifactStore::new(store).unwrap()));
    BuildPlan::new(&request, false).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_together() {
        let plan = test_plan(serde_json::json!({}));
        let mut request = BuildRequest::new(plan.names[0].clone(), plan.context.clone());
        let error = BuildPlan::new(&request, true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(error.message().contains("container registry") && error.message().contains("`s3`"));
        request.registry = Some(plan.registry);
        request.artifact_store = Some(plan.store);
        let error = BuildPlan::new(&request, true).unwrap_err();
        assert!(
            error
                .message()
                .contains("implicit_container_registry_auth: false"),
            "{}",
            error.message()
        );
        BuildPlan::new(&request, false).unwrap();
    }
}
