//! One poller for all builds of a builder: a hundred of them cost one call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::types::Build;
use tokio::sync::watch;
use wharf_aws::{AwsAccess, expired_credentials, from_sdk};
use wharf_core::{Error, ErrorKind, Result};

/// How many builds one call of `BatchGetBuilds` takes.
const BATCH: usize = 100;

/// How long the poller waits at most when the service asks it to slow down.
const SLOWEST: Duration = Duration::from_secs(30);

/// How many calls in a row may fail before builds are given up; the SDK has retried each several times.
const PATIENCE: u32 = 8;

type State = Option<Result<Arc<Build>, Arc<Error>>>;

/// Asks for the state of builds as long as anybody waits for one. Clones share the work.
#[derive(Debug, Clone)]
pub(crate) struct Poller {
    access: AwsAccess,
    interval: Duration,
    builds: Arc<Mutex<Builds>>,
}

#[derive(Debug, Default)]
struct Builds {
    waited_for: BTreeMap<String, watch::Sender<State>>,
    running: bool,
}

/// The states of one build, as they come.
#[derive(Debug)]
pub(super) struct States {
    receiver: watch::Receiver<State>,
}

impl Poller {
    pub(crate) fn new(access: AwsAccess, interval: Duration) -> Self {
        Self {
            access,
            interval,
            builds: Arc::default(),
        }
    }

    /// The states of a build from now on.
    pub(super) fn watch(&self, id: &str) -> States {
        let (sender, receiver) = watch::channel(None);
        let mut builds = self.lock();
        builds.waited_for.insert(id.to_owned(), sender);
        if !std::mem::replace(&mut builds.running, true) {
            tokio::spawn(self.clone().run());
        }
        States { receiver }
    }

    fn lock(&self) -> MutexGuard<'_, Builds> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self) {
        let mut wait = self.interval;
        let mut failures = 0;
        loop {
            let ids = self.ids();
            if ids.is_empty() {
                return;
            }
            let mut asked = Ok(());
            for batch in ids.chunks(BATCH) {
                asked = asked.and(self.ask(batch).await);
            }
            match asked {
                Ok(()) => (wait, failures) = (self.interval, 0),
                Err(error) => {
                    failures += 1;
                    wait = (wait * 2).min(SLOWEST);
                    if failures == PATIENCE || !may_pass(&error) {
                        self.give_up(&ids, error);
                        failures = 0;
                    }
                }
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// The builds that somebody waits for. When there are none, the poller stops in the same breath.
    fn ids(&self) -> Vec<String> {
        let mut builds = self.lock();
        builds.waited_for.retain(|_, sender| !sender.is_closed());
        builds.running = !builds.waited_for.is_empty();
        builds.waited_for.keys().cloned().collect()
    }

    async fn ask(&self, ids: &[String]) -> Result<()> {
        let client = Client::new(&self.access.sdk().await?);
        let answer = client.batch_get_builds().set_ids(Some(ids.to_vec())).send().await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                // Somebody may have logged in anew meanwhile.
                let expired = expired_credentials(&error);
                if expired {
                    self.access.renew().await;
                }
                return Err(from_sdk(
                    "ask for the state of the build",
                    "codebuild:BatchGetBuilds",
                    error,
                )
                .set_retryable(expired));
            }
        };
        for build in answer.builds.unwrap_or_default() {
            if let Some(id) = build.id().map(str::to_owned) {
                self.tell(&id, Ok(Arc::new(build)));
            }
        }
        for id in answer.builds_not_found.unwrap_or_default() {
            let error = Error::new(
                ErrorKind::NotFound,
                format!("CodeBuild does not know the build {id} any more"),
            );
            self.tell(&id, Err(Arc::new(error)));
        }
        Ok(())
    }

    fn tell(&self, id: &str, state: Result<Arc<Build>, Arc<Error>>) {
        if let Some(sender) = self.lock().waited_for.get(id) {
            // Whoever went away is forgotten in the next round.
            let _ = sender.send(Some(state));
        }
    }

    fn give_up(&self, ids: &[String], error: Error) {
        let error = Arc::new(error);
        ids.iter().for_each(|id| self.tell(id, Err(Arc::clone(&error))));
    }
}

/// Whether asking again later may help: the service is busy or away, or the credentials are being renewed.
fn may_pass(error: &Error) -> bool {
    let kinds = [ErrorKind::RateLimited, ErrorKind::Unavailable, ErrorKind::Timeout];
    error.is_retryable() || kinds.contains(&error.kind())
}

impl States {
    /// The next state.
    pub(super) async fn next(&mut self) -> Result<Build> {
        let gone = || Error::new(ErrorKind::Unexpected, "the poller of builds stopped");
        self.receiver.changed().await.map_err(|_| gone())?;
        let state = self.receiver.borrow_and_update().clone();
        match state {
            Some(Ok(build)) => Ok(Build::clone(&build)),
            Some(Err(error)) => Err(copy(error)),
            None => Err(gone()),
        }
    }
}

/// One failure can end many builds.
fn copy(error: Arc<Error>) -> Error {
    let mut copy = Error::new(error.kind(), error.message());
    if let Some(operation) = error.operation() {
        copy = copy.with_operation(operation);
    }
    for (key, value) in error.context() {
        copy = copy.with_context(key, value);
    }
    match error.hint() {
        Some(hint) => copy.with_hint(hint),
        None => copy,
    }
}
