//! Every way the local builder builds passes the suite for image builders.

use std::sync::Arc;

use wharf::core::flavor::known::{KanikoImageBuilderConfig, LocalImageBuilderConfig};
use wharf::kaniko::KanikoImageBuilder;
use wharf::local::LocalImageBuilder;
use wharf_testkit::services;
use wharf_testkit::suite::Subject;

fn subject(config: LocalImageBuilderConfig) -> Subject {
    Subject {
        builder: Arc::new(LocalImageBuilder::new(config)),
        registry: services::open_registry(),
        closed_registry: services::registry_with_password(Some("wrong")),
        parent_image: services::busybox_image(),
    }
}

mod engine_registry_buildkit {
    use super::*;

    wharf_testkit::image_builder_suite!(
        "needs a Docker engine and a registry",
        subject(LocalImageBuilderConfig {
            host: Some(services::engine()),
            ..Default::default()
        })
    );
}

mod engine_registry_classic {
    use super::*;

    wharf_testkit::image_builder_suite!(
        "needs a Docker engine and a registry",
        subject(LocalImageBuilderConfig {
            host: Some(services::engine()),
            buildkit: Some(false),
            ..Default::default()
        })
    );
}

mod podman_registry {
    use super::*;

    wharf_testkit::image_builder_suite!(
        "needs Podman and a registry",
        subject(LocalImageBuilderConfig {
            host: Some(services::podman()),
            ..Default::default()
        })
    );
}

mod engine_registry_command {
    use super::*;

    wharf_testkit::image_builder_suite!(
        "needs a Docker engine and a registry",
        subject(LocalImageBuilderConfig {
            host: Some(services::engine()),
            use_subprocess_call: true,
            ..Default::default()
        })
    );
}

/// Pods on the node's own network, which reach the registries of the tests.
fn in_a_cluster() -> Subject {
    let config: KanikoImageBuilderConfig = serde_json::from_value(serde_json::json!({
        "kubeconfig": services::kubeconfig(),
        "kubernetes_namespace": "default",
        "executor_image": services::kaniko_image(),
        "executor": "fork",
        "allow_local_registry": true,
        "pod_template": {"spec": {
            "hostNetwork": true,
            "containers": [{"name": "kaniko", "imagePullPolicy": "IfNotPresent"}],
        }},
    }))
    .expect("a configuration");
    Subject {
        builder: Arc::new(KanikoImageBuilder::new(config).expect("a builder")),
        registry: services::open_registry(),
        closed_registry: services::registry_with_password(Some("wrong")),
        parent_image: services::pushed_busybox_image(),
    }
}

mod cluster_registry_kaniko {
    wharf_testkit::image_builder_suite!("needs a Kubernetes cluster and a registry", super::in_a_cluster());
}
