//! One build in the cluster: makes the objects, follows the pod to its end, and removes everything again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::PostParams;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use wharf_core::event::{BuildEvent, EventSink, Step, StepId, StepState, Warning};
use wharf_core::{Error, ErrorKind, Result};

use crate::attach::send_context;
use crate::client::Cluster;
use crate::diagnosis::{End, memory_limit};
use crate::error::from_kube;
use crate::garbage;
use crate::logs;
use crate::manifest::Manifest;
use crate::output::KanikoLog;
use crate::plan::BuildPlan;
use crate::pod_watch::{Patience, PodWatch};

/// How long the end of a pod may take to be told after its connection broke.
const END_IS_NEAR: Duration = Duration::from_secs(15);
/// The step that ends when the executor runs.
const START: &str = "kaniko start";
/// How long removing the objects is tried for. What is left then ends by its own deadline.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// A build under way.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    pub(crate) plan: Arc<BuildPlan>,
    pub(crate) name: String,
    pub(crate) patience: Patience,
    /// Whether the context goes over the connection to the pod.
    pub(crate) attach: bool,
    pub(crate) events: EventSink,
}

impl Run {
    /// Runs the build to its end, its failure or its cancelling. The objects in the cluster are gone afterwards.
    ///
    /// # Errors
    ///
    /// Why the image was not built or pushed.
    pub(crate) async fn build(&self, manifest: &Manifest<'_>, cancel: &CancellationToken) -> Result<String> {
        let work = async {
            // Never cancelled in the middle: a request on its way could make the job after it was removed.
            self.create(manifest).await?;
            match cancel.run_until_cancelled(self.follow()).await {
                Some(result) => result,
                None => Err(Error::cancelled("the build")),
            }
        };
        let result = work.await;
        self.clean_up().await;
        result.map_err(|error| error.with_context("job", format!("{}/{}", self.cluster.namespace, self.name)))
    }

    /// Makes the job, then the Secret that belongs to it. The node waits for the Secret.
    async fn create(&self, manifest: &Manifest<'_>) -> Result<()> {
        let parameters = PostParams::default();
        let job = self
            .cluster
            .api::<Job>()
            .create(&parameters, &manifest.job())
            .await;
        let job = job.map_err(|error| from_kube(error).with_operation("start the build"))?;
        if let Some(secret) = manifest.secret(&job.uid().unwrap_or_default()) {
            let made = self.cluster.api::<Secret>().create(&parameters, &secret).await;
            made.map_err(|error| from_kube(error).with_operation("hand the credentials over"))?;
        }
        Ok(())
    }

    async fn follow(&self) -> Result<String> {
        let mut watch = PodWatch::new(&self.cluster, &self.name);
        let already_ended = self.start(&mut watch).await?;
        let mut log = KanikoLog::new(self.events.clone(), &self.plan.dockerfile_text());
        let pod = watch.pod().map(ResourceExt::name_any).unwrap_or_default();
        let has_ended = CancellationToken::new();
        let end = async {
            let end = match already_ended {
                Some(end) => Ok(end),
                None => self.to_the_end(&mut watch, &pod).await,
            };
            has_ended.cancel();
            end
        };
        let pods = self.cluster.api::<Pod>();
        let read = logs::follow(&pods, &pod, &has_ended, &self.events, |line| log.line(line));
        let (end, ()) = tokio::join!(end, read);
        self.outcome(end, &mut log, watch.pod())
    }

    /// Waits until the executor runs, which is a step of its own: a cluster may take long over it.
    async fn start(&self, watch: &mut PodWatch) -> Result<Option<End>> {
        let started = Timestamp::now();
        let tell = |state, completed| {
            self.events.send(BuildEvent::Step(Step {
                id: StepId::new(START),
                name: format!("[kaniko] start the pod of {}", self.name),
                state,
                started: Some(started),
                completed,
            }));
        };
        tell(StepState::Started, None);
        let running = watch.running(&self.cluster, self.patience).await;
        let state = match &running {
            Ok(_) => StepState::Done,
            Err(error) => StepState::Failed {
                error: error.message().to_owned(),
            },
        };
        tell(state, Some(Timestamp::now()));
        running
    }

