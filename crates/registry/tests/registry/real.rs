//! The same client and a real registry: `WHARF_TEST_REGISTRY` is one without passwords (`host:port`),
//! `WHARF_TEST_REGISTRY_AUTH` one with a password (`user:password@host:port`).

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use wharf_core::registry::{DockerConfigLocator, FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{Digest, ErrorKind, ImageReference, Secret};
use wharf_registry::RegistryClient;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry from an environment variable.
struct Real {
    host: String,
    login: Option<(String, String)>,
}

impl Real {
    fn from_variable(name: &str) -> Self {
        let text = std::env::var(name).unwrap_or_else(|_| panic!("{name} must name a registry"));
        match text.rsplit_once('@') {
            Some((login, host)) => {
                let (user, password) = login.split_once(':').unwrap();
                Self {
                    host: host.to_owned(),
                    login: Some((user.to_owned(), password.to_owned())),
                }
            }
            None => Self {
                host: text,
                login: None,
            },
        }
    }

    fn client(&self, login: Option<(&str, &str)>) -> RegistryClient {
        let config = RegistryConfig {
            uri: self.host.clone(),
            username: login.map(|(user, _)| user.to_owned()),
            password: login.map(|(_, password)| Secret::new(password)),
            ..RegistryConfig::default()
        };
        let registry = FlavoredRegistry::new(RegistryFlavor::Default, config).unwrap();
        RegistryClient::new(Arc::new(registry.with_locator(DockerConfigLocator::empty()))).unwrap()
    }

    fn known(&self) -> RegistryClient {
        self.client(
            self.login
                .as_ref()
                .map(|(user, password)| (user.as_str(), password.as_str())),
        )
    }

    fn request(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        let tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(tls)
            .build()
            .unwrap();
        let request = http.request(method, url);
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    /// Pushes an image without layers, and says its digest.
    async fn push(&self, image: &ImageReference) -> Digest {
        let base = format!("http://{}/v2/{}", self.host, image.path());
        let config = "{}";
        let digest = Digest::of_bytes(config.as_bytes());
        let begun = self
            .request(reqwest::Method::POST, &format!("{base}/blobs/uploads/"))
            .send()
            .await
            .unwrap();
        let mut upload = begun
            .url()
            .join(begun.headers()[LOCATION].to_str().unwrap())
            .unwrap();
        upload.query_pairs_mut().append_pair("digest", digest.as_str());
        let put = self
            .request(reqwest::Method::PUT, upload.as_str())
            .body(config)
            .send()
            .await
            .unwrap();
        assert_eq!(put.status(), 201);
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": digest},
            "layers": [],
        });
        let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
        let digest = Digest::of_bytes(&bytes);
        let put = self
            .request(
                reqwest::Method::PUT,
                &format!("{base}/manifests/{}", image.tag_or_latest()),
            )
            .header(CONTENT_TYPE, MANIFEST)
            .body(bytes)
            .send()
            .await
            .unwrap();
        assert_eq!(put.status(), 201);
        digest
    }

    /// A repository that no other run of the tests uses.
    fn image(&self, name: &str) -> ImageReference {
        let unique = std::process::id();
        format!("{}/wharf-test/{name}-{unique}:1", self.host)
            .parse()
            .unwrap()
    }
}

/// Everything the client does, against a registry that lets this client in.
async fn everything(real: &Real, name: &str) {
    let (client, image) = (real.known(), real.image(name));
    client.check_login().await.unwrap();
    assert_eq!(client.digest_of(&image).await.unwrap(), None);
    client.check_push(&image).await.unwrap();
    assert_eq!(
        client.digest_of(&image).await.unwrap(),
        None,
        "the check leaves nothing"
    );
    let digest = real.push(&image).await;
    assert_eq!(client.digest_of(&image).await.unwrap(), Some(digest.clone()));
    let pinned = image.without_tag().with_digest(digest.clone());
    let tagged = client.tag(&pinned, "other").await.unwrap();
    assert_eq!(tagged.digest(), Some(&digest));
    assert_eq!(
        client.digest_of(&image.with_tag("other").unwrap()).await.unwrap(),
        Some(digest.clone())
    );
    let manifest = client.manifest(&image).await.unwrap();
    assert_eq!(
        (manifest.media_type.as_str(), manifest.digest),
        (MANIFEST, digest)
    );
    let missing = image.with_digest(Digest::of_bytes(b"no such manifest"));
    assert_eq!(
        client.tag(&missing, "x").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
#[ignore = "needs a registry"]
async fn a_registry_without_passwords_serves_the_client() {
    everything(&Real::from_variable("WHARF_TEST_REGISTRY"), "open").await;
}

#[tokio::test]
#[ignore = "needs a registry"]
async fn a_registry_with_passwords_serves_the_client() {
    let real = Real::from_variable("WHARF_TEST_REGISTRY_AUTH");
    everything(&real, "closed").await;
    let image = real.image("closed");
    for stranger in [real.client(None), real.client(Some(("nobody", "planted")))] {
        for error in [
            stranger.digest_of(&image).await.unwrap_err(),
            stranger.check_push(&image).await.unwrap_err(),
            stranger.check_login().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(!format!("{error:?}").contains("planted"));
        }
    }
}
