//! The builder itself: checks a request, chooses how to build, builds, pushes.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use wharf_core::builder::{
    BuildOutcome, BuildRequest, Capabilities, ContextTransfer, DockerfileDialect, ImageBuilder,
};
use wharf_core::event::{BuildEvent, EventSink, Queued};
use wharf_core::flavor::Flavor;
use wharf_core::options::{BuildOption, BuildSecret};
use wharf_core::registry::{ContainerRegistry, DockerConfigLocator};
use wharf_core::{ArchiveFormat, Digest, Error, ErrorKind, ImageReference, Platform, Result, Secret};
use wharf_registry::{RegistryClient, confirm_pushed, prepare_push};

use crate::config::LocalImageBuilderConfig;
use crate::credentials::Logins;
use crate::engine::{Engine, EngineChoice, EngineKind, HostEnvironment};
use crate::plan::BuildPlan;
use crate::subprocess::{self, Tool, ToolKind};
use crate::{buildkit, classic, push};

/// The flavor `local`.
#[must_use]
pub fn flavor() -> Flavor {
    let description = "Builds on the local Docker or Podman engine";
    Flavor::image_builder("local", description, |config: LocalImageBuilderConfig| {
        Ok(Arc::new(LocalImageBuilder::new(config)) as _)
    })
}

/// Builds images on the user's own engine.
#[derive(Debug, Clone)]
pub struct LocalImageBuilder {
    config: LocalImageBuilderConfig,
    environment: HostEnvironment,
    locator: DockerConfigLocator,
}

/// Who does the work of one build.
enum Worker {
    BuildKit(Engine),
    Classic(Engine),
    Command(Tool),
}

impl LocalImageBuilder {
    /// A builder that finds its engine and its credentials in the environment of this process.
    #[must_use]
    pub fn new(config: LocalImageBuilderConfig) -> Self {
        Self {
            config,
            environment: HostEnvironment::from_process(),
            locator: DockerConfigLocator::from_env(),
        }
    }

    /// The same builder in another environment.
    #[must_use]
    pub fn with_environment(mut self, environment: HostEnvironment, locator: DockerConfigLocator) -> Self {
        self.environment = environment;
        self.locator = locator;
        self
    }

    /// Finds the engine.
    ///
    /// # Errors
    ///
    /// As [`Engine::find`].
    pub async fn engine(&self) -> Result<Engine> {
        Engine::find(&self.choice(), &self.environment).await
    }

    fn choice(&self) -> EngineChoice {
        EngineChoice {
            host: self.config.host.clone(),
            context: self.config.context.clone(),
        }
    }

