//! The container registry `aws`.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use wharf_core::flavor::Flavor;
use wharf_core::flavor::known::AwsRegistryConfig;
use wharf_core::registry::{
    ContainerRegistry, CredentialSource, FlavoredRegistry, RegistryCredentials, RegistryFlavor, RegistryUri,
};
use wharf_core::{ErrorKind, ImageReference, Result};

use super::repository::{self, Making};
use super::{EcrAddress, Tokens};
use crate::AwsAccess;

/// The one region that answers for the public registry.
const PUBLIC_REGION: &str = "us-east-1";

/// The flavor `aws` of container registries.
#[must_use]
pub fn registry_flavor() -> Flavor {
    let flavor = RegistryFlavor::Aws;
    Flavor::container_registry(
        flavor.as_str(),
        flavor.description(),
        |config: AwsRegistryConfig| Ok(Arc::new(EcrRegistry::new(config)?) as _),
    )
}

/// A registry of ECR, or one behind a host name of its own that takes ECR's tokens.
///
/// Credentials come from the configuration, else from ECR itself, else from what `docker login` left. Before a push
/// the repository is looked for, and made where the configuration says so.
#[derive(Debug, Clone)]
pub struct EcrRegistry {
    plain: FlavoredRegistry,
    address: Option<EcrAddress>,
    access: AwsAccess,
    tokens: Tokens,
    making: Making,
}

impl EcrRegistry {
    /// A registry from its configuration. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] as [`FlavoredRegistry::new`] and [`AwsAccess::new`].
    pub fn new(config: AwsRegistryConfig) -> Result<Self> {
        let plain = FlavoredRegistry::new(RegistryFlavor::Aws, config.registry())?;
        let address = EcrAddress::parse(plain.address().domain());
        let region = match &address {
            Some(EcrAddress::Private { region, .. }) => Some(region.clone()),
            Some(EcrAddress::Public) => Some(PUBLIC_REGION.to_owned()),
            None => config.region.clone(),
        };
        Ok(Self {
            plain,
            address,
            access: AwsAccess::new(config.credentials, region)?,
            tokens: Tokens::default(),
            making: Making {
                wanted: config.create_repository,
                immutable_tags: config.immutable_tags,
            },
        })
    }

    /// What the host says; none for a host of one's own before ECR.
    #[must_use]
    pub fn ecr_address(&self) -> Option<&EcrAddress> {
        self.address.as_ref()
    }

    fn is_public(&self) -> bool {
        self.address == Some(EcrAddress::Public)
    }

    async fn token(&self) -> Result<RegistryCredentials> {
        let token = self.tokens.get(&self.access, self.is_public()).await?;
        let source = CredentialSource::Connector("ECR".to_owned());
        Ok(RegistryCredentials::basic(token.username, token.password, source))
    }
}

#[async_trait]
impl ContainerRegistry for EcrRegistry {
    fn flavor(&self) -> &str {
        self.plain.flavor()
    }

    fn address(&self) -> &RegistryUri {
        self.plain.address()
    }

    fn default_repository(&self) -> Option<&str> {
        self.plain.default_repository()
    }

    fn plain_http(&self) -> bool {
        self.plain.plain_http()
    }

    fn ca_certificate(&self) -> Option<&Path> {
        self.plain.ca_certificate()
    }

    async fn credentials(&self, repository: &ImageReference) -> Result<Option<RegistryCredentials>> {
        let config = self.plain.config();
        let configured =
            config.username.is_some() || config.authentication_secret.is_some() || config.connector.is_some();
        if configured || repository.domain() != self.address().domain() {
            return self.plain.credentials(repository).await;
        }
        match self.token().await {
            Ok(credentials) => Ok(Some(credentials)),
            // Whoever has no credentials for AWS may have logged in with `docker login` all the same.
            Err(error) => match self.plain.credentials(repository).await {
                Ok(Some(found)) => Ok(Some(found)),
                _ => Err(error),
            },
        }
    }

    async fn prepare_push(&self, image: &ImageReference) -> Result<()> {
        let (account, known) = match &self.address {
            Some(EcrAddress::Private { account, .. }) => (Some(account.as_str()), true),
            Some(EcrAddress::Public) => {
                return repository::of_public(&self.access, image.path(), self.making).await;
            }
            None => (None, false),
        };
        match repository::of_account(&self.access, account, image.path(), self.making).await {
            // A host of one's own may stand before anything; ECR's word on it is not needed.
            Err(error) if !known && !self.making.wanted && error.kind() != ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(uri: &str) -> AwsRegistryConfig {
        AwsRegistryConfig {
            uri: uri.into(),
            ..AwsRegistryConfig::default()
        }
    }

    #[test]
    fn the_region_is_the_host_s() {
        let registry = EcrRegistry::new(AwsRegistryConfig {
            region: Some("eu-west-1".into()),
            ..config("123456789012.dkr.ecr.us-east-1.amazonaws.com")
        })
        .unwrap();
        let expected = EcrAddress::Private {
            account: "123456789012".into(),
            region: "us-east-1".into(),
        };
        assert_eq!(registry.ecr_address(), Some(&expected));
        assert!(EcrRegistry::new(config("public.ecr.aws")).unwrap().is_public());
    }

    #[test]
    fn an_address_with_a_path_is_refused() {
        let error = EcrRegistry::new(config("123456789012.dkr.ecr.us-east-1.amazonaws.com/app")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(error.hint().unwrap().contains("default_repository"));
    }

    #[tokio::test]
    async fn configured_credentials_need_no_token() {
        let registry = EcrRegistry::new(AwsRegistryConfig {
            username: Some("me".into()),
            password: Some("planted".into()),
            ..config("123456789012.dkr.ecr.us-east-1.amazonaws.com")
        })
        .unwrap();
        let image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1"
            .parse()
            .unwrap();
        let found = registry.credentials(&image).await.unwrap().unwrap();
        assert_eq!(found.source, CredentialSource::Configuration);
        assert!(!format!("{registry:?}").contains("planted"));
    }
}