    /// Sends the context and waits for the end of the executor.
    async fn to_the_end(&self, watch: &mut PodWatch, pod: &str) -> Result<End> {
        let sending = async {
            if self.attach {
                let pods = self.cluster.api::<Pod>();
                let sent =
                    send_context(&self.cluster.upload, &pods, pod, &self.plan.context, &self.events).await;
                match sent {
                    Ok(connection) => hold(connection).await,
                    Err(error) => error,
                }
            } else {
                std::future::pending().await
            }
        };
        let error = tokio::select! {
            end = watch.ended() => return end,
            error = sending => error,
        };
        if error.kind() != ErrorKind::Unavailable {
            return Err(error);
        }
        // Perhaps the connection broke because the executor had ended, which says more.
        match timeout(END_IS_NEAR, watch.ended()).await {
            Ok(Ok(end)) if end.exit_code == 0 || !end.message.contains("EOF") => Ok(end),
            Ok(Err(broken)) => Err(broken),
            _ => Err(error),
        }
    }

    fn outcome(&self, end: Result<End>, log: &mut KanikoLog, pod: Option<&Pod>) -> Result<String> {
        let end = match end {
            Ok(end) => end,
            Err(error) => {
                log.end(StepState::Failed {
                    error: error.message().to_owned(),
                });
                return Err(error);
            }
        };
        if end.reason == "OOMKilled" {
            let error = out_of_memory(pod.and_then(memory_limit));
            log.end(StepState::Failed {
                error: error.message().to_owned(),
            });
            return Err(error);
        }
        if end.exit_code != 0 {
            let error = log.failed(end.exit_code, &end.message);
            return Err(self.about_dockerfile(error).with_context("log", log.tail()));
        }
        log.end(StepState::Done);
        Ok(end.message)
    }

    fn about_dockerfile(&self, error: Error) -> Error {
        let has_place = error.context().any(|(key, _)| key == "dockerfile_line");
        match has_place {
            true => error.with_context("dockerfile", self.plan.dockerfile.name.display().to_string()),
            false => error,
        }
    }

    /// Removes what was made, also after a failure and after cancelling, with a time limit of its own.
    async fn clean_up(&self) {
        let begin = Instant::now();
        let mut wait = Duration::from_millis(200);
        loop {
            let limit = CLEAN_UP
                .saturating_sub(begin.elapsed())
                .max(Duration::from_secs(1));
            let removed = timeout(limit, garbage::remove(&self.cluster, &self.name)).await;
            let error = match removed {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(_) => Error::new(ErrorKind::Timeout, "the API server does not answer"),
            };
            if begin.elapsed() + wait > CLEAN_UP
                || !(error.is_retryable() || error.kind() == ErrorKind::Timeout)
            {
                let message = format!(
                    "the job {}/{} could not be removed",
                    self.cluster.namespace, self.name
                );
                let next = "The cluster ends it at its deadline; `wharf gc` removes it.".to_owned();
                self.events
                    .warn(Warning::new(message).with_detail([error.to_string(), next]));
                return;
            }
            sleep(wait).await;
            wait *= 2;
        }
    }
}

/// Keeps something for as long as it is waited for.
async fn hold<T>(held: crate::attach::Attachment) -> T {
    let _held = held;
    std::future::pending().await
}

fn out_of_memory(limit: Option<String>) -> Error {
    let message = match &limit {
        Some(limit) => format!("the build was killed: it needed more memory than its limit of {limit}"),
        None => "the build was killed: the node ran out of memory".to_owned(),
    };
    let hint = match limit {
        Some(_) => "Raise `resources.limits.memory`",
        None => "Set `resources.requests.memory`",
    };
    Error::new(ErrorKind::ResourceExhausted, message).with_hint(format!(
        "{hint} of the image builder; `--compressed-caching=false` or `--single-snapshot` in `executor_args` make Kaniko \
         need less."
    ))
}
