//! Credentials, region and endpoint: everything an AWS client is made from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::sync::Mutex;
use wharf_core::flavor::known::{AwsAuthMethod, AwsCredentialsConfig};
use wharf_core::{Error, ErrorKind, Result};

/// How often one call is made, the first time included, before a failure that passes counts.
const ATTEMPTS: u32 = 6;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The name of a role's session where none is configured.
const SESSION: &str = "wharf";

/// The way to AWS of one component: loaded when it is first needed, then shared. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct AwsAccess {
    config: AwsCredentialsConfig,
    region: Option<String>,
    http: SharedHttpClient,
    loaded: Arc<Mutex<Option<SdkConfig>>>,
}

impl AwsAccess {
    /// Takes a configuration. `region` is the component's own and comes before the one of the credentials, which
    /// comes before the environment's and the profile's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] listing every key that is missing or does not go with the method.
    pub fn new(config: AwsCredentialsConfig, region: Option<String>) -> Result<Self> {
        check(&config)?;
        Ok(Self {
            region: region.or_else(|| config.region.clone()),
            config,
            http: crate::http::client(),
            loaded: Arc::default(),
        })
    }

    /// The settings for a client of any service.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] when nobody says the region.
    pub async fn sdk(&self) -> Result<SdkConfig> {
        let mut loaded = self.loaded.lock().await;
        if let Some(sdk) = loaded.as_ref() {
            return Ok(sdk.clone());
        }
        let sdk = self.load().await;
        if sdk.region().is_none() {
            let message = "the AWS region is not known";
            return Err(Error::new(ErrorKind::InvalidConfiguration, message)
                .with_hint("Set `region` in the configuration, or AWS_REGION, or a region in the profile."));
        }
        *loaded = Some(sdk.clone());
        Ok(sdk)
    }

    /// Forgets the credentials, so that the next call of [`sdk`](Self::sdk) looks for them again: for a service
    /// that calls them expired although they should not be.
    pub async fn renew(&self) {
        *self.loaded.lock().await = None;
    }

    async fn load(&self) -> SdkConfig {
        let base = self.loader().load().await;
        match self.provider(&base).await {
            Some(provider) => base.into_builder().credentials_provider(provider).build(),
            None => base,
        }
    }

    fn loader(&self) -> ConfigLoader {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build());
        if let Ok(name) = AppName::new("wharf") {
            loader = loader.app_name(name);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &self.config.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(profile) = &self.config.profile_name {
            loader = loader.profile_name(profile);
        }
        match keys(&self.config) {
            Some(keys) => loader.credentials_provider(keys),
            None => loader,
        }
    }

    /// Who gives the credentials, where it is neither the default chain nor a plain key.
    async fn provider(&self, base: &SdkConfig) -> Option<SharedCredentialsProvider> {
        let config = &self.config;
        let lifetime = Duration::from_secs(config.expiration_seconds.unwrap_or(3600).into());
        let session = config.role_session_name.as_deref().unwrap_or(SESSION);
        Some(match config.auth_method {
            AwsAuthMethod::Implicit | AwsAuthMethod::SecretKey | AwsAuthMethod::StsToken => return None,
            AwsAuthMethod::IamRole => {
                let mut role = AssumeRoleProvider::builder(config.role_arn.as_deref()?)
                    .session_name(session)
                    .session_length(lifetime)
                    .configure(base);
                if let Some(id) = &config.external_id {
                    role = role.external_id(id);
                }
                let provider = match keys(config) {
                    Some(keys) => role.build_from_provider(keys).await,
                    None => role.build_from_provider(self.default_chain(base).await).await,
                };
                SharedCredentialsProvider::new(provider)
            }
            AwsAuthMethod::SessionToken => SharedCredentialsProvider::new(SessionToken {
                client: aws_sdk_sts::Client::new(base),
                seconds: i32::try_from(lifetime.as_secs()).ok()?,
            }),
            AwsAuthMethod::WebIdentity => SharedCredentialsProvider::new(WebIdentity {
                client: aws_sdk_sts::Client::new(base),
                token_file: config.web_identity_token_file.clone()?,
                role: config.role_arn.clone()?,
                session: session.to_owned(),
                seconds: i32::try_from(lifetime.as_secs()).ok()?,
            }),
        })
    }

    async fn default_chain(&self, base: &SdkConfig) -> DefaultCredentialsChain {
        let mut chain = DefaultCredentialsChain::builder().configure(self.provider_config(base));
        if let Some(profile) = &self.config.profile_name {
            chain = chain.profile_name(profile);
        }
        chain.build().await
    }

    fn provider_config(&self, base: &SdkConfig) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_region(base.region().cloned())
            .with_http_client(self.http.clone())
    }
}

fn keys(config: &AwsCredentialsConfig) -> Option<Credentials> {
    let mut keys = Credentials::builder()
        .access_key_id(config.aws_access_key_id.as_ref()?)
        .secret_access_key(config.aws_secret_access_key.as_ref()?.expose())
        .provider_name("wharf's configuration");
    keys.set_session_token(
        config
            .aws_session_token
            .as_ref()
            .map(|token| token.expose().to_owned()),
    );
    Some(keys.build())
}

/// Temporary credentials of the user that a key belongs to.
#[derive(Debug)]
struct SessionToken {
    client: aws_sdk_sts::Client,
    seconds: i32,
}

impl ProvideCredentials for SessionToken {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.ask())
    }
}

impl SessionToken {
    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        let answer = self
            .client
            .get_session_token()
            .duration_seconds(self.seconds)
            .send()
            .await;
        let answer = answer.map_err(CredentialsError::provider_error)?;
        temporary(answer.credentials)
    }
}

