//! What wharf asks registries.

use std::sync::Arc;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use wharf_core::registry::{CredentialSource, FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{ContainerRegistry, Digest, Error, ErrorKind, ImageReference, Result};

use crate::manifest::{self, RawManifest};
use crate::session::{Access, Call, Session, body, refusal};

/// The header in which a registry names the digest of what it sends.
const DIGEST_HEADER: &str = "docker-content-digest";

/// A client of one registry. Cloning is cheap, and clones share connections and tokens.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    registry: Arc<dyn ContainerRegistry>,
    session: Arc<Session>,
}

impl RegistryClient {
    /// A client of this registry. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfiguration`](ErrorKind::InvalidConfiguration) or [`Io`](ErrorKind::Io) when the registry's
    /// CA certificate cannot be used.
    pub fn new(registry: Arc<dyn ContainerRegistry>) -> Result<Self> {
        let session = Session::new(Arc::clone(&registry))
            .map_err(|error| error.with_context("registry", registry.uri()))?;
        Ok(Self {
            registry,
            session: Arc::new(session),
        })
    }

    /// A client of the registry where an image lives, with what Docker and Podman have stored for it.
    ///
    /// # Errors
    ///
    /// As [`RegistryClient::new`].
    pub fn for_image(image: &ImageReference) -> Result<Self> {
        let config = RegistryConfig {
            uri: image.domain().to_owned(),
            ..RegistryConfig::default()
        };
        Self::new(Arc::new(FlavoredRegistry::new(RegistryFlavor::Default, config)?))
    }

    /// The registry that this client talks to.
    #[must_use]
    pub fn registry(&self) -> &dyn ContainerRegistry {
        self.registry.as_ref()
    }

    /// The digest of an image as the registry has it; `None` when there is no such image. For an image of
    /// several platforms it is the digest of the index.
    ///
    /// # Errors
    ///
    /// Everything that keeps the registry from answering, with a kind by cause:
    /// [`Unauthenticated`](ErrorKind::Unauthenticated), [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`RateLimited`](ErrorKind::RateLimited), [`Unavailable`](ErrorKind::Unavailable),
    /// [`Timeout`](ErrorKind::Timeout), [`Unexpected`](ErrorKind::Unexpected).
    pub async fn digest_of(&self, image: &ImageReference) -> Result<Option<Digest>> {
        self.about(image, "find the image's digest", async {
            let response = self
                .session
                .send(&self.manifest_call(Method::HEAD, image)?)
                .await?;
            match response.status() {
                StatusCode::OK => match digest_header(&response) {
                    Some(digest) => self.same_as_asked(image, digest).map(Some),
                    None => self.read_digest(image).await,
                },
                StatusCode::NOT_FOUND => Ok(None),
                StatusCode::METHOD_NOT_ALLOWED => self.read_digest(image).await,
                _ => Err(refusal(response).await),
            }
        })
        .await
    }

    /// The manifest of an image, or its index, byte by byte as the registry has it. The bytes are checked
    /// against the digest by which they were asked for and against the one that the registry names.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when there is no such image, and as [`RegistryClient::digest_of`].
    pub async fn manifest(&self, image: &ImageReference) -> Result<RawManifest> {
        self.about(image, "read the image's manifest", self.read_manifest(image))
            .await
    }

    /// Checks that images can be pushed to a repository: begins an upload and cancels it. Ask
    /// [`prepare_push`](ContainerRegistry::prepare_push) first where repositories are made before they are
    /// used.
    ///
    /// Where a registry cannot cancel, or the call is dropped in between, an empty upload stays that the
    /// registry removes in time. Nothing that anybody could see is left.
    ///
    /// # Errors
    ///
    /// As [`RegistryClient::digest_of`]; [`NotFound`](ErrorKind::NotFound) when the repository must exist and
    /// does not.
    pub async fn check_push(&self, image: &ImageReference) -> Result<()> {
        self.about(image, "check that the image can be pushed", async {
            let url = self.session.url(&format!("{}/blobs/uploads/", image.path()))?;
            let begin = Call {
                method: Method::POST,
                url,
                image,
                access: Access::Push,
                headers: HeaderMap::new(),
                body: Some(bytes::Bytes::new()),
            };
            let response = self.session.send(&begin).await?;
            if response.status() != StatusCode::ACCEPTED {
                return Err(refusal(response).await);
            }
            self.cancel_upload(image, &response).await;
            Ok(())
        })
        .await
    }

    /// Checks the login: asks the registry to be let in, with the credentials for its default repository.
    /// Answers where the credentials came from; `None` when the registry lets everybody in.
    ///
    /// # Errors
    ///
    /// [`Unauthenticated`](ErrorKind::Unauthenticated) when the registry refuses the credentials or wants some
    /// and there are none; and as [`RegistryClient::digest_of`].
    pub async fn check_login(&self) -> Result<Option<CredentialSource>> {
        let image = self.registry.target_image(None, "latest")?;
        self.about(&image, "log in to the registry", async {
            let call = Call {
                method: Method::GET,
                url: self.session.url("")?,
                image: &image,
                access: Access::Login,
                headers: HeaderMap::new(),
                body: None,
            };
            let (response, grant) = self.session.authorized(&call).await?;
            match response.status().is_success() {
                true => Ok(grant.and_then(|grant| grant.source)),
                false => Err(refusal(response).await),
            }
        })
        .await
    }

