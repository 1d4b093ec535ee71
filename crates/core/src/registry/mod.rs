//! Container registries: where images are pushed, which names belong to them, and how to log in.

mod config;
mod credentials;
mod uri;

use std::fmt::Debug;
use std::path::Path;

use async_trait::async_trait;

use crate::{Error, ErrorKind, ImageReference, Result};

pub use config::{FlavoredRegistry, RegistryConfig, RegistryFlavor};
pub use credentials::{
    CredentialSource, DockerConfigLocator, RegistryAuth, RegistryCredentials, ServiceConnector,
};
pub use uri::RegistryUri;

/// The repository of images for which neither a step nor the registry names one. ZenML's name, so that
/// images built before are found again.
pub const DEFAULT_REPOSITORY: &str = "zenml";

/// A container registry: a host, perhaps with a path under which everything lives.
///
/// An implementation says where the registry is and how to log in; the rest follows from the address.
#[async_trait]
pub trait ContainerRegistry: Debug + Send + Sync {
    /// The flavor's name: `default`, `aws`.
    fn flavor(&self) -> &str;

    /// Where the registry is.
    fn address(&self) -> &RegistryUri;

    /// Where the registry is, as its owner wrote it, without slashes at the end.
    fn uri(&self) -> &str {
        self.address().as_str()
    }

    /// The repository for images that name none.
    fn default_repository(&self) -> Option<&str> {
        None
    }

    /// Whether only this machine can reach the registry: its host is `localhost` or a loopback address.
    fn is_local(&self) -> bool {
        self.address().is_loopback()
    }

    /// Whether an image lives in this registry: same host, and the registry's path is the image's or a
    /// parent of it, whole parts compared. `r.example/team` has `r.example/team/app`, not `r.example/team2/app`.
    fn contains(&self, image: &ImageReference) -> bool {
        self.address().contains(image)
    }

    /// The name of an image in this registry. An absent or empty repository means the registry's
    /// [default](ContainerRegistry::default_repository), and without that [`DEFAULT_REPOSITORY`].
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) when repository or tag cannot be part of a name.
    fn target_image(&self, repository: Option<&str>, tag: &str) -> Result<ImageReference> {
        let repository = chosen_repository(repository, self.default_repository());
        self.address().image(repository, tag)
    }

    /// Whether to speak HTTP without TLS. Loopback hosts do so.
    fn plain_http(&self) -> bool {
        self.is_local()
    }

    /// A file of PEM certificates to trust in addition to the system's.
    fn ca_certificate(&self) -> Option<&Path> {
        None
    }

    /// What to log in with for a repository; `None` means without logging in. Ask again for every build:
    /// tokens of cloud services expire.
    ///
    /// # Errors
    ///
    /// Whatever keeps credentials that are configured from being read. Having none is not an error.
    async fn credentials(&self, repository: &ImageReference) -> Result<Option<RegistryCredentials>>;

    /// Does what the registry needs before a first push, such as creating the repository.
    ///
    /// # Errors
    ///
    /// Whatever the registry's service answers.
    async fn prepare_push(&self, image: &ImageReference) -> Result<()> {
        let _ = image;
        Ok(())
    }
}

/// The name of an image that is to be built, in a registry or, without one, on this machine only.
///
/// # Errors
///
/// [`InvalidInput`](ErrorKind::InvalidInput) when repository or tag cannot be part of a name.
pub fn target_image(
    registry: Option<&dyn ContainerRegistry>,
    repository: Option<&str>,
    tag: &str,
) -> Result<ImageReference> {
    if let Some(registry) = registry {
        return registry.target_image(repository, tag);
    }
    let name: ImageReference = chosen_repository(repository, None).parse()?;
    if name.tag().is_some() || name.digest().is_some() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the repository {name} has a tag or digest of its own"),
        )
        .with_hint(format!("Write {:?}.", name.familiar_repository())));
    }
    name.with_tag(tag)
}

/// The first repository that is not empty. Slashes around it are left out, as they say nothing.
fn chosen_repository<'a>(wanted: Option<&'a str>, default: Option<&'a str>) -> &'a str {
    [wanted, default]
        .into_iter()
        .flatten()
        .map(|name| name.trim_matches('/'))
        .find(|name| !name.is_empty())
        .unwrap_or(DEFAULT_REPOSITORY)
}