/// Temporary credentials of a role, for a token that somebody else gives out and renews. The SDK's own provider of
/// this kind knows no other endpoint.
#[derive(Debug)]
struct WebIdentity {
    client: aws_sdk_sts::Client,
    token_file: PathBuf,
    role: String,
    session: String,
    seconds: i32,
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.ask())
    }
}

impl WebIdentity {
    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        let token = tokio::fs::read_to_string(&self.token_file).await;
        let token = token.map_err(CredentialsError::provider_error)?;
        let call = self.client.assume_role_with_web_identity().role_arn(&self.role);
        let call = call
            .role_session_name(&self.session)
            .duration_seconds(self.seconds);
        let answer = call.web_identity_token(token.trim()).send().await;
        temporary(answer.map_err(CredentialsError::provider_error)?.credentials)
    }
}

fn temporary(found: Option<aws_sdk_sts::types::Credentials>) -> Result<Credentials, CredentialsError> {
    let found = found.ok_or_else(|| CredentialsError::unhandled("the answer has no credentials"))?;
    let expiry = found.expiration.try_into().map_err(CredentialsError::unhandled)?;
    Ok(Credentials::builder()
        .access_key_id(found.access_key_id)
        .secret_access_key(found.secret_access_key)
        .session_token(found.session_token)
        .expiry(expiry)
        .provider_name("STS")
        .build())
}

/// What each method needs, and what it makes no use of.
fn check(config: &AwsCredentialsConfig) -> Result<()> {
    use AwsAuthMethod::{IamRole, Implicit, SecretKey, SessionToken, StsToken, WebIdentity};
    let method = config.auth_method;
    let name = |method| match method {
        Implicit => "implicit",
        SecretKey => "secret-key",
        StsToken => "sts-token",
        IamRole => "iam-role",
        SessionToken => "session-token",
        WebIdentity => "web-identity",
    };
    let key = config.aws_access_key_id.is_some();
    let table: [(&str, bool, &[AwsAuthMethod], &[AwsAuthMethod]); 7] = [
        (
            "aws_access_key_id",
            key,
            &[SecretKey, StsToken, SessionToken],
            &[IamRole],
        ),
        (
            "aws_secret_access_key",
            config.aws_secret_access_key.is_some(),
            &[SecretKey, StsToken, SessionToken],
            if key { &[] } else { &[IamRole] },
        ),
        (
            "aws_session_token",
            config.aws_session_token.is_some(),
            &[StsToken],
            &[IamRole],
        ),
        (
            "role_arn",
            config.role_arn.is_some(),
            &[IamRole, WebIdentity],
            &[],
        ),
        ("external_id", config.external_id.is_some(), &[], &[IamRole]),
        (
            "web_identity_token_file",
            config.web_identity_token_file.is_some(),
            &[WebIdentity],
            &[],
        ),
        (
            "profile_name",
            config.profile_name.is_some(),
            &[],
            &[Implicit, IamRole],
        ),
    ];
    let mut problems = Vec::new();
    for (field, given, needed_by, allowed_by) in table {
        let partner = field == "aws_secret_access_key" && key && method == IamRole;
        if !given && (needed_by.contains(&method) || partner) {
            problems.push(format!("`auth_method: {}` needs `{field}`", name(method)));
        } else if given && !needed_by.contains(&method) && !allowed_by.contains(&method) && !partner {
            problems.push(format!(
                "`{field}` does not go with `auth_method: {}`",
                name(method)
            ));
        }
    }
    if config
        .expiration_seconds
        .is_some_and(|seconds| !(900..=43_200).contains(&seconds))
    {
        problems.push("`expiration_seconds` is from 900 to 43200".to_owned());
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::InvalidConfiguration, problems.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: AwsCredentialsConfig) -> String {
        AwsAccess::new(config, None).unwrap_err().message().to_owned()
    }

    #[test]
    fn every_problem_of_a_login_is_told() {
        let found = refused(AwsCredentialsConfig {
            auth_method: AwsAuthMethod::StsToken,
            role_arn: Some("arn:aws:iam::1:role/x".into()),
            expiration_seconds: Some(1),
            ..AwsCredentialsConfig::default()
        });
        for part in [
            "needs `aws_access_key_id`",
            "needs `aws_secret_access_key`",
            "`aws_session_token`",
            "`role_arn`",
            "900",
        ] {
            assert!(found.contains(part), "{part} in {found}");
        }
        let half = AwsCredentialsConfig {
            auth_method: AwsAuthMethod::IamRole,
            role_arn: Some("arn".into()),
            aws_access_key_id: Some("AKIA".into()),
            ..AwsCredentialsConfig::default()
        };
        assert_eq!(
            refused(half),
            "`auth_method: iam-role` needs `aws_secret_access_key`"
        );
    }

    #[tokio::test]
    async fn a_key_from_the_configuration_is_used_and_never_printed() {
        let access = AwsAccess::new(
            AwsCredentialsConfig {
                auth_method: AwsAuthMethod::SecretKey,
                aws_access_key_id: Some("AKIA1".into()),
                aws_secret_access_key: Some("planted".into()),
                region: Some("eu-west-1".into()),
                ..AwsCredentialsConfig::default()
            },
            Some("eu-central-1".into()),
        )
        .unwrap();
        let sdk = access.sdk().await.unwrap();
        assert_eq!(sdk.region().unwrap().as_ref(), "eu-central-1");
        let provider = sdk.credentials_provider().unwrap();
        let found = provider.provide_credentials().await.unwrap();
        assert_eq!(
            (found.access_key_id(), found.secret_access_key()),
            ("AKIA1", "planted")
        );
        assert!(!format!("{access:?}").contains("planted"));
    }
}