    /// Gives an image that is in the registry another tag in the same repository, by sending its own manifest
    /// again: nothing else is moved, and the digest stays. A tag that has this digest already is left alone,
    /// so that immutable tags are no obstacle. The answer is the new name with the digest.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when the image is not there, [`Conflict`](ErrorKind::Conflict) when
    /// the tag means another image and is immutable; and as [`RegistryClient::digest_of`].
    pub async fn tag(&self, source: &ImageReference, new_tag: &str) -> Result<ImageReference> {
        let target = source.with_tag(new_tag)?;
        self.about(&target, "tag the image", async {
            let manifest = self.read_manifest(source).await?;
            if self.digest_of(&target).await?.as_ref() != Some(&manifest.digest) {
                self.write_manifest(&target, &manifest).await?;
            }
            Ok(target.with_digest(manifest.digest))
        })
        .await
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Runs an operation on an image of this registry and says in its errors what it was about.
    async fn about<T>(
        &self,
        image: &ImageReference,
        operation: &str,
        run: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = match image.domain() == self.registry.address().domain() {
            true => run.await,
            false => Err(Error::new(
                ErrorKind::InvalidInput,
                "the image lives in another registry",
            )),
        };
        result.map_err(|error| {
            error
                .with_operation(operation)
                .with_context("image", image.familiar())
                .with_context("registry", self.registry.uri())
        })
    }

    fn manifest_call<'a>(&self, method: Method, image: &'a ImageReference) -> Result<Call<'a>> {
        let name = image.digest().map_or(image.tag_or_latest(), Digest::as_str);
        let access = if method == Method::PUT {
            Access::Push
        } else {
            Access::Pull
        };
        Ok(Call {
            method,
            url: self.session.url(&format!("{}/manifests/{name}", image.path()))?,
            image,
            access,
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(manifest::ACCEPT))]),
            body: None,
        })
    }

    async fn read_manifest(&self, image: &ImageReference) -> Result<RawManifest> {
        let response = self
            .session
            .send(&self.manifest_call(Method::GET, image)?)
            .await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await);
        }
        let named = digest_header(&response);
        let media_type = header(&response, CONTENT_TYPE.as_str());
        let bytes = body(response).await?;
        for expected in [image.digest(), named.as_ref()].into_iter().flatten() {
            if !expected.matches(&bytes) {
                return Err(changed(expected));
            }
        }
        let media_type = manifest::media_type(media_type.as_deref(), &bytes)
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "the registry's answer is not a manifest"))?;
        let digest = image
            .digest()
            .cloned()
            .unwrap_or_else(|| Digest::of_bytes(&bytes));
        Ok(RawManifest {
            media_type,
            bytes,
            digest,
        })
    }

    /// The digest from the manifest itself, for registries that name none.
    async fn read_digest(&self, image: &ImageReference) -> Result<Option<Digest>> {
        match self.read_manifest(image).await {
            Ok(manifest) => Ok(Some(manifest.digest)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write_manifest(&self, target: &ImageReference, manifest: &RawManifest) -> Result<()> {
        let media_type = HeaderValue::from_str(&manifest.media_type)
            .map_err(|_| Error::new(ErrorKind::Unexpected, "the manifest's media type cannot be sent"))?;
        let call = Call {
            headers: HeaderMap::from_iter([(CONTENT_TYPE, media_type)]),
            body: Some(manifest.bytes.clone()),
            ..self.manifest_call(Method::PUT, target)?
        };
        let response = self.session.send(&call).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        match digest_header(&response) {
            Some(stored) if !stored.matches(&manifest.bytes) => Err(changed(&manifest.digest)),
            _ => Ok(()),
        }
    }

    fn same_as_asked(&self, image: &ImageReference, found: Digest) -> Result<Digest> {
        match image.digest() {
            Some(asked) if asked.algorithm() == found.algorithm() && *asked != found => Err(changed(asked)),
            Some(asked) => Ok(asked.clone()),
            None => Ok(found),
        }
    }

    /// Cancels an upload. That the push is allowed is known by now, so a failure changes nothing.
    async fn cancel_upload(&self, image: &ImageReference, begun: &Response) {
        let Some(url) = header(begun, LOCATION.as_str()).and_then(|to| begun.url().join(&to).ok()) else {
            return;
        };
        let call = Call {
            method: Method::DELETE,
            url,
            image,
            access: Access::Push,
            headers: HeaderMap::new(),
            body: None,
        };
        let _ = self.session.send(&call).await;
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

fn digest_header(response: &Response) -> Option<Digest> {
    header(response, DIGEST_HEADER)?.parse().ok()
}

fn changed(expected: &Digest) -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "the registry's content does not have the digest that it should have",
    )
    .with_context("expected", expected.as_str())
}
