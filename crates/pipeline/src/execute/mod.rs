//! From a plan to images: reuse what there is, build the rest, in parallel.
//!
//! Every image that is built gets a [content key](ContentKey): the checksum of everything that goes into it. After
//! the push the key becomes a tag of the same manifest, `wharf-<key>`. The next build anywhere, by anyone, with
//! the same key finds it with one request and only gives it another name; nothing is pulled, and no engine is
//! asked. Where the name is right already too, as it is when nothing changed, these are all requests there are: one
//! for each parent image, and two for each image.

mod demand;
mod image;
mod look;
mod scheduler;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use wharf_core::artifact_store::ArtifactStore;
use wharf_core::builder::ImageBuilder;
use wharf_core::event::EventSink;
use wharf_core::registry::ContainerRegistry;
use wharf_core::{Digest, Error};

pub use self::look::Sighting;
pub use crate::content::ContentKey;
use crate::content::ContentParts;
use crate::plan::PipelinePlan;

/// What a plan is executed with.
#[derive(Debug, Clone)]
pub struct Executor {
    /// Who builds.
    pub builder: Arc<dyn ImageBuilder>,
    /// Where images go; none: they stay with the builder.
    pub registry: Option<Arc<dyn ContainerRegistry>>,
    /// Where builders that need it put the context.
    pub artifact_store: Option<Arc<dyn ArtifactStore>>,
    /// How many images are built at once; none: as [`default_jobs`].
    pub jobs: Option<NonZeroUsize>,
    /// Whether images that exist may be used.
    pub reuse: bool,
    /// Stops everything when it fires.
    pub cancel: CancellationToken,
}

/// How many images are built at once where nobody says: on this machine one per two processors, but no more
/// than four, as each build is parallel in itself; elsewhere eight.
#[must_use]
pub fn default_jobs(builder: &dyn ImageBuilder) -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let jobs = if builder.is_building_locally() {
        (processors / 2).clamp(1, 4)
    } else {
        8
    };
    NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN)
}

/// How it went, image by image, in the order of the plan.
#[derive(Debug)]
pub struct Execution {
    /// The images.
    pub images: Vec<ImageResult>,
    /// How long all of it took.
    pub duration: Duration,
}

/// How it went for one image.
#[derive(Debug)]
pub struct ImageResult {
    /// The image's name, with its tag.
    pub image: String,
    /// The keys it was asked for under.
    pub keys: Vec<String>,
    /// The steps that run in it.
    pub steps: Vec<String>,
    /// The key of everything that goes into it; none where it was not built.
    pub content_key: Option<ContentKey>,
    /// The parts of what goes into it; none where it was not built.
    pub content: Option<ContentParts>,
    /// What came of it.
    pub state: ImageState,
}

/// What came of an image.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImageState {
    /// It is there.
    Ready(ReadyImage),
    /// It could not be built.
    Failed(Error),
    /// It was not tried, because the image that it is built on failed.
    Skipped {
        /// That image.
        because: String,
    },
    /// It was not built, because every image that is built on it was there already.
    Unneeded,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReadyImage {
    /// `repository@sha256:…` when it is in a registry, else its local name.
    pub reference: String,
    /// The digest, when it is in a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What was done for it.
    pub done: Done,
}

/// What was done for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It was built.
    Built,
    /// It was there, and got its name.
    Reused,
    /// The parent image got its name.
    Tagged,
    /// It is used as it is.
    Used,
}

impl Executor {
    /// Executes a plan. One failing image stops nothing that does not depend on it.
    ///
    /// # On cancel
    ///
    /// Builds that run are stopped, those that wait are not begun; both are [`ImageState::Failed`] with
    /// [`Cancelled`](wharf_core::ErrorKind::Cancelled).
    pub async fn run(&self, plan: &PipelinePlan, events: &EventSink) -> Execution {
        scheduler::run(self, plan, events).await
    }
}

impl Execution {
    /// The image for a key.
    #[must_use]
    pub fn image(&self, key: &str) -> Option<&ImageResult> {
        self.images
            .iter()
            .find(|image| image.keys.iter().any(|known| known == key))
    }

    /// The images that are not there, with the steps that have none.
    pub fn missing(&self) -> impl Iterator<Item = &ImageResult> {
        let is_missing =
            |state: &ImageState| matches!(state, ImageState::Failed(_) | ImageState::Skipped { .. });
        self.images.iter().filter(move |image| is_missing(&image.state))
    }
}

impl ImageResult {
    /// The image, if it is there.
    #[must_use]
    pub fn ready(&self) -> Option<&ReadyImage> {
        match &self.state {
            ImageState::Ready(image) => Some(image),
            _ => None,
        }
    }
}