    fn wants_buildkit(&self, engine: &Engine) -> Result<bool> {
        let has = engine.info().buildkit;
        match self.config.buildkit {
            Some(true) if !has => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{} has no BuildKit", engine.info().name()),
            )
            .with_hint("Leave `buildkit` out of the configuration to use its classic builder.")),
            Some(wanted) => Ok(wanted),
            None => Ok(has && self.environment.docker_buildkit.as_deref() != Some("0")),
        }
    }

    async fn worker(&self) -> Result<Worker> {
        if self.config.use_subprocess_call {
            return subprocess::find_tool().await.map(Worker::Command);
        }
        let engine = self.engine().await?;
        Ok(match self.wants_buildkit(&engine)? {
            true => Worker::BuildKit(engine),
            false => Worker::Classic(engine),
        })
    }

    async fn run(&self, request: &BuildRequest, events: &EventSink) -> Result<BuildOutcome> {
        let begin = Instant::now();
        let plan = plan(request)?;
        let secrets = read_secrets(&plan.options.secrets)?;
        let events = events.clone().redacting(printable(&secrets));
        let worker = self.worker().await?;
        worker
            .capabilities()
            .check_options(&worker.name(), &plan.options)?;
        let name = request.image.familiar();
        events.send(BuildEvent::Queued(Queued {
            builder: format!("local ({})", worker.name()),
            image: name,
        }));
        let logins = Logins::new(request.registry.clone(), self.locator.clone(), plan.names.clone());
        if let Some(registry) = &request.registry {
            prepare_push(registry, &plan.names).await?;
        }
        plan.context.check(&events).await?;
        let image_id = self
            .build_with(&worker, &plan, secrets, &logins, &events, request)
            .await?;
        let digest = match &request.registry {
            Some(registry) => Some(
                self.push_all(&worker, &plan.names, registry, &logins, &events)
                    .await?,
            ),
            None => None,
        };
        Ok(BuildOutcome {
            image: plan.names[0].clone(),
            digest,
            image_id,
            tags: plan.names[1..].to_vec(),
            builder: self.flavor().to_owned(),
            duration: begin.elapsed(),
        })
    }

    async fn build_with(
        &self,
        worker: &Worker,
        plan: &BuildPlan,
        secrets: Vec<(String, Vec<u8>)>,
        logins: &Logins,
        events: &EventSink,
        request: &BuildRequest,
    ) -> Result<Option<String>> {
        let built = match worker {
            Worker::BuildKit(engine) => {
                buildkit::build(engine, plan, secrets, logins, events, &request.cancel).await
            }
            Worker::Classic(engine) => classic::build(engine, plan, logins, events).await,
            Worker::Command(tool) => subprocess::build(tool, &self.choice(), plan, events).await,
        };
        let built =
            built.map_err(|error| plan.locate(error).with_context("image", plan.names[0].familiar()))?;
        match worker {
            Worker::BuildKit(engine) | Worker::Classic(engine) => {
                image_id(engine, &plan.names[0]).await.map(Some)
            }
            Worker::Command(_) => Ok(built),
        }
    }

    async fn push_all(
        &self,
        worker: &Worker,
        names: &[ImageReference],
        registry: &Arc<dyn ContainerRegistry>,
        logins: &Logins,
        events: &EventSink,
    ) -> Result<Digest> {
        let client = RegistryClient::new(registry.clone())?;
        let mut digests = Vec::new();
        for name in names {
            let digest = match worker {
                Worker::BuildKit(engine) | Worker::Classic(engine) => {
                    push::push(engine, name, registry.as_ref(), &client, logins, events).await?
                }
                Worker::Command(tool) if tool.kind == ToolKind::Podman => {
                    subprocess::podman_push(tool, name, registry.as_ref(), logins, events).await?;
                    confirm_pushed(&client, name, None, events).await?
                }
                // The command would push with credentials of its own; the engine behind it takes ours.
                Worker::Command(_) => {
                    let engine = self.engine().await?;
                    push::push(&engine, name, registry.as_ref(), &client, logins, events).await?
                }
            };
            digests.push(digest);
        }
        digests
            .into_iter()
            .next()
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "an image without a name was pushed"))
    }
}

impl Worker {
    fn name(&self) -> String {
        match self {
            Self::BuildKit(engine) => format!("{}, BuildKit", engine.info().name()),
            Self::Classic(engine) => format!("{}, classic builder", engine.info().name()),
            Self::Command(tool) => format!("the command {}", tool.path.display()),
        }
    }

    fn capabilities(&self) -> Capabilities {
        match self {
            Self::BuildKit(engine) if !engine.info().buildkit_shm_size => Capabilities {
                options: options_without(&[BuildOption::MultiPlatform, BuildOption::ShmSize]),
                ..buildkit_capabilities()
            },
            Self::BuildKit(_) => buildkit_capabilities(),
            // Podman's API takes a network and ignores it.
            Self::Classic(engine) if engine.info().kind == EngineKind::Podman => Capabilities {
                options: options_without(&[&NOT_CLASSIC[..], &[BuildOption::Network]].concat()),
                ..classic_capabilities()
            },
            Self::Classic(_) => classic_capabilities(),
            Self::Command(tool) if tool.kind == ToolKind::DockerClassic => Capabilities {
                passes_unknown_options: true,
                ..classic_capabilities()
            },
            Self::Command(_) => command_capabilities(),
        }
    }
}

