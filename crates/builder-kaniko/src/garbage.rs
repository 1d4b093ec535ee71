//! What killed builds have left in a namespace.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use wharf_core::builder::{GarbagePolicy, Leftover, Owner};
use wharf_core::{Error, ErrorKind, Result};

use crate::client::Cluster;
use crate::error::from_kube;
use crate::manifest::{BUILD_LABEL, MANAGED_BY, OWNER_ANNOTATION};

/// A job that ended is removed by its own client within moments; after this long there is none.
const ENDED_FOR: Duration = Duration::from_secs(120);

/// Removes the jobs that nobody needs, and with each all that belongs to it.
///
/// # Errors
///
/// What the API server answers.
pub(crate) async fn collect(cluster: &Cluster, policy: &GarbagePolicy) -> Result<Vec<Leftover>> {
    let (key, value) = MANAGED_BY;
    let parameters = ListParams::default().labels(&format!("{key}={value},{BUILD_LABEL}"));
    let jobs = cluster.api::<Job>();
    let found = jobs.list(&parameters).await.map_err(from_kube)?;
    let now = Timestamp::now();
    let mut leftovers = Vec::new();
    for job in found.items {
        let Some(reason) = reason(&job, policy, now) else {
            continue;
        };
        if !policy.dry_run {
            remove(cluster, &job.name_any()).await?;
        }
        leftovers.push(Leftover {
            what: format!("job {} in namespace {}", job.name_any(), cluster.namespace),
            reason,
            removed: !policy.dry_run,
        });
    }
    Ok(leftovers)
}

/// Removes a job, its pod and its Secret. That there is none is fine.
///
/// The cluster would remove what belongs to the job by itself, some time later; here the pod is stopped now.
///
/// # Errors
///
/// What the API server answers.
pub(crate) async fn remove(cluster: &Cluster, job: &str) -> Result<()> {
    let about = |error: Error| {
        error
            .with_operation("remove the build's objects")
            .with_context("job", job)
    };
    gone(
        cluster
            .api::<Job>()
            .delete(job, &DeleteParams::background())
            .await,
    )
    .map_err(about)?;
    let of_job = ListParams::default().labels(&format!("{BUILD_LABEL}={job}"));
    let pods = cluster.api::<Pod>();
    let list = pods
        .list(&of_job)
        .await
        .map_err(|error| about(from_kube(error)))?;
    for pod in list.items {
        gone(pods.delete(&pod.name_any(), &how(&pod)).await).map_err(about)?;
    }
    Ok(())
}

/// A pod in which nothing runs is removed at once: its node may be waiting for a Secret that is gone already, and would
/// not see for minutes that it has nothing to wait for.
fn how(pod: &Pod) -> DeleteParams {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    match phase {
        Some("Running") => DeleteParams::default(),
        _ => DeleteParams::default().grace_period(0),
    }
}

fn gone<T>(answer: Result<T, kube::Error>) -> Result<()> {
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(from_kube(error)),
    }
}

/// Why nobody needs a job; none when somebody may.
fn reason(job: &Job, policy: &GarbagePolicy, now: Timestamp) -> Option<String> {
    let owner = job
        .annotations()
        .get(OWNER_ANNOTATION)
        .and_then(|text| text.parse::<Owner>().ok());
    let made = job.creation_timestamp().map(|time| age(time.0, now));
    if let Some(reason) = policy.reason(owner.as_ref(), made.unwrap_or_default()) {
        return Some(reason);
    }
    let conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ends = conditions
        .filter(|condition| {
            condition.status == "True" && matches!(condition.type_.as_str(), "Complete" | "Failed")
        })
        .filter_map(|condition| condition.last_transition_time.as_ref());
    ends.any(|time| age(time.0, now) > ENDED_FOR)
        .then(|| "it has ended, and its wharf did not remove it".to_owned())
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(since).try_into().unwrap_or_default()
}

/// The error of a namespace that cannot be looked into is worth a word on what it takes.
pub(crate) fn explain(error: Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            error.with_hint("Collecting garbage takes the verbs list and delete on jobs.batch and pods.")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(owner: &str, status: Value) -> Job {
        serde_json::from_value(json!({
            "metadata": {
                "name": "wharf-1", "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"wharf/owner": owner},
            },
            "status": status,
        }))
        .unwrap()
    }

    fn reason_at(job: &Job, seconds: i64, older_than: Option<u64>) -> Option<String> {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let policy = GarbagePolicy {
            older_than: older_than.map(Duration::from_secs),
            dry_run: true,
        };
        reason(
            job,
            &policy,
            Timestamp::from_second(begin.as_second() + seconds).unwrap(),
        )
    }

    #[test]
    fn what_a_running_wharf_made_stays() {
        let mine = job(&Owner::this_process().to_string(), json!({}));
        assert_eq!(reason_at(&mine, 9999, None), None);
        let foreign = job("elsewhere/1/1", json!({"active": 1}));
        assert_eq!(reason_at(&foreign, 9999, None), None);
    }

    #[test]
    fn what_is_abandoned_goes() {
        let this = Owner::this_process().to_string();
        let (machine, _) = this.split_once('/').unwrap();
        let dead = job(&format!("{machine}/4000000/1"), json!({}));
        assert!(reason_at(&dead, 0, None).unwrap().contains("has ended"));
        let ended = json!({"conditions": [
            {"type": "Failed", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}
        ]});
        let ended = job("elsewhere/1/1", ended);
        assert_eq!(reason_at(&ended, 70, None), None);
        assert!(reason_at(&ended, 600, None).is_some());
        let foreign = job("elsewhere/1/1", json!({}));
        assert!(reason_at(&foreign, 100, Some(100)).is_some());
        assert_eq!(reason_at(&foreign, 99, Some(100)), None);
    }
}
