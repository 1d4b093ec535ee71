//! Watching the pod of a build, through broken connections.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Event as ClusterEvent, Pod};
use kube::ResourceExt;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::{Instant, timeout_at};
use wharf_core::{Error, ErrorKind, Result};

use crate::client::Cluster;
use crate::diagnosis::{self, End, Standing, standing};
use crate::error::from_kube;
use crate::manifest::BUILD_LABEL;

/// How long the API server may be out of reach.
const OUT_OF_REACH: Duration = Duration::from_secs(180);

/// How long a build waits for its pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the executor to run.
    pub(crate) running: Duration,
    /// For a node, while there is none that the pod fits on.
    pub(crate) scheduling: Duration,
}

/// The pod of one build, as it changes.
pub(crate) struct PodWatch {
    changes: Pin<Box<dyn Stream<Item = watcher::Result<Event<Pod>>> + Send>>,
    pod: Option<Pod>,
    /// Whether the list that is being read has the pod.
    listed: bool,
    silent_since: Option<Instant>,
}

impl PodWatch {
    /// Watches for the pod with this build's label.
    pub(crate) fn new(cluster: &Cluster, build: &str) -> Self {
        let config = watcher::Config::default().labels(&format!("{BUILD_LABEL}={build}"));
        Self {
            changes: Box::pin(watcher(cluster.api(), config).default_backoff()),
            pod: None,
            listed: false,
            silent_since: None,
        }
    }

    /// The pod as it was seen last.
    pub(crate) fn pod(&self) -> Option<&Pod> {
        self.pod.as_ref()
    }

    /// Waits until the executor runs; `Some` when it has ended already.
    ///
    /// # Errors
    ///
    /// Why it can never run, or [`ErrorKind::Timeout`] with what the cluster says about it.
    pub(crate) async fn running(&mut self, cluster: &Cluster, patience: Patience) -> Result<Option<End>> {
        let begin = Instant::now();
        let mut homeless: Option<(Instant, String)> = None;
        loop {
            let deadline = match &homeless {
                Some((since, _)) => (*since + patience.scheduling).min(begin + patience.running),
                None => begin + patience.running,
            };
            let Ok(changed) = timeout_at(deadline, self.change()).await else {
                return Err(match homeless {
                    Some((_, why)) => unschedulable(&why, patience),
                    None => too_late(cluster, self.pod.as_ref().map(ResourceExt::name_any), patience).await,
                });
            };
            changed?;
            match self.pod.as_ref().map(standing) {
                Some(Standing::Running) => return Ok(None),
                Some(Standing::Ended(end)) => return Ok(Some(end)),
                Some(Standing::Broken(error)) => return Err(error),
                Some(Standing::Unschedulable(why)) => {
                    let since = homeless.map_or_else(Instant::now, |(since, _)| since);
                    homeless = Some((since, why));
                }
                Some(Standing::Waiting) => homeless = None,
                None => {}
            }
        }
    }

    /// Waits until the executor has ended.
    ///
    /// # Errors
    ///
    /// When the pod was taken away, or the API server is out of reach for too long.
    pub(crate) async fn ended(&mut self) -> Result<End> {
        loop {
            match self.pod.as_ref().map(standing) {
                Some(Standing::Ended(end)) => return Ok(end),
                Some(Standing::Broken(error)) => return Err(error),
                _ => {}
            }
            self.change().await?;
        }
    }

    /// Waits for the next change of the pod.
    async fn change(&mut self) -> Result<()> {
        loop {
            let Some(event) = self.changes.next().await else {
                return Err(Error::new(ErrorKind::Unexpected, "the watch of the pod ended"));
            };
            match event {
                Ok(event) => {
                    self.silent_since = None;
                    if self.take(event)? {
                        return Ok(());
                    }
                }
                Err(error) => self.failed(error)?,
            }
        }
    }

    /// Takes an event in; whether the pod has changed.
    fn take(&mut self, event: Event<Pod>) -> Result<bool> {
        match event {
            Event::Init => self.listed = false,
            Event::InitApply(pod) | Event::Apply(pod) => {
                // A job makes another pod when somebody deletes the first; that one is nothing to this build.
                if self.pod.as_ref().is_none_or(|known| known.uid() == pod.uid()) {
                    self.listed = true;
                    self.pod = Some(pod);
                    return Ok(true);
                }
            }
            Event::InitDone if self.pod.is_some() && !self.listed => return Err(diagnosis::deleted()),
            Event::Delete(pod) if self.pod.as_ref().is_some_and(|known| known.uid() == pod.uid()) => {
                // Its last state may tell why.
                self.pod = Some(pod);
                return match self.pod.as_ref().map(standing) {
                    Some(Standing::Ended(_) | Standing::Broken(_)) => Ok(true),
                    _ => Err(diagnosis::deleted()),
                };
            }
            Event::InitDone | Event::Delete(_) => {}
        }
        Ok(false)
    }

    /// A failure of the watch, which tries again by itself.
    fn failed(&mut self, error: watcher::Error) -> Result<()> {
        let error = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => from_kube(error),
            watcher::Error::WatchError(status) => from_kube(kube::Error::Api(status)),
            watcher::Error::NoResourceVersion => return Ok(()),
        };
        let hopeless = matches!(
            error.kind(),
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::InvalidConfiguration
        );
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        match hopeless || since.elapsed() > OUT_OF_REACH {
            true => Err(error.with_operation("watch the build's pod")),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for PodWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.pod.as_ref().map(ResourceExt::name_any);
        f.debug_struct("PodWatch")
            .field("pod", &name)
            .finish_non_exhaustive()
    }
}

async fn too_late(cluster: &Cluster, pod: Option<String>, patience: Patience) -> Error {
    let message = match pod {
        Some(_) => "the executor does not run",
        None => "the job has no pod",
    };
    let message = format!("{message} after {} s", patience.running.as_secs());
    let error = Error::new(ErrorKind::Timeout, message)
        .with_hint("Raise `pod_running_timeout` if the cluster only needs more time.");
    let said = match pod {
        Some(pod) => warnings(cluster, &pod).await,
        None => Vec::new(),
    };
    match said.is_empty() {
        true => error,
        false => error.with_context("events", said.join("; ")),
    }
}

fn unschedulable(why: &str, patience: Patience) -> Error {
    let seconds = patience.scheduling.as_secs();
    let message = format!("no node has room for the pod, for {seconds} s: {why}");
    Error::new(ErrorKind::ResourceExhausted, message).with_hint(
        "Ask for less in `resources`, check `node_selector` and `tolerations`, or raise `scheduling_timeout` where the \
         cluster adds nodes by itself.",
    )
}

/// What the cluster has warned about, the newest last; nothing where that may not be read.
async fn warnings(cluster: &Cluster, pod: &str) -> Vec<String> {
    let parameters = ListParams::default().fields(&format!("involvedObject.name={pod},type=Warning"));
    let events = cluster.api::<ClusterEvent>().list(&parameters).await;
    let events = events.map(|list| list.items).unwrap_or_default();
    let mut texts: Vec<String> = Vec::new();
    for event in events {
        let text = format!(
            "{}: {}",
            event.reason.unwrap_or_default(),
            event.message.unwrap_or_default()
        );
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.split_off(texts.len().saturating_sub(3))
}
