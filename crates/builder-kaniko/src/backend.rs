//! The builder itself: checks a request, prepares it, and runs it in the cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use wharf_core::builder::{
    BuildOutcome, BuildRequest, Capabilities, ContextTransfer, GarbagePolicy, ImageBuilder, Leftover,
};
use wharf_core::event::{BuildEvent, EventSink, Queued};
use wharf_core::flavor::Flavor;
use wharf_core::options::BuildOption;
use wharf_core::stack::Stack;
use wharf_core::{ArchiveFormat, Error, ErrorKind, Result, random_name};
use wharf_registry::prepare_push;

use crate::arguments::STDIN_CONTEXT;
use crate::client::Cluster;
use crate::config::{self, KanikoImageBuilderConfig, PodParts};
use crate::credentials::Handover;
use crate::manifest::Manifest;
use crate::plan::BuildPlan;
use crate::pod_watch::Patience;
use crate::run::Run;
use crate::{executor, garbage, preflight, store, verify};

/// What Kaniko can do besides building.
const OPTIONS: [BuildOption; 6] = [
    BuildOption::BuildArgs,
    BuildOption::Labels,
    BuildOption::Target,
    BuildOption::Platform,
    // It has no images of its own, so it always asks for the newest.
    BuildOption::Pull,
    BuildOption::NoCache,
];

/// The flavor `kaniko`.
#[must_use]
pub fn flavor() -> Flavor {
    let description = "Builds in a pod of a Kubernetes cluster, with Kaniko";
    Flavor::image_builder("kaniko", description, |config: KanikoImageBuilderConfig| {
        Ok(Arc::new(KanikoImageBuilder::new(config)?) as _)
    })
    .with_check(config::check)
}

/// Builds images in a Kubernetes cluster.
#[derive(Debug, Clone)]
pub struct KanikoImageBuilder {
    config: Arc<KanikoImageBuilderConfig>,
    parts: Arc<PodParts>,
}

impl KanikoImageBuilder {
    /// A builder for the cluster that the configuration names. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] with every problem and its place.
    pub fn new(config: KanikoImageBuilderConfig) -> Result<Self> {
        let parts = config::parts(&config)?;
        Ok(Self {
            config: Arc::new(config),
            parts: Arc::new(parts),
        })
    }

    async fn run(
        self,
        request: BuildRequest,
        events: EventSink,
        cancel: CancellationToken,
    ) -> Result<BuildOutcome> {
        let begin = Instant::now();
        let plan = Arc::new(BuildPlan::new(&request)?);
        self.capabilities().check_options("Kaniko", &plan.options)?;
        let prepared = cancel.run_until_cancelled(self.prepare(&request, &plan, &events));
        let Some(prepared) = prepared.await else {
            return Err(Error::cancelled("the build"));
        };
        let Prepared {
            cluster,
            context,
            handover,
        } = prepared?;
        let name = format!("wharf-{}", random_name(5)?);
        let manifest = Manifest {
            name: &name,
            config: &self.config,
            parts: &self.parts,
            plan: &plan,
            context: &context,
            handover: &handover,
        };
        let pod = manifest.probe_pod();
        let checked = cancel
            .run_until_cancelled(preflight::check_pod(&cluster, &pod))
            .await;
        checked.ok_or_else(|| Error::cancelled("the build"))??;
        let run = Run {
            cluster,
            plan: plan.clone(),
            name: name.clone(),
            patience: self.patience(),
            attach: context == STDIN_CONTEXT,
            events: events.clone(),
        };
        let last_words = run.build(&manifest, &cancel).await?;
        let digest = verify::digest(&plan.registry, &plan.names, &last_words, &events).await?;
        Ok(BuildOutcome {
            image: plan.names[0].clone(),
            digest: Some(digest),
            image_id: None,
            tags: plan.names[1..].to_vec(),
            builder: self.flavor().to_owned(),
            duration: begin.elapsed(),
        })
    }

