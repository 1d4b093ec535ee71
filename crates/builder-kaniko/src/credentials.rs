//! What the executor needs to log in to the registry and to trust it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wharf_core::registry::{ContainerRegistry, RegistryAuth};
use wharf_core::{Error, ErrorKind, ImageReference, Result, Secret};

/// The key of Docker Hub's credentials in Docker's configuration.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What is handed to the executor in a Secret of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    /// Docker's `config.json` with the registry's credentials in it, and no others.
    pub(crate) docker_config: Option<Secret>,
    /// Certificates to trust, in PEM form.
    pub(crate) ca: Option<Secret>,
}

impl Handover {
    /// Asks the registry component for its credentials and certificates.
    ///
    /// # Errors
    ///
    /// What the component answers, and [`ErrorKind::Io`] for a file of certificates that cannot be read.
    pub(crate) async fn of(registry: &dyn ContainerRegistry, image: &ImageReference) -> Result<Self> {
        let credentials = registry.credentials(image).await?;
        let ca = registry.ca_certificate().map(|path| {
            let text = std::fs::read_to_string(path);
            text.map(Secret::new)
                .map_err(|error| Error::io("the CA certificate cannot be read", path, error))
        });
        Ok(Self {
            docker_config: credentials
                .map(|found| docker_config(image.domain(), &found.auth))
                .transpose()?,
            ca: ca.transpose()?,
        })
    }
}

fn docker_config(domain: &str, auth: &RegistryAuth) -> Result<Secret> {
    let key = if domain == "docker.io" {
        DOCKER_HUB_KEY
    } else {
        domain
    };
    let entry = entry(auth).ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "these credentials cannot be handed to Kaniko",
        )
        .with_context("registry", domain)
    })?;
    Ok(Secret::new(json!({"auths": {key: entry}}).to_string()))
}

fn entry(auth: &RegistryAuth) -> Option<Value> {
    match auth {
        RegistryAuth::Basic { username, password } => {
            let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
            Some(json!({"auth": pair}))
        }
        RegistryAuth::IdentityToken(token) => Some(json!({"identitytoken": token.expose()})),
        RegistryAuth::Bearer(token) => Some(json!({"registrytoken": token.expose()})),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use wharf_core::registry::{DockerConfigLocator, FlavoredRegistry, RegistryConfig, RegistryFlavor};

    use super::*;

    async fn handover(uri: &str, login: bool) -> Handover {
        let config = RegistryConfig {
            uri: uri.into(),
            username: login.then(|| "me".into()),
            password: login.then(|| "planted".into()),
            ..RegistryConfig::default()
        };
        let registry = FlavoredRegistry::new(RegistryFlavor::Default, config)
            .unwrap()
            .with_locator(DockerConfigLocator::empty());
        let image = registry.target_image(Some("team/app"), "1").unwrap();
        Handover::of(&registry, &image).await.unwrap()
    }

    #[tokio::test]
    async fn the_registry_s_credentials_become_docker_s_configuration() {
        for (uri, key) in [
            ("r.example:5000", "r.example:5000"),
            ("docker.io", DOCKER_HUB_KEY),
        ] {
            let handover = handover(uri, true).await;
            assert!(!format!("{handover:?}").contains("planted"));
            let text = handover.docker_config.unwrap();
            let config: Value = serde_json::from_str(text.expose()).unwrap();
            assert_eq!(config, json!({"auths": {key: {"auth": "bWU6cGxhbnRlZA=="}}}));
        }
    }

    #[tokio::test]
    async fn without_credentials_nothing_is_handed_over() {
        let handover = handover("r.example", false).await;
        assert!(handover.docker_config.is_none() && handover.ca.is_none());
    }
}
