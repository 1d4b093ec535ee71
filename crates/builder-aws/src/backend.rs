//! The builder itself: checks a request, uploads, starts, follows, and tells the digest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use wharf_aws::{AwsAccess, S3Location};
use wharf_core::artifact_store::ArtifactInfo;
use wharf_core::builder::{
    BuildOutcome, BuildRequest, Capabilities, ContextTransfer, DockerfileDialect, GarbagePolicy,
    ImageBuilder, Leftover,
};
use wharf_core::event::{BuildEvent, ContextProgress, EventSink, Queued, Warning};
use wharf_core::flavor::Flavor;
use wharf_core::flavor::known::{AwsImageBuilderConfig, CodeBuildEnvironment, PasswordStore};
use wharf_core::options::BuildOption;
use wharf_core::stack::Stack;
use wharf_core::{ArchiveFormat, Digest, Error, ErrorKind, Platform, Result, Secret, random_name};
use wharf_registry::{RegistryClient, confirm_pushed, prepare_push};

use crate::buildspec::DIGEST_VARIABLE;
use crate::cleanup::Cleanup;
use crate::environment::{self, Login};
use crate::plan::{BuildPlan, auth_problem};
use crate::source::Source;
use crate::start::Starter;
use crate::watch::{Ended, Poller, Watch};
use crate::{config, failure, garbage, secret};

/// How often a build's state and log are asked for.
const INTERVAL: Duration = Duration::from_secs(3);

/// The flavor `aws`.
#[must_use]
pub fn flavor() -> Flavor {
    let description = "Builds in AWS CodeBuild";
    Flavor::image_builder("aws", description, |config: AwsImageBuilderConfig| {
        Ok(Arc::new(AwsImageBuilder::new(config)?) as _)
    })
}

/// Builds images in AWS CodeBuild. Clones share one poller for all their builds.
#[derive(Debug, Clone)]
pub struct AwsImageBuilder {
    config: AwsImageBuilderConfig,
    access: AwsAccess,
    poller: Poller,
    interval: Duration,
}

impl AwsImageBuilder {
    /// A builder from its configuration. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] listing every value that CodeBuild would not take.
    pub fn new(config: AwsImageBuilderConfig) -> Result<Self> {
        config::check(&config)?;
        let access = AwsAccess::new(config.credentials.clone(), config.region.clone())?;
        Ok(Self {
            poller: Poller::new(access.clone(), INTERVAL),
            interval: INTERVAL,
            config,
            access,
        })
    }

