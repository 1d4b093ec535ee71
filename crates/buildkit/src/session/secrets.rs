//! Secrets that steps may mount.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::Secrets;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use secrecy::{ExposeSecret, SecretSlice};
use tonic::{Request, Response, Status};
use wharf_core::{Error, ErrorKind, Result, Secret};

/// How long a secret may be, in bytes (500 KiB): BuildKit refuses longer ones in the middle of the build.
///
/// Source: `MaxSecretSize` in BuildKit's `session/secrets/secretsprovider`.
pub const MAX_SECRET_BYTES: usize = 500 * 1024;

/// A secret of any bytes. It never prints, and is wiped from memory when dropped.
#[derive(Clone)]
pub struct SecretBytes(SecretSlice<u8>);

impl SecretBytes {
    /// Takes the bytes in.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves. Hand them straight to what needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(***)")
    }
}

impl From<&Secret> for SecretBytes {
    fn from(secret: &Secret) -> Self {
        Self::new(secret.expose().as_bytes().to_vec())
    }
}

impl From<Secret> for SecretBytes {
    fn from(secret: Secret) -> Self {
        Self::from(&secret)
    }
}

/// Refuses what the daemon would refuse later.
pub(crate) fn check(secrets: &BTreeMap<String, SecretBytes>) -> Result<()> {
    let too_long = secrets
        .iter()
        .find(|(_, secret)| secret.expose().len() > MAX_SECRET_BYTES);
    let Some((id, secret)) = too_long else {
        return Ok(());
    };
    Err(
        Error::new(ErrorKind::InvalidInput, "a secret is longer than BuildKit allows")
            .with_context("secret", id.as_str())
            .with_context("bytes", secret.expose().len().to_string())
            .with_context("allowed", MAX_SECRET_BYTES.to_string())
            .with_hint("Split the secret, or give the large part as a file of the build context."),
    )
}

/// Answers the daemon's requests for secrets.
pub(crate) struct SecretsService {
    pub(crate) secrets: Arc<BTreeMap<String, SecretBytes>>,
}

#[tonic::async_trait]
impl Secrets for SecretsService {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        let secret = self
            .secrets
            .get(id)
            .ok_or_else(|| Status::not_found(format!("secret {id}: not found")))?;
        let data = secret.expose().to_vec();
        Ok(Response::new(GetSecretResponse { data }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_secret_is_refused_by_name() {
        let secret = |length| BTreeMap::from([("key".to_owned(), SecretBytes::new(vec![b'x'; length]))]);
        assert!(check(&secret(MAX_SECRET_BYTES)).is_ok());
        let error = check(&secret(MAX_SECRET_BYTES + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.report().contains("secret: key"));
    }

    #[test]
    fn it_never_prints() {
        let secret = SecretBytes::from(Secret::new("planted"));
        assert_eq!(format!("{secret:?}"), "SecretBytes(***)");
        assert_eq!(secret.expose(), b"planted");
    }
}
