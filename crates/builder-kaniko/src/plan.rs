//! What is to be done, with everything checked that needs no network.

use std::sync::Arc;

use wharf_core::builder::BuildRequest;
use wharf_core::context::ResolvedDockerfile;
use wharf_core::options::DockerBuildOptions;
use wharf_core::registry::ContainerRegistry;
use wharf_core::{BuildContext, Error, ErrorKind, ImageReference, Result};

use crate::dockerfile::Instructions;

/// One build.
#[derive(Debug, Clone)]
pub(crate) struct BuildPlan {
    /// The image's names, each with a tag.
    pub(crate) names: Vec<ImageReference>,
    pub(crate) dockerfile: ResolvedDockerfile,
    pub(crate) context: BuildContext,
    pub(crate) options: DockerBuildOptions,
    pub(crate) registry: Arc<dyn ContainerRegistry>,
}

impl BuildPlan {
    /// Checks a request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] without a registry, [`ErrorKind::InvalidInput`] for names of another
    /// registry, a stage that does not exist, or a host without an address.
    pub(crate) fn new(request: &BuildRequest) -> Result<Self> {
        request.check_names()?;
        let registry = request.registry.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "Kaniko keeps no images, and there is no registry to push to",
            )
            .with_hint("Name a registry: --registry, or `container_registry` in the stack.")
        })?;
        let plan = Self {
            names: request.tagged_names()?,
            dockerfile: request.context.dockerfile()?,
            context: request.context.clone(),
            options: request.options.clone(),
            registry,
        };
        plan.check_target()?;
        plan.check_hosts()?;
        Ok(plan)
    }

    /// The Dockerfile's text.
    pub(crate) fn dockerfile_text(&self) -> String {
        String::from_utf8_lossy(&self.dockerfile.content).into_owned()
    }

    fn check_target(&self) -> Result<()> {
        let Some(target) = &self.options.target else {
            return Ok(());
        };
        let stages = Instructions::read(&self.dockerfile_text()).stages();
        let is_name = stages
            .iter()
            .flatten()
            .any(|name| name.eq_ignore_ascii_case(target));
        let is_number = target.parse::<usize>().is_ok_and(|number| number < stages.len());
        if is_name || is_number {
            return Ok(());
        }
        let known: Vec<&str> = stages.iter().flatten().map(String::as_str).collect();
        let error = Error::new(
            ErrorKind::InvalidInput,
            format!("the Dockerfile has no stage `{target}`"),
        )
        .with_context("dockerfile", self.dockerfile.name.display().to_string());
        Err(match known.is_empty() {
            true => error.with_hint("None of its stages has a name; write `FROM … AS name`."),
            false => error.with_hint(format!("Its stages are: {}.", known.join(", "))),
        })
    }

    /// A pod takes addresses only, not Docker's word for its own machine.
    fn check_hosts(&self) -> Result<()> {
        let wrong = |address: &&String| address.parse::<std::net::IpAddr>().is_err();
        match self.options.extra_hosts.values().find(wrong) {
            None => Ok(()),
            Some(address) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("`{address}` is no address that a pod could reach"),
            )
            .with_hint("Give the host an IP address.")),
        }
    }
}