    /// Everything that is found out or done before something is made in the cluster.
    async fn prepare(
        &self,
        request: &BuildRequest,
        plan: &BuildPlan,
        events: &EventSink,
    ) -> Result<Prepared> {
        let cluster = Cluster::open(&self.config).await?;
        events.send(BuildEvent::Queued(Queued {
            builder: format!("kaniko (namespace {})", cluster.namespace),
            image: plan.names[0].familiar(),
        }));
        let handover = Handover::of(plan.registry.as_ref(), &plan.names[0]).await?;
        let hands_over = handover.docker_config.is_some() || handover.ca.is_some();
        let attach = !self.config.store_context_in_artifact_store;
        preflight::check_permissions(&cluster, &preflight::needed(attach, hands_over)).await?;
        prepare_push(&plan.registry, &plan.names).await?;
        plan.context.check(events).await?;
        let context = match attach {
            true => STDIN_CONTEXT.to_owned(),
            false => self.store_context(request, plan, events).await?,
        };
        Ok(Prepared {
            cluster,
            context,
            handover,
        })
    }

    async fn store_context(
        &self,
        request: &BuildRequest,
        plan: &BuildPlan,
        events: &EventSink,
    ) -> Result<String> {
        let store = request.artifact_store.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "the build context is to go through an artifact store, and there is none",
            )
            .with_hint("Add an `artifact_store` of S3 or Cloud Storage to the stack.")
        })?;
        store::upload(store.as_ref(), &plan.context, events).await
    }

    fn patience(&self) -> Patience {
        Patience {
            running: Duration::from_secs(self.config.pod_running_timeout.get()),
            scheduling: Duration::from_secs(self.config.scheduling_timeout),
        }
    }

    /// A pod on the node's own network takes no hosts.
    fn takes_hosts(&self) -> bool {
        let spec = self.parts.template.spec.as_ref();
        spec.is_none_or(|spec| spec.host_network != Some(true))
    }
}

/// What is known and done before something is made in the cluster.
struct Prepared {
    cluster: Cluster,
    context: String,
    handover: Handover,
}

fn stopped(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unexpected, "a part of the build stopped").with_source(error)
}

#[async_trait]
impl ImageBuilder for KanikoImageBuilder {
    fn flavor(&self) -> &str {
        "kaniko"
    }

    fn is_building_locally(&self) -> bool {
        false
    }

    fn reaches_local_registries(&self) -> bool {
        self.config.allow_local_registry
    }

    fn capabilities(&self) -> Capabilities {
        let hosts = self.takes_hosts().then_some(BuildOption::ExtraHosts);
        Capabilities {
            context: ContextTransfer::Archive(ArchiveFormat::TarGz),
            dialect: executor::dialect(executor::family(&self.config)),
            options: OPTIONS.into_iter().chain(hosts).collect(),
            passes_unknown_options: false,
            live_logs: true,
            reports_cache: self.config.cache,
            keeps_images: false,
            needs_registry: true,
            needs_artifact_store: match self.config.store_context_in_artifact_store {
                true => store::SCHEMES.map(str::to_owned).to_vec(),
                false => Vec::new(),
            },
        }
    }

    fn validate(&self, stack: &Stack) -> Vec<String> {
        let local = stack.artifact_store.as_ref().filter(|store| store.is_local());
        let needed = self.config.store_context_in_artifact_store;
        let problem = local.filter(|_| needed).map(|store| {
            format!(
                "The artifact store `{}` can be reached from this machine only, and Kaniko reads from it.",
                store.uri()
            )
        });
        problem.into_iter().collect()
    }

    async fn collect_garbage(&self, _: &Stack, policy: &GarbagePolicy) -> Result<Vec<Leftover>> {
        let cluster = Cluster::open(&self.config).await?;
        garbage::collect(&cluster, policy).await.map_err(garbage::explain)
    }

    async fn build(&self, request: BuildRequest, events: EventSink) -> Result<BuildOutcome> {
        // The work is a task of its own, so that it cleans up even when nobody waits for it any more.
        let cancel = request.cancel.child_token();
        let _cancelled_when_dropped = cancel.clone().drop_guard();
        let image = request.image.familiar();
        let run = tokio::spawn(self.clone().run(request, events, cancel));
        let result = run.await.map_err(stopped)?;
        result.map_err(|error| error.with_context("image", image))
    }
}
