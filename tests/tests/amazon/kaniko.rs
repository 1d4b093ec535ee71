//! Kaniko's contexts on their way through S3.

use serde_json::{Value, json};
use wharf::core::ErrorKind;
use wharf::core::flavor::read_config;
use wharf::kaniko::KanikoImageBuilder;
use wharf_testkit::services;

use super::setup::{Setup, object};

/// A builder in the namespace that every cluster has, whose pods get these variables.
fn builder(env: &Value) -> KanikoImageBuilder {
    let config = object(json!({
        "kubeconfig": services::kubeconfig(),
        "kubernetes_namespace": "default",
        "executor_image": services::kaniko_image(),
        "executor": "fork",
        "allow_local_registry": true,
        "store_context_in_artifact_store": true,
        "env": env,
        "pod_template": {"spec": {
            "hostNetwork": true,
            "containers": [{"name": "kaniko", "imagePullPolicy": "IfNotPresent"}],
        }},
    }));
    KanikoImageBuilder::new(read_config(config).unwrap()).unwrap()
}

/// What Kaniko must be told of a store that is not Amazon's, see `docs/builders/kaniko.md`.
fn env(setup: &Setup) -> Value {
    json!([
        {"name": "S3_ENDPOINT", "value": setup.service.url()},
        {"name": "S3_FORCE_PATH_STYLE", "value": "true"},
        {"name": "AWS_REGION", "value": "us-east-1"},
        {"name": "AWS_ACCESS_KEY_ID", "value": "pod"},
        {"name": "AWS_SECRET_ACCESS_KEY", "value": "pod"},
    ])
}

fn dockerfile(rest: &str) -> String {
    format!("FROM {}\n{rest}\n", services::pushed_busybox_image())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine, a Kubernetes cluster and a registry"]
async fn amazon_engine_cluster_registry_a_context_is_stored_once_for_each_content() {
    let setup = Setup::new().await;
    let builder = builder(&env(&setup));
    let dockerfile = dockerfile("COPY a /a\nRUN cat /a");
    for content in ["the first\n", "the first\n", "the second\n"] {
        let (request, _directory) = setup.request(&dockerfile, &[("a", content)]);
        let ended = setup.build(&builder, request).await;
        ended.outcome();
        assert!(ended.log().contains(content.trim()), "{}", ended.log());
    }
    let objects = setup.service.objects(&setup.name).await;
    assert_eq!(objects.len(), 2, "{objects:?}");
    for name in &objects {
        assert!(
            name.starts_with("store/kaniko-build-contexts/") && name.ends_with(".tar.gz"),
            "{name}"
        );
    }
    assert_eq!(setup.count("s3:PUT"), 2, "{:?}", setup.service.calls());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine, a Kubernetes cluster and a registry"]
async fn amazon_engine_cluster_registry_a_context_in_many_parts_arrives_whole() {
    let setup = Setup::new().await;
    let dockerfile = dockerfile("COPY . /x\nRUN cat /x/part-* | wc -c && cat /x/part-* | sha256sum");
    let (request, directory) = setup.request(&dockerfile, &[]);
    let mut state = 88_172_645_463_325_252_u64;
    for part in 0..3 {
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take((10 << 20) / 8)
        .flatten()
        .collect();
        std::fs::write(directory.path().join(format!("part-{part}")), noise).unwrap();
    }
    let sum = std::process::Command::new("sh")
        .args(["-c", "cat part-* | sha256sum | cut -c1-64"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let ended = setup.build(&builder(&env(&setup)), request).await;
    ended.outcome();
    let log = ended.log();
    assert!(log.contains("31457280") && log.contains(sum.trim()), "{sum}{log}");
    assert!(setup.count("s3:POST") >= 2, "it was sent in parts");
    assert_eq!(setup.service.unfinished_uploads(&setup.name).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine, a Kubernetes cluster and a registry"]
async fn amazon_engine_cluster_registry_a_pod_that_may_not_read_the_store_says_so() {
    let setup = Setup::new().await;
    let (request, _directory) = setup.request(&dockerfile("RUN true"), &[]);
    let endpoint = json!([
        {"name": "S3_ENDPOINT", "value": setup.service.url()},
        {"name": "AWS_REGION", "value": "us-east-1"},
    ]);
    let ended = setup.build(&builder(&endpoint), request).await;
    let report = ended.error().report();
    assert_eq!(ended.error().kind(), ErrorKind::BuildFailed, "{report}");
    assert!(
        report.contains("S3: GetObject") && report.contains("credentials"),
        "{report}"
    );
}
