//! A builder that builds nothing, for tests of what stands above builders.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::{BuildOutcome, BuildRequest, Capabilities, ContextTransfer, DockerfileDialect, ImageBuilder};
use crate::event::{
    BuildEvent, EventSink, ImageDigest, LogLine, Pushed, Queued, Step, StepId, StepState, Stream,
};
use crate::options::BuildOption;
use crate::{ArchiveFormat, Digest, Error, ErrorKind, Result};

/// Builds in memory: checks the request as a real builder does, reads the context, emits the events, and
/// answers with a digest that depends on what was asked. Equal requests give equal digests.
///
/// It is the flavor `memory`. Clones share what they remember.
#[derive(Debug, Clone, Default)]
pub struct MemoryImageBuilder {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    built: Vec<String>,
    failures: BTreeMap<String, String>,
}

impl MemoryImageBuilder {
    /// A builder that has built nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, builds of this image (in its familiar form) fail with the message.
    pub fn fail(&self, image: impl Into<String>, message: impl Into<String>) {
        self.lock().failures.insert(image.into(), message.into());
    }

    /// The images that were built, in order, in their familiar form.
    #[must_use]
    pub fn built(&self) -> Vec<String> {
        self.lock().built.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn run(&self, request: &BuildRequest, events: &EventSink) -> Result<Digest> {
        let name = request.image.familiar();
        events.send(BuildEvent::Queued(Queued {
            builder: self.flavor().into(),
            image: name.clone(),
        }));
        let dockerfile = request.context.dockerfile()?;
        let step = |state| {
            BuildEvent::Step(Step {
                id: StepId::new("dockerfile"),
                name: format!("read {}", dockerfile.name.display()),
                state,
                started: None,
                completed: None,
            })
        };
        events.send(step(StepState::Started));
        if let Some(error) = self.lock().failures.get(&name).cloned() {
            events.send(step(StepState::Failed { error: error.clone() }));
            return Err(Error::new(ErrorKind::BuildFailed, error).with_context("step", "dockerfile"));
        }
        let content = request.context.digest()?;
        events.send(BuildEvent::Log(LogLine {
            step: Some(StepId::new("dockerfile")),
            stream: Stream::Stdout,
            line: format!("context {content}"),
        }));
        events.send(step(StepState::Done));
        let mut hasher = Sha256::new();
        hasher.update(content.as_bytes());
        hasher.update(&dockerfile.content);
        hasher.update(format!("{:?}", request.options));
        Ok(Digest::of_bytes(&hasher.finalize()))
    }
}

#[async_trait]
impl ImageBuilder for MemoryImageBuilder {
    fn flavor(&self) -> &str {
        "memory"
    }

    fn is_building_locally(&self) -> bool {
        true
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            context: ContextTransfer::Archive(ArchiveFormat::Tar),
            dialect: DockerfileDialect::default(),
            options: BuildOption::ALL.into_iter().collect(),
            passes_unknown_options: true,
            live_logs: true,
            reports_cache: false,
            keeps_images: true,
            needs_registry: false,
            needs_artifact_store: Vec::new(),
        }
    }

    async fn build(&self, request: BuildRequest, events: EventSink) -> Result<BuildOutcome> {
        let begin = Instant::now();
        request.check_names()?;
        if request.cancel.is_cancelled() {
            return Err(Error::cancelled("the build"));
        }
        let digest = self.run(&request, &events)?;
        let mut outcome = BuildOutcome {
            image: request.image.clone(),
            digest: None,
            image_id: Some(digest.to_string()),
            tags: request.tags.clone(),
            builder: self.flavor().into(),
            duration: begin.elapsed(),
        };
        if request.registry.is_some() {
            outcome.digest = Some(digest);
            events.send(BuildEvent::Pushed(Pushed {
                reference: request.image.to_string(),
            }));
            events.send(BuildEvent::Digest(ImageDigest {
                reference: outcome.reference(),
            }));
        }
        self.lock().built.push(request.image.familiar());
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{BuildContext, FileSource};

    fn request(text: &'static str) -> BuildRequest {
        let mut context = BuildContext::empty();
        context
            .add_file(
                "Dockerfile",
                FileSource::Bytes(Bytes::from_static(text.as_bytes())),
                None,
            )
            .unwrap();
        BuildRequest::new("app:1".parse().unwrap(), context)
    }

    #[tokio::test]
    async fn equal_requests_give_equal_digests_and_others_do_not() {
        let builder = MemoryImageBuilder::new();
        let mut ids = Vec::new();
        for text in ["FROM a", "FROM a", "FROM b"] {
            let outcome = builder.build(request(text), EventSink::discard()).await.unwrap();
            ids.push(outcome.image_id.unwrap());
        }
        assert_eq!(ids[0], ids[1]);
        assert_ne!(ids[1], ids[2]);
        assert_eq!(builder.built(), ["app:1", "app:1", "app:1"]);
    }

    #[tokio::test]
    async fn a_scripted_failure_names_the_step() {
        let builder = MemoryImageBuilder::new();
        builder.fail("app:1", "exit code 1");
        let (sink, mut events) = EventSink::channel();
        let error = builder.build(request("FROM a"), sink).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BuildFailed);
        let failed = events.drain().into_iter().any(|event| {
            matches!(
                event.event,
                BuildEvent::Step(Step {
                    state: StepState::Failed { .. },
                    ..
                })
            )
        });
        assert!(failed && builder.built().is_empty());
    }

    #[tokio::test]
    async fn a_fired_token_stops_the_build() {
        let request = request("FROM a");
        request.cancel.cancel();
        let error = MemoryImageBuilder::new()
            .build(request, EventSink::discard())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
