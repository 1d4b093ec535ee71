//! What a build leaves in AWS while it runs, and its removal whatever way the build ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_codebuild::Client;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use wharf_aws::AwsAccess;
use wharf_core::artifact_store::ArtifactStore;

use crate::secret;

/// How long the removal may take in all.
const LIMIT: Duration = Duration::from_secs(30);

/// What is to be removed. Dropped with something in it, it removes that in the background.
#[derive(Debug)]
pub(crate) struct Cleanup {
    access: AwsAccess,
    left: Mutex<Left>,
}

#[derive(Debug, Default)]
struct Left {
    /// A call that may still start a build. Its task stops the build when nobody waits for it any more.
    starting: Option<JoinHandle<()>>,
    build: Option<String>,
    secret: Option<String>,
    upload: Option<(Arc<dyn ArtifactStore>, String)>,
}

impl Cleanup {
    pub(crate) fn new(access: AwsAccess) -> Self {
        Self {
            access,
            left: Mutex::default(),
        }
    }

    pub(crate) fn starting(&self, task: JoinHandle<()>) {
        self.lock().starting = Some(task);
    }

    /// The build runs; none: it has ended by itself.
    pub(crate) fn build(&self, id: Option<String>) {
        self.lock().build = id;
    }

    pub(crate) fn secret(&self, name: String) {
        self.lock().secret = Some(name);
    }

    pub(crate) fn upload(&self, store: Arc<dyn ArtifactStore>, name: String) {
        self.lock().upload = Some((store, name));
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes everything now. Gives what could not be removed, each a sentence.
    pub(crate) async fn finish(self) -> Vec<String> {
        let left = std::mem::take(&mut *self.lock());
        match tokio::time::timeout(LIMIT, remove(&self.access, left)).await {
            Ok(problems) => problems,
            Err(_) => vec![
                "Cleaning up after the build took too long; something of it may be left in AWS.".to_owned(),
            ],
        }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let left = std::mem::take(self.left.get_mut().unwrap_or_else(PoisonError::into_inner));
        if left.is_empty() {
            return;
        }
        // Without a runtime nothing can be sent any more.
        if let Ok(runtime) = Handle::try_current() {
            let access = self.access.clone();
            runtime.spawn(async move { tokio::time::timeout(LIMIT, remove(&access, left)).await });
        }
    }
}

impl Left {
    fn is_empty(&self) -> bool {
        self.starting.is_none() && self.build.is_none() && self.secret.is_none() && self.upload.is_none()
    }
}

/// The build first: it may still read the others.
async fn remove(access: &AwsAccess, left: Left) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(task) = left.starting {
        let _ = task.await;
    }
    if left.build.is_some() || left.secret.is_some() {
        match access.sdk().await {
            Ok(sdk) => {
                if let Some(id) = &left.build
                    && let Err(error) = stop(&Client::new(&sdk), id).await
                {
                    problems.push(format!("The build {id} could not be stopped: {error}."));
                }
                if let Some(name) = &left.secret
                    && let Err(error) = secret::delete(&sdk, name).await
                {
                    problems.push(format!("The secret {name} could not be deleted: {error}."));
                }
            }
            Err(error) => problems.push(format!("The build could not be cleaned up: {error}.")),
        }
    }
    if let Some((store, name)) = left.upload
        && let Err(error) = store.delete(&name).await
    {
        problems.push(format!(
            "The build context {}/{name} could not be deleted: {error}.",
            store.uri()
        ));
    }
    problems
}

/// Stops a build. One that has ended already stays as it is.
pub(crate) async fn stop(client: &Client, id: &str) -> wharf_core::Result<()> {
    let stopped = client.stop_build().id(id).send().await;
    stopped.map_err(|error| wharf_aws::from_sdk("stop the build", "codebuild:StopBuild", error))?;
    Ok(())
}
