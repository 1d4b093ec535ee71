//! What to log in to a registry with, and where it was found.

mod diagnose;
mod file;
mod helper;
mod locator;

use std::fmt::{self, Debug};
use std::path::PathBuf;

use async_trait::async_trait;

use crate::{Result, Secret};

pub use locator::DockerConfigLocator;

/// What to log in to a registry with. Printing it shows the source, never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryCredentials {
    /// The credentials themselves.
    pub auth: RegistryAuth,
    /// Where they were found.
    pub source: CredentialSource,
}

/// The kinds of credentials that registries take.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryAuth {
    /// A user and a password, or an access token in place of one.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token to exchange for access tokens, as OAuth's refresh token.
    IdentityToken(Secret),
    /// A token to send to the registry as it is.
    Bearer(Secret),
}

/// Where credentials were found, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialSource {
    /// The registry's own configuration.
    Configuration,
    /// The service connector of this name.
    Connector(String),
    /// An environment variable.
    Variable(&'static str),
    /// A file of Docker or Podman.
    File(PathBuf),
    /// A credential helper, `docker-credential-<name>`.
    Helper(String),
}

impl RegistryCredentials {
    /// A user and a password.
    #[must_use]
    pub fn basic(username: impl Into<String>, password: Secret, source: CredentialSource) -> Self {
        let username = username.into();
        Self {
            auth: RegistryAuth::Basic { username, password },
            source,
        }
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("the registry's configuration"),
            Self::Connector(name) => write!(f, "the service connector {name}"),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Helper(name) => write!(f, "the credential helper docker-credential-{name}"),
        }
    }
}

/// A way to get credentials for registries from somewhere else: a cloud's login, a vault.
#[async_trait]
pub trait ServiceConnector: Debug + Send + Sync {
    /// The name under which it was registered.
    fn name(&self) -> &str;

    /// Credentials for the registry at this address; `None` when this connector has nothing to do with it.
    ///
    /// # Errors
    ///
    /// Whatever the service answers.
    async fn registry_credentials(&self, registry_uri: &str) -> Result<Option<RegistryCredentials>>;
}
