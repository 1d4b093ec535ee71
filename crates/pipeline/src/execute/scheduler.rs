//! Which image when: parents first, the rest as many at once as allowed.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, watch};
use wharf_core::event::EventSink;
use wharf_core::{Error, ErrorKind, Platform};

use super::image::{self, Parent};
use super::{ContentKey, Execution, Executor, ImageResult, ImageState, default_jobs};
use crate::plan::{ImagePlan, PipelinePlan};

/// How an image that others are built on came out; none: not yet.
type Outcome = Option<Result<Parent, String>>;

/// What all images of a plan share.
struct Shared<'a> {
    executor: &'a Executor,
    plan: &'a PipelinePlan,
    events: &'a EventSink,
    slots: Semaphore,
    /// The platform of images whose options name none.
    platform: Option<Platform>,
    outcomes: Vec<watch::Sender<Outcome>>,
}

pub(super) async fn run(executor: &Executor, plan: &PipelinePlan, events: &EventSink) -> Execution {
    let begin = Instant::now();
    let jobs = executor
        .jobs
        .unwrap_or_else(|| default_jobs(executor.builder.as_ref()));
    let shared = Shared {
        executor,
        plan,
        events,
        slots: Semaphore::new(jobs.get()),
        platform: default_platform(executor).await,
        outcomes: plan.images.iter().map(|_| watch::Sender::new(None)).collect(),
    };
    let shared = Arc::new(shared);
    let images = join_all((0..plan.images.len()).map(|at| one(Arc::clone(&shared), at))).await;
    Execution {
        images,
        duration: begin.elapsed(),
    }
}

/// The builder's own platform. An engine on this machine has that of this machine, whether it answers or not.
async fn default_platform(executor: &Executor) -> Option<Platform> {
    let builder = executor.builder.as_ref();
    let known = tokio::select! {
        biased;
        () = executor.cancel.cancelled() => None,
        known = builder.default_platform() => known,
    };
    let here = || builder.is_building_locally().then(Platform::of_this_machine);
    known.or_else(here)
}

async fn one(shared: Arc<Shared<'_>>, at: usize) -> ImageResult {
    let image = &shared.plan.images[at];
    let (state, content_key) = match parent_of(&shared, image).await {
        Ok(parent) => build(&shared, image, parent).await,
        Err(because) => (ImageState::Skipped { because }, None),
    };
    let outcome = match &state {
        ImageState::Ready(ready) => Ok(Parent {
            reference: ready.reference.clone(),
            content_key: content_key.clone(),
        }),
        _ => Err(image.image.clone()),
    };
    shared.outcomes[at].send_replace(Some(outcome));
    ImageResult {
        image: image.image.clone(),
        keys: image.keys.clone(),
        steps: image.steps.clone(),
        content_key,
        state,
    }
}

/// Waits for the image that this one is built on. The error is the name of one that is not there.
async fn parent_of(shared: &Shared<'_>, image: &ImagePlan) -> Result<Option<Parent>, String> {
    let Some(at) = image.built_on else { return Ok(None) };
    let mut outcome = shared.outcomes[at].subscribe();
    // The sender lives as long as the plan is executed.
    let known = outcome.wait_for(Option::is_some).await.map(|known| known.clone());
    match known {
        Ok(Some(Ok(parent))) => Ok(Some(parent)),
        Ok(Some(Err(because))) => Err(because),
        _ => Err(shared.plan.images[at].image.clone()),
    }
}

async fn build(
    shared: &Shared<'_>,
    image: &ImagePlan,
    parent: Option<Parent>,
) -> (ImageState, Option<ContentKey>) {
    let executor = shared.executor;
    let work = async {
        let slot = shared.slots.acquire().await;
        let _slot =
            slot.map_err(|source| Error::new(ErrorKind::Unexpected, "building stopped").with_source(source))?;
        let events = shared.events.clone().for_image(&image.image);
        image::make_ready(executor, image, parent, shared.platform.clone(), &events).await
    };
    let result = tokio::select! {
        biased;
        () = executor.cancel.cancelled() => Err(Error::cancelled("the build")),
        result = work => result,
    };
    match result {
        Ok((ready, key)) => (ImageState::Ready(ready), key),
        Err(error) => (
            ImageState::Failed(error.with_context("image", image.image.clone())),
            None,
        ),
    }
}
