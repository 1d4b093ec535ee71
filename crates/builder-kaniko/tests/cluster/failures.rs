//! Builds that cannot succeed: each says why, soon, and leaves nothing.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ResourceQuota, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use wharf_core::ErrorKind;
use wharf_core::stack::Stack;
use wharf_testkit::services;
use wharf_testkit::suite::Built;

use crate::support::{World, facts, is_running, until};

const SLOW: &str = "FROM PARENT\nRUN echo begun && sleep 600\n";

async fn failed(world: &World, changes: Value, dockerfile: &str) -> (Built, Duration) {
    let begin = Instant::now();
    let built = world
        .subject(changes)
        .build_files("failing", dockerfile, &[])
        .await;
    let took = begin.elapsed();
    world.is_empty().await;
    (built, took)
}

fn check(built: &Built, kind: ErrorKind, parts: &[&str]) {
    let error = built.error();
    assert_eq!(error.kind(), kind, "{}", error.report());
    for part in parts {
        assert!(error.report().contains(part), "{part} in {}", error.report());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_failing_step_is_told_with_its_line() {
    let world = World::new().await;
    let (built, _) = failed(
        &world,
        json!({}),
        "FROM PARENT\n\nRUN echo last-words && exit 7\n",
    )
    .await;
    check(&built, ErrorKind::BuildFailed, &["exit status 7"]);
    let facts = facts(built.error());
    assert_eq!(facts["dockerfile_line"], "3");
    assert!(facts["step"].contains("RUN echo last-words"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn an_executor_image_that_cannot_be_pulled_fails_fast() {
    let world = World::new().await;
    let missing = format!("{}/no/such:image", services::registry_host());
    let (built, took) = failed(&world, json!({"executor_image": missing}), SLOW).await;
    check(
        &built,
        ErrorKind::InvalidConfiguration,
        &["no/such", "executor_image"],
    );
    assert!(took < Duration::from_secs(45), "{took:?}");
    let (built, took) = failed(&world, json!({"executor_image": "NOT a name"}), SLOW).await;
    check(&built, ErrorKind::InvalidConfiguration, &["NOT a name"]);
    assert!(took < Duration::from_secs(45), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_pod_that_fits_on_no_node_says_why() {
    let world = World::new().await;
    let changes = json!({"node_selector": {"no-such": "node"}, "scheduling_timeout": 2});
    let (built, took) = failed(&world, changes, SLOW).await;
    check(
        &built,
        ErrorKind::ResourceExhausted,
        &["no node has room", "scheduling_timeout"],
    );
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_namespace_or_service_account_that_does_not_exist_is_named() {
    let world = World::new().await;
    let (built, _) = failed(&world, json!({"kubernetes_namespace": "no-such-namespace"}), SLOW).await;
    check(
        &built,
        ErrorKind::NotFound,
        &["no-such-namespace", "kubernetes_namespace"],
    );
    let (built, _) = failed(&world, json!({"service_account_name": "nobody"}), SLOW).await;
    check(
        &built,
        ErrorKind::InvalidConfiguration,
        &["nobody", "service_account_name"],
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_configmap_that_does_not_exist_is_named() {
    let world = World::new().await;
    let changes = json!({"env_from": [{"configMapRef": {"name": "no-such-map"}}]});
    let (built, took) = failed(&world, changes, SLOW).await;
    check(&built, ErrorKind::InvalidConfiguration, &["no-such-map"]);
    assert!(took < Duration::from_secs(45), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn an_exceeded_quota_is_told_before_anything_is_made() {
    let world = World::new().await;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    let quotas: Api<ResourceQuota> = world.api();
    quotas
        .create(&PostParams::default(), &serde_json::from_value(quota).unwrap())
        .await
        .unwrap();
    let counts = |quota: &ResourceQuota| {
        let status = quota.status.as_ref();
        status.is_some_and(|status| status.hard.is_some())
    };
    until(&quotas, &ListParams::default(), |quotas| {
        quotas.iter().any(counts)
    })
    .await;
    let (built, _) = failed(&world, json!({}), SLOW).await;
    check(&built, ErrorKind::ResourceExhausted, &["exceeded quota", "pods"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_missing_permission_is_named_before_anything_is_made() {
    let world = World::new().await;
    let rules = json!([
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]);
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = restricted(&world, rules, directory.path()).await;
    let (built, _) = failed(&world, json!({"kubeconfig": kubeconfig}), SLOW).await;
    check(
        &built,
        ErrorKind::PermissionDenied,
        &["may not get pods/attach, create pods/attach"],
    );
}

/// The role in the documentation is all that a build takes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn the_documented_role_is_enough() {
    let world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = restricted(&world, documented_rules(), directory.path()).await;
    let registry = services::registry_with_password(None);
    let config = world.config(json!({"kubeconfig": kubeconfig}));
    let subject = crate::support::subject(config, registry);
    subject
        .build_files("role", "FROM scratch\nCOPY a /a\n", &[("a", "1")])
        .await
        .outcome();
    let policy = wharf_core::builder::GarbagePolicy::default();
    assert_eq!(
        subject
            .builder
            .collect_garbage(&Stack::default(), &policy)
            .await
            .unwrap(),
        []
    );
    world.is_empty().await;
}

fn documented_rules() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/builders/kaniko/role.json"
    );
    let role: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    role["rules"].clone()
}

/// A kubeconfig of an account that may do only this.
async fn restricted(world: &World, rules: Value, directory: &std::path::Path) -> String {
    let parameters = PostParams::default();
    let accounts: Api<ServiceAccount> = world.api();
    let account = json!({"metadata": {"name": "builder"}});
    accounts
        .create(&parameters, &serde_json::from_value(account).unwrap())
        .await
        .unwrap();
    let role = json!({"metadata": {"name": "builder"}, "rules": rules});
    world
        .api::<Role>()
        .create(&parameters, &serde_json::from_value(role).unwrap())
        .await
        .unwrap();
    let binding = json!({
        "metadata": {"name": "builder"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "builder"},
        "subjects": [{"kind": "ServiceAccount", "name": "builder", "namespace": world.namespace}],
    });
    world
        .api::<RoleBinding>()
        .create(&parameters, &serde_json::from_value(binding).unwrap())
        .await
        .unwrap();
    let path = directory.join("kubeconfig");
    let token = token(world).await;
    let mut kubeconfig = kube::config::Kubeconfig::read_from(services::kubeconfig()).unwrap();
    for user in &mut kubeconfig.auth_infos {
        let info = kube::config::AuthInfo {
            token: Some(token.clone().into()),
            ..Default::default()
        };
        user.auth_info = Some(info);
    }
    // The token is written by hand: the type never prints it.
    let mut value = serde_json::to_value(&kubeconfig).unwrap();
    value["users"][0]["user"] = json!({"token": token});
    std::fs::write(&path, value.to_string()).unwrap();
    path.display().to_string()
}

/// Old clusters make a Secret for each account; new ones want to be asked for one.
async fn token(world: &World) -> String {
    let secrets: Api<Secret> = world.api();
    let asked = json!({
        "metadata": {"name": "builder-token", "annotations": {"kubernetes.io/service-account.name": "builder"}},
        "type": "kubernetes.io/service-account-token",
    });
    secrets
        .create(&PostParams::default(), &serde_json::from_value(asked).unwrap())
        .await
        .unwrap();
    let token = |secret: &Secret| {
        let ours = secret.metadata.name.as_deref() == Some("builder-token");
        secret.data.as_ref()?.get("token").cloned().filter(|_| ours)
    };
    let all = until(&secrets, &ListParams::default(), |secrets| {
        secrets.iter().any(|secret| token(secret).is_some())
    })
    .await;
    String::from_utf8(all.iter().find_map(token).unwrap().0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_build_that_needs_too_much_memory_says_so() {
    let world = World::new().await;
    let changes = json!({"resources": {"limits": {"memory": "24Mi"}}});
    let dockerfile = "FROM PARENT\nRUN head -c 200m /dev/zero | tail\n";
    let (built, _) = failed(&world, changes, dockerfile).await;
    check(
        &built,
        ErrorKind::ResourceExhausted,
        &["24Mi", "resources.limits.memory"],
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_build_that_takes_too_long_is_ended_by_the_cluster() {
    let world = World::new().await;
    let (built, _) = failed(
        &world,
        json!({"pod_running_timeout": 8, "build_timeout": 2}),
        SLOW,
    )
    .await;
    check(&built, ErrorKind::Timeout, &["build_timeout"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_pod_that_somebody_deletes_ends_the_build() {
    let world = World::new().await;
    let delete = async {
        let pod = world.pod(is_running).await;
        let pods: Api<k8s_openapi::api::core::v1::Pod> = world.api();
        let name = pod.metadata.name.unwrap();
        pods.delete(&name, &DeleteParams::default().grace_period(0))
            .await
            .unwrap();
    };
    let subject = world.subject(json!({}));
    let (built, ()) = tokio::join!(subject.build_files("deleted", SLOW, &[]), delete);
    check(&built, ErrorKind::Unavailable, &["somebody deleted the pod"]);
    assert!(built.error().is_retryable());
    world.is_empty().await;
}
