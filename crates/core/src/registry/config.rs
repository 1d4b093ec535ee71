//! The registries that need nothing but an address and a password.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::credentials::{CredentialSource, DockerConfigLocator, RegistryCredentials, ServiceConnector};
use super::{ContainerRegistry, RegistryUri};
use crate::{Error, ErrorKind, ImageReference, Result, Secret};

/// The configuration of a container registry, with ZenML's names where ZenML has them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// Where the registry is: `host[:port][/path]`, without a scheme.
    pub uri: String,
    /// The repository for images that name none.
    #[serde(default)]
    pub default_repository: Option<String>,
    /// The name of a stored secret with the keys username and password.
    #[serde(default)]
    pub authentication_secret: Option<String>,
    /// The user to log in as. Comes with a password.
    #[serde(default)]
    pub username: Option<String>,
    /// The password or access token of the user.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The name of a service connector that gives credentials.
    #[serde(default)]
    pub connector: Option<String>,
    /// Speak HTTP without TLS. By default only loopback hosts without a CA certificate do.
    #[serde(default)]
    pub insecure: Option<bool>,
    /// A file of PEM certificates to trust in addition to the system's.
    #[serde(default)]
    pub ca_certificate: Option<PathBuf>,
}

/// The flavors of registries that wharf knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegistryFlavor {
    /// Any registry that speaks the distribution API.
    Default,
    /// Docker Hub.
    DockerHub,
    /// Google's Artifact Registry and Container Registry.
    Gcp,
    /// Amazon's Elastic Container Registry.
    Aws,
    /// Azure Container Registry.
    Azure,
    /// GitHub's packages.
    GitHub,
}

impl RegistryFlavor {
    /// Every flavor.
    pub const ALL: [Self; 6] = [
        Self::Default,
        Self::DockerHub,
        Self::Gcp,
        Self::Aws,
        Self::Azure,
        Self::GitHub,
    ];

    /// The name in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::DockerHub => "dockerhub",
            Self::Gcp => "gcp",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::GitHub => "github",
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Default => "Any registry that speaks the OCI distribution API",
            Self::DockerHub => "Docker Hub",
            Self::Gcp => "Google's Artifact Registry and Container Registry",
            Self::Aws => "Amazon's Elastic Container Registry",
            Self::Azure => "Azure Container Registry",
            Self::GitHub => "GitHub's packages",
        }
    }

    /// What this flavor asks of an address, beyond its form. The host is free: companies put names of their
    /// own and caches before these services.
    fn check(self, uri: &RegistryUri) -> Result<()> {
        if self == Self::Aws && !uri.path().is_empty() {
            let message = format!("the address {:?} of an aws registry has a path", uri.as_str());
            let hint = format!(
                "Use \"uri\": {:?} and \"default_repository\": {:?}: every repository of this service is made \
                 by its full name.",
                uri.domain(),
                uri.path()
            );
            return Err(Error::new(ErrorKind::InvalidConfiguration, message).with_hint(hint));
        }
        Ok(())
    }
}

impl FromStr for RegistryFlavor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|flavor| flavor.as_str() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                Error::new(
                    ErrorKind::InvalidConfiguration,
                    format!("there is no container registry flavor {text:?}"),
                )
                .with_hint(format!("Use one of {known}."))
            })
    }
}

/// A registry of one of the [flavors](RegistryFlavor), with credentials from its configuration, a service
/// connector, or what `docker login` and `podman login` left, in this order.
#[derive(Debug, Clone)]
pub struct FlavoredRegistry {
    flavor: RegistryFlavor,
    uri: RegistryUri,
    config: RegistryConfig,
    connector: Option<Arc<dyn ServiceConnector>>,
    locator: DockerConfigLocator,
}

