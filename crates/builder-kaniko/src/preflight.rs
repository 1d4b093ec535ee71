//! What can be asked beforehand: whether the user may do all that a build takes, and whether the pod would be let in.

use futures_util::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use wharf_core::{Error, ErrorKind, Result};

use crate::client::Cluster;
use crate::error::from_kube;

/// Something that a user may do or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permission {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
}

const fn permission(
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
) -> Permission {
    Permission {
        verb,
        group,
        resource,
        subresource,
    }
}

/// For every build.
const ALWAYS: [Permission; 7] = [
    permission("create", "batch", "jobs", ""),
    permission("delete", "batch", "jobs", ""),
    permission("create", "", "pods", ""),
    permission("delete", "", "pods", ""),
    permission("list", "", "pods", ""),
    permission("watch", "", "pods", ""),
    permission("get", "", "pods", "log"),
];
/// For a context that goes over the connection to the pod: `get` for servers before 1.35, `create` since.
const TO_ATTACH: [Permission; 2] = [
    permission("get", "", "pods", "attach"),
    permission("create", "", "pods", "attach"),
];
/// For credentials that are handed to the executor.
const FOR_SECRETS: [Permission; 1] = [permission("create", "", "secrets", "")];

/// What a build needs.
pub(crate) fn needed(attach: bool, secrets: bool) -> Vec<Permission> {
    let mut needed = ALWAYS.to_vec();
    needed.extend(TO_ATTACH.into_iter().filter(|_| attach));
    needed.extend(FOR_SECRETS.into_iter().filter(|_| secrets));
    needed
}

/// Asks the API server for all permissions at once.
///
/// # Errors
///
/// [`ErrorKind::PermissionDenied`] naming everything that is missing; what the API server answers otherwise.
pub(crate) async fn check_permissions(cluster: &Cluster, needed: &[Permission]) -> Result<()> {
    let answers = join_all(needed.iter().map(|permission| is_allowed(cluster, permission))).await;
    let mut missing = Vec::new();
    for (permission, answer) in needed.iter().zip(answers) {
        if !answer? {
            missing.push(permission.to_string());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("this user may not {}", missing.join(", "));
    Err(Error::new(ErrorKind::PermissionDenied, message)
        .with_context("namespace", cluster.namespace.clone())
        .with_hint("docs/builders/kaniko.md has a Role with all that is needed, ready to apply."))
}

async fn is_allowed(cluster: &Cluster, permission: &Permission) -> Result<bool> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(cluster.namespace.clone()),
                verb: text(permission.verb),
                group: text(permission.group),
                resource: text(permission.resource),
                subresource: text(permission.subresource),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    match reviews.create(&PostParams::default(), &review).await {
        Ok(answer) => Ok(answer.status.is_some_and(|status| status.allowed)),
        // A cluster may not answer such questions; then the build itself finds out.
        Err(kube::Error::Api(status)) if matches!(status.code, 403..=405) => Ok(true),
        Err(error) => Err(from_kube(error)),
    }
}

/// Asks the API server whether it would take the pod: a job would only wait for one that is refused. Finds a missing
/// namespace or service account, an exceeded quota, and whatever policies the cluster has.
///
/// # Errors
///
/// The refusal.
pub(crate) async fn check_pod(cluster: &Cluster, pod: &Pod) -> Result<()> {
    let only_asking = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match cluster.api::<Pod>().create(&only_asking, pod).await {
        Err(kube::Error::Api(status)) if status.message.contains("does not support dry run") => Ok(()),
        Err(error) => Err(from_kube(error)
            .with_operation("start the build")
            .with_context("namespace", cluster.namespace.clone())),
        Ok(_) => Ok(()),
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_build_takes_is_asked_for() {
        let all = needed(true, true)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        assert_eq!(
            all,
            "create jobs.batch, delete jobs.batch, create pods, delete pods, list pods, watch pods, get pods/log, get pods/attach, \
             create pods/attach, create secrets"
        );
        assert_eq!(needed(false, false).len(), 7);
    }
}
