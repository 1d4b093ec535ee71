//! A CodeBuild with a bucket and a project, and a builder that uses them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use wharf::aws::S3ArtifactStore;
use wharf::codebuild::AwsImageBuilder;
use wharf::core::artifact_store::ArtifactStore;
use wharf::core::builder::ImageBuilder;
use wharf::core::builder::{BuildOutcome, BuildRequest};
use wharf::core::event::{BuildEvent, EventSink};
use wharf::core::flavor::read_config;
use wharf::core::{BuildContext, ContainerRegistry, Result};
use wharf_testkit::codebuild::{Behaviour, CodeBuild};
use wharf_testkit::services;

/// How often tests ask for the state of a build.
const INTERVAL: Duration = Duration::from_millis(250);

/// Everything one test needs, under a name that no other test has.
pub(super) struct Setup {
    pub(super) service: CodeBuild,
    pub(super) name: String,
    pub(super) registry: Arc<dyn ContainerRegistry>,
}

/// A build that ended.
pub(super) struct Ended {
    pub(super) result: Result<BuildOutcome>,
    pub(super) events: Vec<BuildEvent>,
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// A name that is a bucket's, a project's and a repository's.
pub(super) fn unique(what: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{count}", std::process::id())
}

impl Setup {
    pub(super) async fn new() -> Self {
        Self::with(Behaviour::default()).await
    }

    pub(super) async fn with(behaviour: Behaviour) -> Self {
        let service = CodeBuild::start(&services::amazon(), &services::engine(), behaviour).await;
        let name = unique("wharf-test");
        service.make(&name).await;
        Self {
            service,
            name,
            registry: services::open_registry(),
        }
    }

    pub(super) fn credentials(&self) -> Value {
        json!({
            "auth_method": "secret-key", "aws_access_key_id": "caller", "aws_secret_access_key": "caller",
            "region": "us-east-1", "endpoint_url": self.service.url(),
        })
    }

    /// The builder, with these settings over those of every test.
    pub(super) fn builder(&self, settings: Value) -> AwsImageBuilder {
        let mut config = object(json!({
            "code_build_project": self.name,
            "build_image": services::codebuild_image(),
            "implicit_container_registry_auth": false,
            "credentials": self.credentials(),
        }));
        config.extend(object(settings));
        AwsImageBuilder::new(read_config(config).unwrap())
            .unwrap()
            .with_interval(INTERVAL)
    }

    pub(super) fn store(&self, settings: Value) -> Arc<S3ArtifactStore> {
        let path = format!("s3://{}/store", self.name);
        let mut config = object(json!({"path": path, "credentials": self.credentials()}));
        config.extend(object(settings));
        Arc::new(S3ArtifactStore::new(read_config(config).unwrap()).unwrap())
    }

    /// A request for a Dockerfile and other files; `PARENT` is an image with BusyBox. The directory goes with the guard.
    pub(super) fn request(&self, dockerfile: &str, files: &[(&str, &str)]) -> (BuildRequest, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let dockerfile = dockerfile.replace("PARENT", &services::busybox_image());
        for (name, content) in files.iter().copied().chain([("Dockerfile", dockerfile.as_str())]) {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let image = self
            .registry
            .target_image(Some(&unique("amazon/app")), "1")
            .unwrap();
        let mut request = BuildRequest::new(image, BuildContext::new(directory.path()));
        request.registry = Some(Arc::clone(&self.registry));
        request.artifact_store = Some(self.store(json!({})));
        (request, directory)
    }

    pub(super) async fn build(&self, builder: &dyn ImageBuilder, request: BuildRequest) -> Ended {
        let (sink, mut stream) = EventSink::channel();
        let result = builder.build(request, sink).await;
        let events = stream.drain().into_iter().map(|event| event.event).collect();
        Ended { result, events }
    }

    /// Builds a Dockerfile with these settings of the builder.
    pub(super) async fn build_file(&self, settings: Value, dockerfile: &str) -> Ended {
        let (request, _directory) = self.request(dockerfile, &[]);
        self.build(&self.builder(settings), request).await
    }

    /// What a build must never leave: objects, parts of objects, containers.
    pub(super) async fn assert_nothing_is_left(&self) {
        assert_eq!(self.service.objects(&self.name).await, Vec::<String>::new());
        assert_eq!(self.service.unfinished_uploads(&self.name).await, 0);
    }

    /// How often an operation was called.
    pub(super) fn count(&self, operation: &str) -> usize {
        self.service
            .calls()
            .iter()
            .filter(|call| *call == operation)
            .count()
    }
}

impl Ended {
    #[track_caller]
    pub(super) fn outcome(&self) -> &BuildOutcome {
        match &self.result {
            Ok(outcome) => outcome,
            Err(error) => panic!("{}\n{}", error.report(), self.log()),
        }
    }

    #[track_caller]
    pub(super) fn error(&self) -> &wharf::core::Error {
        match &self.result {
            Ok(outcome) => panic!("the build succeeded: {}", outcome.reference()),
            Err(error) => error,
        }
    }

    pub(super) fn log(&self) -> String {
        let lines = self.events.iter().filter_map(|event| match event {
            BuildEvent::Log(line) => Some(line.line.as_str()),
            _ => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(super) fn warnings(&self) -> String {
        let warnings = self.events.iter().filter_map(|event| match event {
            BuildEvent::Warning(warning) => Some(warning.message.as_str()),
            _ => None,
        });
        warnings.collect::<Vec<_>>().join("\n")
    }
}

/// The store as the trait.
pub(super) fn as_store(store: Arc<S3ArtifactStore>) -> Arc<dyn ArtifactStore> {
    store
}