impl FlavoredRegistry {
    /// A registry from its configuration. The files of Docker and Podman are found through this process's
    /// environment; [`FlavoredRegistry::with_locator`] changes that.
    ///
    /// # Errors
    ///
    /// [`InvalidConfiguration`](ErrorKind::InvalidConfiguration) for an address or default repository of the
    /// wrong form, and for a user without a password or the other way round.
    pub fn new(flavor: RegistryFlavor, config: RegistryConfig) -> Result<Self> {
        let uri: RegistryUri = config.uri.parse()?;
        flavor.check(&uri)?;
        if config.username.is_some() != config.password.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "a container registry needs username and password together, or neither",
            )
            .with_context("registry", uri.as_str()));
        }
        let registry = Self {
            flavor,
            uri,
            config,
            connector: None,
            locator: DockerConfigLocator::from_env(),
        };
        // A default repository that cannot be used must not wait for the first build to be found.
        registry.target_image(None, "x").map_err(|error| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "the default repository cannot be used",
            )
            .with_context("registry", registry.uri())
            .with_source(error)
        })?;
        Ok(registry)
    }

    /// The same registry, with credentials from this connector when the configuration has none.
    #[must_use]
    pub fn with_connector(mut self, connector: Arc<dyn ServiceConnector>) -> Self {
        self.connector = Some(connector);
        self
    }

    /// The same registry, with user and password from the stored secret that
    /// [`authentication_secret`](RegistryConfig::authentication_secret) names.
    #[must_use]
    pub fn with_login(mut self, username: impl Into<String>, password: Secret) -> Self {
        self.config.username = Some(username.into());
        self.config.password = Some(password);
        self
    }

    /// The same registry, looking for Docker's and Podman's files elsewhere.
    #[must_use]
    pub fn with_locator(mut self, locator: DockerConfigLocator) -> Self {
        self.locator = locator;
        self
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &RegistryConfig {
        &self.config
    }

    /// The error for a secret or connector that is configured by name and was never handed in.
    fn unresolved(&self, what: &str, name: &str) -> Error {
        Error::new(
            ErrorKind::InvalidConfiguration,
            format!("the {what} {name:?} of the container registry could not be looked up here"),
        )
        .with_context("registry", self.uri())
        .with_hint("Set username and password in the registry's configuration, or log in with docker login.")
    }
}

#[async_trait]
impl ContainerRegistry for FlavoredRegistry {
    fn flavor(&self) -> &str {
        self.flavor.as_str()
    }

    fn address(&self) -> &RegistryUri {
        &self.uri
    }

    fn default_repository(&self) -> Option<&str> {
        self.config.default_repository.as_deref()
    }

    fn plain_http(&self) -> bool {
        self.config
            .insecure
            .unwrap_or(self.is_local() && self.config.ca_certificate.is_none())
    }

    fn ca_certificate(&self) -> Option<&Path> {
        self.config.ca_certificate.as_deref()
    }