    /// The same builder, asking for states and logs in another interval. Default: 3 seconds.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.poller = Poller::new(self.access.clone(), interval);
        self.interval = interval;
        self
    }

    async fn run(
        &self,
        request: &BuildRequest,
        events: &EventSink,
        cleanup: &Cleanup,
    ) -> Result<BuildOutcome> {
        let begin = Instant::now();
        let plan = BuildPlan::new(request, self.config.implicit_container_registry_auth)?;
        self.capabilities()
            .check_options("AWS CodeBuild", &plan.options)?;
        events.send(BuildEvent::Queued(Queued {
            builder: format!("aws (CodeBuild project {})", self.config.code_build_project),
            image: request.image.familiar(),
        }));
        let login = Login::of(&plan, &self.config).await?;
        let events = match &login {
            Login::Password { password, .. } => events.clone().redacting([password.clone()]),
            _ => events.clone(),
        };
        prepare_push(&plan.registry, &plan.names).await?;
        let source = read_source(&plan, &events).await?;
        let ended = match self.attempt(&plan, &source, &login, &events, cleanup).await? {
            // Somebody who built the same files deleted them after his build, before this one fetched them.
            ended if lost_its_source(&ended, &plan, &source).await => {
                self.attempt(&plan, &source, &login, &events, cleanup).await?
            }
            ended => ended,
        };
        if ended.build.build_status() != Some(&aws_sdk_codebuild::types::StatusType::Succeeded) {
            let error = failure::explain(&ended, &plan, &self.config);
            return Err(error.with_context("image", request.image.familiar()));
        }
        let digest = confirm(&plan, &ended, &events).await?;
        Ok(BuildOutcome {
            image: plan.names[0].clone(),
            digest: Some(digest),
            image_id: None,
            tags: plan.names[1..].to_vec(),
            builder: self.flavor().to_owned(),
            duration: begin.elapsed(),
        })
    }

    /// Uploads what is not there yet, starts a build, and waits for its end.
    async fn attempt(
        &self,
        plan: &BuildPlan,
        source: &Source,
        login: &Login,
        events: &EventSink,
        cleanup: &Cleanup,
    ) -> Result<Ended> {
        if !self.config.keep_context {
            cleanup.upload(Arc::clone(&plan.store), source.name.clone());
        }
        let uploaded = upload(plan, source, events).await?;
        let id = self.start(plan, &uploaded, login, events, cleanup).await?;
        let ended = Watch::new(&self.access, events, self.interval)
            .run(&self.poller, &id)
            .await?;
        cleanup.build(None);
        Ok(ended)
    }

    async fn start(
        &self,
        plan: &BuildPlan,
        uploaded: &ArtifactInfo,
        login: &Login,
        events: &EventSink,
        cleanup: &Cleanup,
    ) -> Result<String> {
        let sdk = self.access.sdk().await?;
        let token = random_name(16)?;
        let stored = match (login, self.config.registry_password_store) {
            (Login::Password { password, .. }, PasswordStore::SecretsManager) => {
                Some(self.store_password(&token, password, cleanup).await?)
            }
            (Login::Password { .. }, PasswordStore::Environment) => {
                let warning = "the registry's password is in a variable of the build, where everybody who may read builds reads it";
                events.warn(Warning::new(warning).with_detail([
                    "Set `registry_password_store: secrets_manager` for the image builder `aws`.".to_owned(),
                ]));
                None
            }
            _ => None,
        };
        let region = sdk.region().map(ToString::to_string).unwrap_or_default();
        let variables = environment::variables(&self.config, plan, login, &region, stored.as_deref())?;
        let place = S3Location::object(&uploaded.uri)?;
        let call = crate::start::start_build(&self.config, &place, &variables)?.idempotency_token(&token);
        let starter = Starter {
            access: &self.access,
            config: &self.config,
            events,
            cleanup,
        };
        let build = starter.start(call).await?;
        if let Some(link) = failure::console_link(&build) {
            events.send(BuildEvent::Log(wharf_core::event::LogLine {
                step: None,
                stream: wharf_core::event::Stream::Stderr,
                line: format!("CodeBuild: {link}"),
            }));
        }
        build.id.ok_or_else(|| {
            Error::new(
                ErrorKind::Unexpected,
                "CodeBuild started a build and does not name it",
            )
        })
    }

    async fn store_password(&self, id: &str, password: &Secret, cleanup: &Cleanup) -> Result<String> {
        let name = secret::store(&self.access.sdk().await?, id, password).await?;
        cleanup.secret(name.clone());
        Ok(name)
    }
}

async fn read_source(plan: &BuildPlan, events: &EventSink) -> Result<Source> {
    plan.context.check(events).await?;
    let unhashed = Source::prepare(plan)?;
    blocking(move || unhashed.hash()).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|source| {
        Error::new(ErrorKind::Unexpected, "reading the build context stopped").with_source(source)
    })?
}

async fn upload(plan: &BuildPlan, source: &Source, events: &EventSink) -> Result<ArtifactInfo> {
    if let Some(there) = plan.store.info(&source.name).await? {
        events.send(BuildEvent::Context(ContextProgress {
            bytes: 0,
            total_bytes: Some(0),
            files: 0,
            done: true,
        }));
        return Ok(there);
    }
    let sink = events.clone();
    let listed = source.clone();
    let stream =
        blocking(move || listed.stream(move |progress| sink.send(BuildEvent::Context(progress)))).await?;
    let stored = plan.store.put(&source.name, stream).await;
    stored.map_err(|error| error.with_operation("upload the build context"))
}

