//! Credentials in the forms an engine takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use wharf_core::registry::{ContainerRegistry, DockerConfigLocator, RegistryAuth, RegistryCredentials};
use wharf_core::{Error, ErrorKind, ImageReference, Result};

/// Finds credentials: the registry of the request for what belongs to it, Docker's and Podman's own files for
/// everything else.
#[derive(Clone, Debug)]
pub(crate) struct Logins {
    registry: Option<Arc<dyn ContainerRegistry>>,
    locator: DockerConfigLocator,
    /// Images of this build. Some credentials are kept by host *and* path, and BuildKit asks for a host only.
    images: Vec<ImageReference>,
}

/// The host under which Docker Hub answers; in names it is `docker.io`.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// The key of Docker Hub's credentials in an engine's headers.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

impl Logins {
    pub(crate) fn new(
        registry: Option<Arc<dyn ContainerRegistry>>,
        locator: DockerConfigLocator,
        images: Vec<ImageReference>,
    ) -> Self {
        Self {
            registry,
            locator,
            images,
        }
    }

    async fn for_image(&self, image: &ImageReference) -> Result<Option<RegistryCredentials>> {
        match &self.registry {
            Some(registry) if registry.contains(image) => registry.credentials(image).await,
            _ => self.locator.credentials(image).await,
        }
    }

    async fn for_host(&self, host: &str) -> Result<Option<RegistryCredentials>> {
        let domain = if host == DOCKER_HUB_HOST {
            "docker.io"
        } else {
            host
        };
        let known = self.images.iter().find(|image| image.domain() == domain).cloned();
        match known.map_or_else(
            || ImageReference::from_parts(domain, "library/any", None, None),
            Ok,
        ) {
            Ok(image) => self.for_image(&image).await,
            // A host that cannot stand in a name has no credentials either.
            Err(_) => Ok(None),
        }
    }

    /// The header `X-Registry-Auth` of a push.
    pub(crate) async fn registry_auth(&self, image: &ImageReference) -> Result<String> {
        let credentials = self.for_image(image).await?;
        encode(&credentials.map_or_else(
            || json!({}),
            |found| auth_config(&found.auth, key(image.domain())),
        ))
    }

    /// The content of a file of credentials for one push, in Docker's and Podman's form.
    pub(crate) async fn auth_file(&self, image: &ImageReference) -> Result<String> {
        let auths = match self.for_image(image).await?.map(|found| found.auth) {
            Some(RegistryAuth::Basic { username, password }) => {
                let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
                json!({key(image.domain()): {"auth": pair}})
            }
            Some(RegistryAuth::IdentityToken(token)) => {
                json!({key(image.domain()): {"identitytoken": token.expose()}})
            }
            _ => json!({}),
        };
        Ok(json!({"auths": auths}).to_string())
    }

    /// The header `X-Registry-Config` of a classic build.
    pub(crate) async fn registry_config(&self, registries: &BTreeSet<String>) -> Result<String> {
        let mut config = BTreeMap::new();
        for domain in registries {
            if let Some(found) = self.for_host(domain).await? {
                config.insert(key(domain), auth_config(&found.auth, key(domain)));
            }
        }
        encode(&json!(config))
    }
}

fn key(domain: &str) -> &str {
    if domain == "docker.io" {
        DOCKER_HUB_KEY
    } else {
        domain
    }
}

fn auth_config(auth: &RegistryAuth, server: &str) -> Value {
    match auth {
        RegistryAuth::Basic { username, password } => {
            json!({"username": username, "password": password.expose(), "serveraddress": server})
        }
        RegistryAuth::IdentityToken(token) => {
            json!({"identitytoken": token.expose(), "serveraddress": server})
        }
        RegistryAuth::Bearer(token) => json!({"registrytoken": token.expose(), "serveraddress": server}),
        _ => json!({}),
    }
}

fn encode(value: &Value) -> Result<String> {
    let json = serde_json::to_vec(value).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "credentials are not JSON").with_source(source)
    })?;
    Ok(URL_SAFE.encode(json))
}

#[async_trait]
impl wharf_buildkit::CredentialSource for Logins {
    async fn credentials(&self, host: &str) -> Result<Option<wharf_buildkit::RegistryCredentials>> {
        Ok(match self.for_host(host).await?.map(|found| found.auth) {
            Some(RegistryAuth::Basic { username, password }) => Some(wharf_buildkit::RegistryCredentials {
                username,
                secret: password,
            }),
            // BuildKit knows an identity token by its missing user.
            Some(RegistryAuth::IdentityToken(secret)) => Some(wharf_buildkit::RegistryCredentials {
                username: String::new(),
                secret,
            }),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use wharf_core::registry::{FlavoredRegistry, RegistryConfig, RegistryFlavor};

    use super::*;

    fn logins() -> Logins {
        let config = RegistryConfig {
            uri: "r.example:5000/team".into(),
            username: Some("me".into()),
            password: Some("planted".into()),
            ..RegistryConfig::default()
        };
        let registry = FlavoredRegistry::new(RegistryFlavor::Default, config).unwrap();
        let image = "r.example:5000/team/app:1".parse().unwrap();
        Logins::new(
            Some(Arc::new(registry)),
            DockerConfigLocator::empty(),
            vec![image],
        )
    }

    fn decode(header: &str) -> Value {
        serde_json::from_slice(&URL_SAFE.decode(header).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_push_carries_the_registry_s_own_credentials() {
        let header = logins()
            .registry_auth(&"r.example:5000/team/app:1".parse().unwrap())
            .await
            .unwrap();
        let expected = json!({"username": "me", "password": "planted", "serveraddress": "r.example:5000"});
        assert_eq!(decode(&header), expected);
    }

    #[tokio::test]
    async fn another_registry_does_not_get_them() {
        let logins = logins();
        let header = logins
            .registry_auth(&"other.example/app".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(decode(&header), json!({}));
        let config = logins
            .registry_config(&["r.example:5000".to_owned(), "other.example".to_owned()].into())
            .await
            .unwrap();
        assert_eq!(
            decode(&config).as_object().unwrap().keys().collect::<Vec<_>>(),
            ["r.example:5000"]
        );
    }

    #[tokio::test]
    async fn buildkit_gets_them_by_host() {
        use wharf_buildkit::CredentialSource;
        let logins = logins();
        assert_eq!(
            logins
                .credentials("r.example:5000")
                .await
                .unwrap()
                .unwrap()
                .username,
            "me"
        );
        assert!(logins.credentials("other.example").await.unwrap().is_none());
        assert!(!format!("{logins:?}").contains("planted"));
    }
}