/// What no classic builder knows.
const NOT_CLASSIC: [BuildOption; 3] = [BuildOption::MultiPlatform, BuildOption::Secrets, BuildOption::Ssh];

fn options_without(missing: &[BuildOption]) -> std::collections::BTreeSet<BuildOption> {
    BuildOption::ALL
        .into_iter()
        .filter(|option| !missing.contains(option))
        .collect()
}

fn buildkit_capabilities() -> Capabilities {
    Capabilities {
        context: ContextTransfer::FileSync,
        dialect: DockerfileDialect {
            cache_mounts: true,
            secret_mounts: true,
            bind_mounts: true,
            copy_chown: true,
            copy_chmod: true,
            // The frontend inside Engine 20.10 does not know them.
            heredocs: false,
        },
        // An engine's own image store holds one platform of an image.
        options: options_without(&[BuildOption::MultiPlatform]),
        passes_unknown_options: false,
        live_logs: true,
        reports_cache: true,
        keeps_images: true,
        needs_registry: false,
        needs_artifact_store: Vec::new(),
    }
}

fn classic_capabilities() -> Capabilities {
    Capabilities {
        context: ContextTransfer::Archive(ArchiveFormat::Tar),
        dialect: DockerfileDialect {
            copy_chown: true,
            ..DockerfileDialect::default()
        },
        options: options_without(&NOT_CLASSIC),
        ..buildkit_capabilities()
    }
}

fn command_capabilities() -> Capabilities {
    Capabilities {
        context: ContextTransfer::Archive(ArchiveFormat::Tar),
        options: options_without(&[]),
        passes_unknown_options: true,
        reports_cache: false,
        ..buildkit_capabilities()
    }
}

fn plan(request: &BuildRequest) -> Result<BuildPlan> {
    request.check_names()?;
    Ok(BuildPlan {
        names: request.tagged_names()?,
        dockerfile: request.context.dockerfile()?,
        context: request.context.clone(),
        options: request.options.clone(),
    })
}

fn read_secrets(secrets: &[BuildSecret]) -> Result<Vec<(String, Vec<u8>)>> {
    secrets
        .iter()
        .map(|secret| Ok((secret.id.clone(), secret.read()?)))
        .collect()
}

/// The values that could show up in a log.
fn printable(secrets: &[(String, Vec<u8>)]) -> Vec<Secret> {
    let texts = secrets
        .iter()
        .filter_map(|(_, value)| std::str::from_utf8(value).ok());
    texts.map(|text| Secret::new(text.trim_end())).collect()
}

async fn image_id(engine: &Engine, name: &ImageReference) -> Result<String> {
    let inspected = engine
        .docker()
        .inspect_image(&name.familiar())
        .await
        .map_err(crate::error::from_bollard)?;
    inspected
        .id
        .ok_or_else(|| Error::new(ErrorKind::Unexpected, "the engine does not tell the image's id"))
}

#[async_trait]
impl ImageBuilder for LocalImageBuilder {
    fn flavor(&self) -> &str {
        "local"
    }

    fn is_building_locally(&self) -> bool {
        true
    }

    fn capabilities(&self) -> Capabilities {
        match (self.config.use_subprocess_call, self.config.buildkit) {
            (true, _) => command_capabilities(),
            (false, Some(false)) => classic_capabilities(),
            (false, _) => buildkit_capabilities(),
        }
    }

    async fn probe(&self) -> Result<Capabilities> {
        Ok(self.worker().await?.capabilities())
    }

    async fn default_platform(&self) -> Option<Platform> {
        let engine = self.engine().await.ok()?;
        let info = engine.info();
        format!("{}/{}", info.os, info.architecture).parse().ok()
    }

    async fn build(&self, request: BuildRequest, events: EventSink) -> Result<BuildOutcome> {
        let cancel = request.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::cancelled("the build")),
            result = self.run(&request, &events) => result,
        }
    }
}