    async fn credentials(&self, repository: &ImageReference) -> Result<Option<RegistryCredentials>> {
        // What is configured here is for this host; sending it to another one would give it away.
        if repository.domain() == self.uri.domain() {
            if let (Some(username), Some(password)) = (&self.config.username, &self.config.password) {
                let source = CredentialSource::Configuration;
                return Ok(Some(RegistryCredentials::basic(
                    username,
                    password.clone(),
                    source,
                )));
            }
            if let Some(name) = &self.config.authentication_secret {
                return Err(self.unresolved("authentication secret", name));
            }
            match (&self.connector, &self.config.connector) {
                (Some(connector), _) => {
                    if let Some(found) = connector.registry_credentials(self.uri()).await? {
                        return Ok(Some(found));
                    }
                }
                (None, Some(name)) => return Err(self.unresolved("service connector", name)),
                (None, None) => {}
            }
        }
        self.locator.credentials(repository).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::credentials::RegistryAuth;
    use super::*;

    fn config(uri: &str) -> RegistryConfig {
        RegistryConfig {
            uri: uri.into(),
            ..RegistryConfig::default()
        }
    }

    fn registry(config: RegistryConfig) -> FlavoredRegistry {
        FlavoredRegistry::new(RegistryFlavor::Default, config)
            .unwrap()
            .with_locator(DockerConfigLocator::empty())
    }

    #[test]
    fn every_flavor_is_found_by_its_name() {
        for flavor in RegistryFlavor::ALL {
            assert_eq!(flavor.as_str().parse::<RegistryFlavor>().unwrap(), flavor);
        }
        let error = "ecr".parse::<RegistryFlavor>().unwrap_err();
        assert!(
            error
                .hint()
                .unwrap()
                .contains("default, dockerhub, gcp, aws, azure, github")
        );
    }

    #[test]
    fn the_configuration_refuses_what_it_does_not_know() {
        let good = r#"{"uri": "r.example", "default_repository": "team", "insecure": true}"#;
        let good: RegistryConfig = serde_json::from_str(good).unwrap();
        assert_eq!(good.default_repository.as_deref(), Some("team"));
        assert!(serde_json::from_str::<RegistryConfig>(r#"{"uri": "r.example", "url": 1}"#).is_err());
        assert!(serde_json::from_str::<RegistryConfig>("{}").is_err());
    }

    #[test]
    fn wrong_configurations_are_refused_at_once() {
        let refused = |config| FlavoredRegistry::new(RegistryFlavor::Default, config).unwrap_err();
        let lonely = RegistryConfig {
            username: Some("u".into()),
            ..config("r.example")
        };
        assert!(refused(lonely).message().contains("together"));
        let repository = RegistryConfig {
            default_repository: Some("Team".into()),
            ..config("r.example")
        };
        assert!(refused(repository).report().contains("lower case"));
        let path = FlavoredRegistry::new(
            RegistryFlavor::Aws,
            config("1.dkr.ecr.eu-west-1.amazonaws.com/app"),
        );
        assert!(
            path.unwrap_err()
                .hint()
                .unwrap()
                .contains("\"default_repository\": \"app\"")
        );
    }

    #[test]
    fn plain_http_is_for_loopback_or_where_it_is_configured() {
        assert!(registry(config("localhost:5000")).plain_http());
        assert!(!registry(config("r.example")).plain_http());
        let set = |uri, insecure, ca: Option<&str>| {
            registry(RegistryConfig {
                insecure,
                ca_certificate: ca.map(PathBuf::from),
                ..config(uri)
            })
            .plain_http()
        };
        assert!(set("r.example", Some(true), None));
        assert!(!set("localhost:5000", Some(false), None));
        assert!(!set("localhost:5000", None, Some("ca.pem")));
    }

    #[derive(Debug)]
    struct Connector;

    #[async_trait]
    impl ServiceConnector for Connector {
        fn name(&self) -> &str {
            "cloud"
        }

        async fn registry_credentials(&self, registry_uri: &str) -> Result<Option<RegistryCredentials>> {
            let source = CredentialSource::Connector(self.name().to_owned());
            Ok((registry_uri == "r.example").then(|| RegistryCredentials {
                auth: RegistryAuth::Bearer(Secret::new("planted-token")),
                source,
            }))
        }
    }

    #[tokio::test]
    async fn configured_credentials_come_before_the_connector_and_stay_on_their_host() {
        let here: ImageReference = "r.example/app".parse().unwrap();
        let elsewhere: ImageReference = "other.example/app".parse().unwrap();
        let both = registry(config("r.example"))
            .with_connector(Arc::new(Connector))
            .with_login("me", Secret::new("planted"));
        let found = both.credentials(&here).await.unwrap().unwrap();
        assert_eq!(found.source, CredentialSource::Configuration);
        assert!(both.credentials(&elsewhere).await.unwrap().is_none());
        assert!(!format!("{both:?} {found:?}").contains("planted"));

        let connected = registry(config("r.example")).with_connector(Arc::new(Connector));
        let found = connected.credentials(&here).await.unwrap().unwrap();
        assert_eq!(found.source.to_string(), "the service connector cloud");
        assert!(!format!("{connected:?} {found:?}").contains("planted"));
    }

    #[tokio::test]
    async fn a_name_that_nobody_resolved_is_an_error() {
        let here: ImageReference = "r.example/app".parse().unwrap();
        for unresolved in [
            RegistryConfig {
                authentication_secret: Some("stored".into()),
                ..config("r.example")
            },
            RegistryConfig {
                connector: Some("stored".into()),
                ..config("r.example")
            },
        ] {
            let error = registry(unresolved).credentials(&here).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
            assert!(error.message().contains("\"stored\""));
        }
    }
}
