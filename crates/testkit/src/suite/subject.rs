//! A builder under test and what it is tested with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use wharf_core::builder::{BuildOutcome, BuildRequest, ImageBuilder};
use wharf_core::event::{BuildEvent, EventSink};
use wharf_core::registry::ContainerRegistry;
use wharf_core::{BuildContext, ImageReference, Result};

/// A builder under test and what it is tested with.
#[derive(Debug)]
pub struct Subject {
    /// The builder.
    pub builder: Arc<dyn ImageBuilder>,
    /// A registry that builder and test reach, without a password.
    pub registry: Arc<dyn ContainerRegistry>,
    /// A registry with a password; the component knows a wrong one.
    pub closed_registry: Arc<dyn ContainerRegistry>,
    /// An image with a shell and busybox's commands that the builder can start from.
    pub parent_image: String,
}

/// A build that ended, and everything it told.
#[derive(Debug)]
pub struct Built {
    /// The image's name.
    pub image: ImageReference,
    /// How it ended.
    pub result: Result<BuildOutcome>,
    /// What was told meanwhile.
    pub events: Vec<BuildEvent>,
}

impl Built {
    /// The lines of output.
    pub fn log(&self) -> String {
        let lines = self.events.iter().filter_map(|event| match event {
            BuildEvent::Log(line) => Some(line.line.as_str()),
            _ => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The outcome of a build that had to succeed.
    #[track_caller]
    pub fn outcome(&self) -> &BuildOutcome {
        match &self.result {
            Ok(outcome) => outcome,
            Err(error) => panic!("{}\n{}", error.report(), self.log()),
        }
    }

    /// The error of a build that had to fail.
    #[track_caller]
    pub fn error(&self) -> &wharf_core::Error {
        match &self.result {
            Ok(outcome) => panic!("the build succeeded: {}", outcome.reference()),
            Err(error) => error,
        }
    }
}

impl Subject {
    /// A name in the registry that no other test uses.
    #[must_use]
    pub fn new_image(&self, case: &str) -> ImageReference {
        name(self.registry.as_ref(), case)
    }

    /// A request for a Dockerfile and other files, to be pushed. The directory is removed when the guard is
    /// dropped. `PARENT` in the Dockerfile stands for the parent image.
    #[must_use]
    pub fn request(&self, case: &str, dockerfile: &str, files: &[(&str, &str)]) -> (BuildRequest, TempDir) {
        let directory = directory(&dockerfile.replace("PARENT", &self.parent_image), files);
        let context = BuildContext::new(directory.path());
        let mut request = BuildRequest::new(self.new_image(case), context);
        request.registry = Some(self.registry.clone());
        (request, directory)
    }

    /// Builds.
    pub async fn build(&self, request: BuildRequest) -> Built {
        let (sink, mut stream) = EventSink::channel();
        let image = request.image.clone();
        let result = self.builder.build(request, sink).await;
        let events = stream.drain().into_iter().map(|event| event.event).collect();
        Built {
            image,
            result,
            events,
        }
    }

    /// Builds a Dockerfile with files.
    pub async fn build_files(&self, case: &str, dockerfile: &str, files: &[(&str, &str)]) -> Built {
        let (request, _directory) = self.request(case, dockerfile, files);
        self.build(request).await
    }
}

/// A name in a registry that no other test uses.
pub(super) fn name(registry: &dyn ContainerRegistry, case: &str) -> ImageReference {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let tag = format!("{}-{count}", std::process::id());
    let image = registry.target_image(Some(&format!("suite/{}", case.replace('_', "-"))), &tag);
    image.unwrap_or_else(|error| panic!("{}", error.report()))
}

/// A directory with a Dockerfile and files.
pub(super) fn directory(dockerfile: &str, files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    for (name, content) in std::iter::once(&("Dockerfile", dockerfile)).chain(files) {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, content).expect("a file");
    }
    directory
}
