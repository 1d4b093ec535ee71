//! Which image when. Every image is looked for first, all at the same time; what is not there is built, parents
//! first, as many at once as allowed. A parent is built only when something is to be built on it.

use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, watch};
use wharf_core::event::EventSink;
use wharf_core::{Error, ErrorKind, Result};

use super::demand::Demand;
use super::image::{self, Prepared, Shared};
use super::{Execution, Executor, ImageResult, ImageState, default_jobs};
use crate::content::{ContentKey, ContentParts};
use crate::plan::{ImagePlan, PipelinePlan};

/// How many images are looked for at once.
const LOOKUPS: usize = 16;

/// What other images wait for: the key of one that they are built on, then the image itself. The error is that it
/// is not there.
#[derive(Debug)]
struct Progress {
    key: watch::Sender<Option<Result<ContentKey, ()>>>,
    image: watch::Sender<Option<Result<(), ()>>>,
    demand: Demand,
}

struct Run<'a> {
    shared: Shared<'a>,
    plan: &'a PipelinePlan,
    events: &'a EventSink,
    lookups: Semaphore,
    slots: Semaphore,
    progress: Vec<Progress>,
}

pub(super) async fn run(executor: &Executor, plan: &PipelinePlan, events: &EventSink) -> Execution {
    let begin = Instant::now();
    let jobs = executor
        .jobs
        .unwrap_or_else(|| default_jobs(executor.builder.as_ref()));
    let users = |at: usize| {
        plan.images
            .iter()
            .filter(|image| image.built_on == Some(at))
            .count()
    };
    let progress = |at| Progress {
        key: watch::Sender::new(None),
        image: watch::Sender::new(None),
        demand: Demand::of(users(at)),
    };
    let run = Run {
        shared: Shared::new(executor),
        plan,
        events,
        lookups: Semaphore::new(LOOKUPS),
        slots: Semaphore::new(jobs.get()),
        progress: (0..plan.images.len()).map(progress).collect(),
    };
    let images = join_all((0..plan.images.len()).map(|at| run.one(at))).await;
    Execution {
        images,
        duration: begin.elapsed(),
    }
}

impl Run<'_> {
    async fn one(&self, at: usize) -> ImageResult {
        let image = &self.plan.images[at];
        let mut key = None;
        let work = self.make_ready(at, &mut key);
        let result = tokio::select! {
            biased;
            () = self.shared.executor.cancel.cancelled() => Err(Error::cancelled("the build")),
            result = work => result,
        };
        let state = result
            .unwrap_or_else(|error| ImageState::Failed(error.with_context("image", image.image.clone())));
        let progress = &self.progress[at];
        let is_there = matches!(state, ImageState::Ready(_));
        progress
            .key
            .send_if_modified(|known| known.is_none().then(|| *known = Some(Err(()))).is_some());
        progress
            .image
            .send_replace(Some(is_there.then_some(()).ok_or(())));
        let (content_key, content) = key.unzip();
        ImageResult {
            image: image.image.clone(),
            keys: image.keys.clone(),
            steps: image.steps.clone(),
            content_key,
            content,
            state,
        }
    }

    async fn make_ready(
        &self,
        at: usize,
        key: &mut Option<(ContentKey, ContentParts)>,
    ) -> Result<ImageState> {
        let image = &self.plan.images[at];
        let events = self.events.clone().for_image(&image.image);
        let Some(instructions) = &image.instructions else {
            let _slot = slot(&self.slots).await?;
            return Ok(ImageState::Ready(
                image::without_build(&self.shared, image, &events).await?,
            ));
        };
        let prepared = match self.prepare(at, &events).await {
            Ok(Some(prepared)) => prepared,
            failed => {
                self.decide(image, false);
                let because = |parent: usize| self.plan.images[parent].image.clone();
                let because = image.built_on.map(because).unwrap_or_default();
                return failed.map(|_| ImageState::Skipped { because });
            }
        };
        *key = Some((prepared.key.clone(), prepared.parts.clone()));
        if is_only_parent(image) && !self.progress[at].demand.is_wanted().await {
            return Ok(ImageState::Unneeded);
        }
        let found = image::find(&self.shared, image, &prepared, &events).await;
        self.decide(image, matches!(found, Ok(None)));
        if let Some(ready) = found? {
            return Ok(ImageState::Ready(ready));
        }
        if let Some(because) = self.missing_parent(image).await {
            return Ok(ImageState::Skipped { because });
        }
        let _slot = slot(&self.slots).await?;
        let ready = image::build(&self.shared, image, instructions, prepared, &events).await?;
        Ok(ImageState::Ready(ready))
    }

    /// Reads what goes into an image and tells its key to those built on it. None: the image that it is built on
    /// has no key, as something is wrong with it.
    async fn prepare(&self, at: usize, events: &EventSink) -> Result<Option<Prepared>> {
        let image = &self.plan.images[at];
        let mut parent = None;
        if let Some(on) = image.built_on {
            let Some(key) = self.key_of(on).await else {
                return Ok(None);
            };
            parent = Some((self.plan.images[on].image.as_str(), key));
        }
        let _lookup = slot(&self.lookups).await?;
        let prepared = image::prepare(&self.shared, image, parent, events).await?;
        let key = prepared.key.clone();
        self.progress[at].key.send_replace(Some(Ok(key)));
        Ok(Some(prepared))
    }

    /// Says whether the image that another is built on is wanted for it.
    fn decide(&self, image: &ImagePlan, is_wanted: bool) {
        if let Some(parent) = image.built_on {
            self.progress[parent].demand.decide(is_wanted);
        }
    }

    async fn key_of(&self, at: usize) -> Option<ContentKey> {
        let mut key = self.progress[at].key.subscribe();
        // The sender lives as long as the plan is executed.
        let known = key.wait_for(Option::is_some).await.ok()?;
        known.clone()?.ok()
    }

    /// Waits for the image that this one is built on, and names it if it is not there.
    async fn missing_parent(&self, image: &ImagePlan) -> Option<String> {
        let parent = image.built_on?;
        let mut state = self.progress[parent].image.subscribe();
        let known = state.wait_for(Option::is_some).await.map(|known| *known);
        match known {
            Ok(Some(Ok(()))) => None,
            _ => Some(self.plan.images[parent].image.clone()),
        }
    }
}

/// Whether an image is there for others alone.
fn is_only_parent(image: &ImagePlan) -> bool {
    image.keys.is_empty()
}

async fn slot(slots: &Semaphore) -> Result<tokio::sync::SemaphorePermit<'_>> {
    slots
        .acquire()
        .await
        .map_err(|source| Error::new(ErrorKind::Unexpected, "building stopped").with_source(source))
}
