//! The configuration of an image: its environment, labels, user, history.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use wharf_core::{Digest, Error, ErrorKind, ImageReference, Result};

use crate::client::RegistryClient;
use crate::session::{Access, Call, body, refusal};

/// What a manifest or an index says about where the configuration is.
#[derive(Deserialize)]
struct Pointers {
    config: Option<Pointer>,
    #[serde(default)]
    manifests: Vec<Pointer>,
}

#[derive(Deserialize)]
struct Pointer {
    digest: String,
}

impl RegistryClient {
    /// The configuration of an image as the OCI image specification has it: environment, labels, user,
    /// history. Of an image for several platforms, that of the first.
    ///
    /// # Errors
    ///
    /// As [`RegistryClient::manifest`]; [`Unexpected`](ErrorKind::Unexpected) when what is behind the name is
    /// no image.
    pub async fn config(&self, image: &ImageReference) -> Result<serde_json::Value> {
        let mut pointers = self.pointers(image).await?;
        if let (None, Some(first)) = (&pointers.config, pointers.manifests.first()) {
            let one = image.without_tag().with_digest(first.digest.parse()?);
            pointers = self.pointers(&one).await?;
        }
        let config = pointers.config.ok_or_else(|| not_an_image(image))?;
        let bytes = self.blob(image, &config.digest.parse()?).await?;
        serde_json::from_slice(&bytes).map_err(|source| not_an_image(image).with_source(source))
    }

    async fn pointers(&self, image: &ImageReference) -> Result<Pointers> {
        let manifest = self.manifest(image).await?;
        serde_json::from_slice(&manifest.bytes).map_err(|source| not_an_image(image).with_source(source))
    }

    async fn blob(&self, image: &ImageReference, digest: &Digest) -> Result<bytes::Bytes> {
        let call = Call {
            method: Method::GET,
            url: self.session().url(&format!("{}/blobs/{digest}", image.path()))?,
            image,
            access: Access::Pull,
            headers: HeaderMap::new(),
            body: None,
        };
        let response = self.session().send(&call).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await.with_context("image", image.familiar()));
        }
        let bytes = body(response).await?;
        match digest.matches(&bytes) {
            true => Ok(bytes),
            false => Err(Error::new(
                ErrorKind::Unexpected,
                "the registry sent other bytes than it was asked for",
            )
            .with_context("digest", digest.to_string())),
        }
    }
}

fn not_an_image(image: &ImageReference) -> Error {
    Error::new(ErrorKind::Unexpected, "what the registry has there is no image")
        .with_context("image", image.familiar())
}
