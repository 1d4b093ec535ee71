//! What a build is asked, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::artifact_store::ArtifactStore;
use crate::options::DockerBuildOptions;
use crate::registry::ContainerRegistry;
use crate::{BuildContext, Digest, Error, ErrorKind, ImageReference, Result};

/// Everything a builder needs to know about one image.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The name of the image; a missing tag means `latest`.
    pub image: ImageReference,
    /// More names for the same image.
    pub tags: Vec<ImageReference>,
    /// The files of the build, its Dockerfile among them.
    pub context: BuildContext,
    /// How to build.
    pub options: DockerBuildOptions,
    /// Where to push; none: the image stays with the builder.
    pub registry: Option<Arc<dyn ContainerRegistry>>,
    /// Where builders that need it put the context.
    pub artifact_store: Option<Arc<dyn ArtifactStore>>,
    /// Stops the build when it fires.
    pub cancel: CancellationToken,
}

impl BuildRequest {
    /// A request with no options, no registry and a token that never fires.
    #[must_use]
    pub fn new(image: ImageReference, context: BuildContext) -> Self {
        Self {
            image,
            tags: Vec::new(),
            context,
            options: DockerBuildOptions::default(),
            registry: None,
            artifact_store: None,
            cancel: CancellationToken::new(),
        }
    }

    /// The image and its other names.
    pub fn all_names(&self) -> impl Iterator<Item = &ImageReference> {
        std::iter::once(&self.image).chain(&self.tags)
    }

    /// The same names, `latest` standing where there is no tag.
    ///
    /// # Errors
    ///
    /// None for names that [`check_names`](Self::check_names) has passed.
    pub fn tagged_names(&self) -> Result<Vec<ImageReference>> {
        self.all_names()
            .map(|name| name.with_tag(name.tag_or_latest()))
            .collect()
    }

    /// Checks what is the same for every builder: no name carries a digest, and every name belongs to the
    /// registry the image is to be pushed to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] naming the first name that is wrong and what to write instead.
    pub fn check_names(&self) -> Result<()> {
        self.all_names().try_for_each(|name| self.check_name(name))
    }

    fn check_name(&self, name: &ImageReference) -> Result<()> {
        if name.digest().is_some() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("the image to build is named by a digest: {name}"),
            )
            .with_hint("A digest is the result of a build. Name the image by a tag."));
        }
        let Some(registry) = &self.registry else {
            return Ok(());
        };
        if registry.contains(name) {
            return Ok(());
        }
        let suggestion = format!("{}/{}:{}", registry.uri(), name.path(), name.tag_or_latest());
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "the image `{}` does not belong to the registry `{}`",
                name.familiar(),
                registry.uri()
            ),
        )
        .with_hint(format!(
            "Name it {suggestion}, or push to the registry it belongs to."
        )))
    }
}

/// What a build that succeeded answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuildOutcome {
    /// The name of the image, with its tag.
    pub image: ImageReference,
    /// The digest of the image's manifest as the registry has it; none: it was not pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The engine's id of the image, where it keeps images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// The other names of the image.
    pub tags: Vec<ImageReference>,
    /// The flavor that built it.
    pub builder: String,
    /// How long it took, in seconds.
    #[serde(rename = "duration_seconds", serialize_with = "seconds")]
    pub duration: Duration,
}

impl BuildOutcome {
    /// The one name of the result: `repository@sha256:…` when the image was pushed, else the local
    /// reference.
    #[must_use]
    pub fn reference(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.image.repository()),
            None => self.image.familiar(),
        }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}
