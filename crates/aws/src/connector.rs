//! AWS as a service connector: one login for all of an account's registries.

use async_trait::async_trait;
use wharf_core::Result;
use wharf_core::flavor::known::AwsCredentialsConfig;
use wharf_core::registry::{CredentialSource, RegistryCredentials, RegistryUri, ServiceConnector};

use crate::AwsAccess;
use crate::ecr::{EcrAddress, Tokens};

/// A login at AWS under a name, which gives credentials for every registry of ECR.
#[derive(Debug, Clone)]
pub struct AwsConnector {
    name: String,
    config: AwsCredentialsConfig,
}

/// Who logged in, as STS tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsIdentity {
    /// The account's number.
    pub account: String,
    /// The user or role, as an ARN.
    pub arn: String,
}

impl AwsConnector {
    /// A connector from its configuration. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// As [`AwsAccess::new`].
    pub fn new(name: impl Into<String>, config: AwsCredentialsConfig) -> Result<Self> {
        AwsAccess::new(config.clone(), None)?;
        Ok(Self {
            name: name.into(),
            config,
        })
    }

    /// Asks AWS who this is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthenticated`](wharf_core::ErrorKind::Unauthenticated) when the credentials are missing,
    /// wrong or expired.
    pub async fn verify(&self) -> Result<AwsIdentity> {
        let sdk = AwsAccess::new(self.config.clone(), None)?.sdk().await?;
        let answer = aws_sdk_sts::Client::new(&sdk).get_caller_identity().send().await;
        let answer =
            answer.map_err(|error| crate::from_sdk("ask AWS who you are", "sts:GetCallerIdentity", error))?;
        Ok(AwsIdentity {
            account: answer.account.unwrap_or_default(),
            arn: answer.arn.unwrap_or_default(),
        })
    }
}

#[async_trait]
impl ServiceConnector for AwsConnector {
    fn name(&self) -> &str {
        &self.name
    }

    async fn registry_credentials(&self, registry_uri: &str) -> Result<Option<RegistryCredentials>> {
        let uri: RegistryUri = registry_uri.parse()?;
        let (region, public) = match EcrAddress::parse(uri.domain()) {
            Some(EcrAddress::Private { region, .. }) => (region, false),
            Some(EcrAddress::Public) => ("us-east-1".to_owned(), true),
            None => return Ok(None),
        };
        let access = AwsAccess::new(self.config.clone(), Some(region))?;
        let token = Tokens::default().get(&access, public).await?;
        let source = CredentialSource::Connector(self.name.clone());
        Ok(Some(RegistryCredentials::basic(
            token.username,
            token.password,
            source,
        )))
    }
}
