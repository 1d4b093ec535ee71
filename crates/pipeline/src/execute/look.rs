//! Looking at what there is, without building anything.

use futures_util::future::try_join_all;
use wharf_core::event::EventSink;
use wharf_core::{Digest, Error, Result};

use super::Executor;
use super::image::{self, Prepared, Shared};
use crate::content::{ContentKey, ContentParts};
use crate::plan::{ImagePlan, PipelinePlan};

/// What is known about an image of a plan before it is built.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// The key of everything that goes into it.
    pub key: ContentKey,
    /// The parts of that.
    pub content: ContentParts,
    /// The digest under which its repository has an image with this key; none: it has none.
    pub digest: Option<Digest>,
}

impl Executor {
    /// Asks registries what the parents of a plan's images mean, and which images are there already. The answer
    /// has an entry for each image of the plan; none: nothing is built for it. Nothing is built, tagged or pulled,
    /// and no engine is asked.
    ///
    /// A parent whose registry does not answer is warned of in `events`, and taken by its name.
    ///
    /// # Errors
    ///
    /// When a file of a context cannot be read, the registry that images go to does not answer, or with
    /// [`Cancelled`](wharf_core::ErrorKind::Cancelled).
    pub async fn look(&self, plan: &PipelinePlan, events: &EventSink) -> Result<Vec<Option<Sighting>>> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::cancelled("looking for images")),
            sightings = self.look_at_all(plan, events) => sightings,
        }
    }

    async fn look_at_all(&self, plan: &PipelinePlan, events: &EventSink) -> Result<Vec<Option<Sighting>>> {
        let shared = Shared::new(self);
        let mut all: Vec<Option<Prepared>> = Vec::new();
        for image in &plan.images {
            let key = image
                .built_on
                .and_then(|at| Some((at, all.get(at)?.as_ref()?.key.clone())));
            let parent = key.map(|(at, key)| (plan.images[at].image.as_str(), key));
            let prepared = match image.instructions {
                Some(_) => Some(image::prepare(&shared, image, parent, events).await?),
                None => None,
            };
            all.push(prepared);
        }
        let pairs = plan.images.iter().zip(all);
        try_join_all(pairs.map(|(image, prepared)| sighting(&shared, image, prepared))).await
    }
}

async fn sighting(
    shared: &Shared<'_>,
    image: &ImagePlan,
    prepared: Option<Prepared>,
) -> Result<Option<Sighting>> {
    let Some(prepared) = prepared else {
        return Ok(None);
    };
    let digest = image::digest_by_key(shared, image, &prepared.key).await?;
    Ok(Some(Sighting {
        key: prepared.key,
        content: prepared.parts,
        digest,
    }))
}