/// Whether the build ended because its source was gone.
async fn lost_its_source(ended: &Ended, plan: &BuildPlan, source: &Source) -> bool {
    use aws_sdk_codebuild::types::BuildPhaseType;
    let phase = failure::failed_phase(&ended.build).and_then(|phase| phase.phase_type().cloned());
    phase == Some(BuildPhaseType::DownloadSource) && matches!(plan.store.info(&source.name).await, Ok(None))
}

/// The digest the build tells, as the registry has it.
async fn confirm(plan: &BuildPlan, ended: &Ended, events: &EventSink) -> Result<Digest> {
    let exported = ended.build.exported_environment_variables().iter();
    let told = exported
        .filter(|variable| variable.name() == Some(DIGEST_VARIABLE))
        .find_map(|variable| variable.value()?.parse::<Digest>().ok());
    let client = RegistryClient::new(plan.registry.clone())?;
    // All names are of one image.
    let mut digest = told;
    for name in &plan.names {
        digest = Some(confirm_pushed(&client, name, digest, events).await?);
    }
    digest.ok_or_else(|| Error::new(ErrorKind::Unexpected, "an image without a name was pushed"))
}

#[async_trait]
impl ImageBuilder for AwsImageBuilder {
    fn flavor(&self) -> &str {
        "aws"
    }

    fn is_building_locally(&self) -> bool {
        false
    }

    fn capabilities(&self) -> Capabilities {
        let missing = [BuildOption::MultiPlatform, BuildOption::Secrets, BuildOption::Ssh];
        let options: BTreeSet<BuildOption> = BuildOption::ALL
            .into_iter()
            .filter(|option| !missing.contains(option))
            .collect();
        Capabilities {
            context: ContextTransfer::Archive(ArchiveFormat::Zip),
            dialect: DockerfileDialect {
                cache_mounts: true,
                secret_mounts: false,
                bind_mounts: true,
                copy_chown: true,
                copy_chmod: true,
                heredocs: true,
            },
            options,
            passes_unknown_options: true,
            live_logs: true,
            reports_cache: true,
            keeps_images: false,
            needs_registry: true,
            needs_artifact_store: vec!["s3".to_owned()],
        }
    }

    async fn default_platform(&self) -> Option<Platform> {
        match self.config.environment_type {
            CodeBuildEnvironment::ArmContainer => "linux/arm64",
            CodeBuildEnvironment::LinuxContainer | CodeBuildEnvironment::LinuxGpuContainer => "linux/amd64",
        }
        .parse()
        .ok()
    }

    fn validate(&self, stack: &Stack) -> Vec<String> {
        let registry = stack.container_registry.as_deref();
        let implicit = self.config.implicit_container_registry_auth;
        registry
            .and_then(|registry| auth_problem(registry, implicit))
            .into_iter()
            .collect()
    }

    /// Stops the builds of the project and deletes the stored passwords and, unless `keep_context` is set, the uploaded
    /// contexts whose process has ended.
    async fn collect_garbage(&self, stack: &Stack, policy: &GarbagePolicy) -> Result<Vec<Leftover>> {
        let store = stack.artifact_store.as_deref();
        garbage::collect(&self.access, &self.config, store, policy).await
    }

    async fn build(&self, request: BuildRequest, events: EventSink) -> Result<BuildOutcome> {
        let cancel = request.cancel.clone();
        let cleanup = Cleanup::new(self.access.clone());
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::cancelled("the build")),
            result = self.run(&request, &events, &cleanup) => result,
        };
        for problem in cleanup.finish().await {
            events.warn(Warning::new(problem));
        }
        result
    }
}
