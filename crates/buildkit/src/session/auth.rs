//! Registry credentials for what the daemon pulls and pushes.

use std::sync::Arc;

use async_trait::async_trait;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::Auth;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};
use tonic::{Request, Response, Status};
use wharf_core::{Result, Secret};

use super::Failures;

/// What the daemon logs in to a registry with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryCredentials {
    /// The user; empty if the secret is an identity token.
    pub username: String,
    /// The password or identity token.
    pub secret: Secret,
}

/// Where credentials for registries come from.
#[async_trait]
pub trait CredentialSource: Send + Sync + 'static {
    /// The credentials for a registry; none to go on without. `host` is the host the daemon talks to, with its
    /// port if it has one; for Docker Hub that is `registry-1.docker.io`. It is asked only for registries the
    /// build really needs, perhaps several times for one.
    ///
    /// # Errors
    /// Whatever stops the credentials from being read; it ends the build.
    async fn credentials(&self, host: &str) -> Result<Option<RegistryCredentials>>;
}

/// Answers the daemon's requests for credentials. The daemon itself trades them for tokens, as it does whenever
/// a client says that it cannot.
pub(crate) struct AuthService {
    pub(crate) source: Arc<dyn CredentialSource>,
    pub(crate) failures: Failures,
}

#[tonic::async_trait]
impl Auth for AuthService {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let found = self.source.credentials(&request.get_ref().host).await;
        let found = found.map_err(|error| {
            let status = Status::unauthenticated(error.to_string());
            self.failures.record(error);
            status
        })?;
        let response = found.map_or_else(CredentialsResponse::default, |found| CredentialsResponse {
            username: found.username,
            secret: found.secret.expose().to_owned(),
        });
        Ok(Response::new(response))
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(no_tokens())
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(no_tokens())
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(no_tokens())
    }
}

fn no_tokens() -> Status {
    Status::unimplemented("this client leaves tokens to the daemon")
}
