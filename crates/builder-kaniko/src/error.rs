//! What the API server's answers mean: the only place that reads them.

use kube::core::Status;
use wharf_core::{Error, ErrorKind};

/// Turns an error of the Kubernetes client into wharf's.
pub(crate) fn from_kube(error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => from_status(&status),
        kube::Error::Auth(_) => Error::new(ErrorKind::Unauthenticated, "logging in to the cluster failed")
            .with_hint(
                "Check the user of the kubeconfig; a plugin that gets its token may have to log in again.",
            )
            .with_source(error),
        kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) => configuration(error),
        kube::Error::UpgradeConnection(_) => Error::new(
            ErrorKind::Unexpected,
            "the API server does not open a connection to the pod",
        )
        .with_hint("A proxy between here and the cluster may not let WebSockets through.")
        .with_source(error),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Error::new(
            ErrorKind::Unexpected,
            "the API server answered something that wharf does not understand",
        )
        .with_source(error),
        other => Error::new(
            ErrorKind::Unavailable,
            format!("the API server cannot be reached: {}", root(&other)),
        )
        .with_hint("Check the cluster's address in the kubeconfig, and whether it is up.")
        .set_retryable(true)
        .with_source(other),
    }
}

/// A kubeconfig that is missing or wrong.
pub(crate) fn configuration(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, "there is no usable way into a cluster")
        .with_hint(
            "Set `kubernetes_context` to a context of your kubeconfig (`kubectl config get-contexts`), or `kubeconfig` \
             to the file.",
        )
        .with_source(error)
}

/// The innermost cause, which says what the others only wrap.
fn root(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn from_status(status: &Status) -> Error {
    let message = match status.message.as_str() {
        "" => format!("the API server answered {} {}", status.code, status.reason),
        message => message.to_owned(),
    };
    let (kind, retryable, hint) = meaning(status);
    let error = Error::new(kind, message).set_retryable(retryable);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Kind, whether a retry can help, and what to do.
fn meaning(status: &Status) -> (ErrorKind, bool, Option<&'static str>) {
    let says = |text: &str| status.message.contains(text);
    match status.code {
        401 => (
            ErrorKind::Unauthenticated,
            false,
            Some("The cluster does not know this user: check the kubeconfig, or log in again."),
        ),
        403 if says("exceeded quota") || says("must specify limits") || says("must specify requests") => (
            ErrorKind::ResourceExhausted,
            false,
            Some(
                "Ask for less in `resources`, wait for other pods to end, or have the namespace's quota raised.",
            ),
        ),
        403 if says("service account") && (says("not found") || says("no API token")) => (
            ErrorKind::InvalidConfiguration,
            false,
            Some(
                "Create the service account in the namespace, or set `service_account_name` to one that exists.",
            ),
        ),
        403 => (
            ErrorKind::PermissionDenied,
            false,
            Some("docs/builders/kaniko.md has the role that this user needs, ready to apply."),
        ),
        404 if says("namespaces") => (
            ErrorKind::NotFound,
            false,
            Some("Create the namespace, or set `kubernetes_namespace` to one that exists."),
        ),
        404 => (ErrorKind::NotFound, false, None),
        409 => (ErrorKind::Conflict, false, None),
        400 | 422 => (
            ErrorKind::InvalidConfiguration,
            false,
            Some("The cluster refuses what the configuration of the image builder asks for."),
        ),
        410 => (ErrorKind::Unavailable, true, None),
        429 => (ErrorKind::RateLimited, true, None),
        500.. => (ErrorKind::Unavailable, true, None),
        _ => (ErrorKind::Unexpected, false, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_kind_and_says_whether_to_try_again() {
        let table = [
            (401, "Unauthorized", ErrorKind::Unauthenticated, false),
            (
                403,
                "pods \"x\" is forbidden: exceeded quota: q",
                ErrorKind::ResourceExhausted,
                false,
            ),
            (
                403,
                "pods \"x\" is forbidden: error looking up service account b/sa: serviceaccount \"sa\" not found",
                ErrorKind::InvalidConfiguration,
                false,
            ),
            (
                403,
                "pods is forbidden: User \"x\" cannot create",
                ErrorKind::PermissionDenied,
                false,
            ),
            (404, "namespaces \"b\" not found", ErrorKind::NotFound, false),
            (404, "pods \"x\" not found", ErrorKind::NotFound, false),
            (409, "object is being deleted", ErrorKind::Conflict, false),
            (410, "too old resource version", ErrorKind::Unavailable, true),
            (
                422,
                "spec.containers[0].image: Required",
                ErrorKind::InvalidConfiguration,
                false,
            ),
            (429, "", ErrorKind::RateLimited, true),
            (500, "etcdserver: leader changed", ErrorKind::Unavailable, true),
            (503, "", ErrorKind::Unavailable, true),
        ];
        for (code, message, kind, retryable) in table {
            let status = Status::failure(message, "x").with_code(code);
            let error = from_status(&status);
            assert_eq!(
                (error.kind(), error.is_retryable()),
                (kind, retryable),
                "{code} {message}"
            );
            assert!(!error.message().is_empty());
        }
    }
}
