use std::sync::Arc;

use serde_json::{Value, json};
use wharf_core::builder::BuildRequest;
use wharf_core::registry::{FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{BuildContext, FileSource, Secret as Hidden};

use super::*;
use crate::config::parts;

fn plan(change: impl FnOnce(&mut BuildRequest)) -> BuildPlan {
    let mut context = BuildContext::empty();
    let dockerfile = FileSource::Bytes("FROM scratch AS one\n".into());
    context.add_file("Dockerfile", dockerfile, None).unwrap();
    let config = RegistryConfig {
        uri: "127.0.0.1:5000".into(),
        ..RegistryConfig::default()
    };
    let registry = FlavoredRegistry::new(RegistryFlavor::Default, config).unwrap();
    let mut request = BuildRequest::new("127.0.0.1:5000/team/app:1".parse().unwrap(), context);
    request.registry = Some(Arc::new(registry));
    change(&mut request);
    BuildPlan::new(&request).unwrap()
}

fn handover() -> Handover {
    Handover {
        docker_config: Some(Hidden::new("{}")),
        ca: Some(Hidden::new("PEM")),
    }
}

fn made(config: Value, plan: &BuildPlan, handover: &Handover) -> Value {
    let config: KanikoImageBuilderConfig = serde_json::from_value(config).unwrap();
    let parts = parts(&config).unwrap();
    let manifest = Manifest {
        name: "wharf-00",
        config: &config,
        parts: &parts,
        plan,
        context: crate::arguments::STDIN_CONTEXT,
        handover,
    };
    json!({"job": manifest.job(), "secret": manifest.secret("uid-1"), "probe": manifest.probe_pod()})
}

#[test]
fn the_job_ends_and_goes_by_itself() {
    let config = json!({"pod_running_timeout": 100, "build_timeout": 1000});
    let made = made(config, &plan(|_| {}), &Handover::default());
    let spec = &made["job"]["spec"];
    assert_eq!(spec["template"]["spec"]["activeDeadlineSeconds"], 1100);
    assert_eq!(spec["activeDeadlineSeconds"], 1160);
    assert_eq!(
        (&spec["backoffLimit"], &spec["ttlSecondsAfterFinished"]),
        (&json!(0), &json!(600))
    );
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
    assert!(made["secret"].is_null());
}

#[test]
fn credentials_and_certificates_are_files_of_a_secret_that_goes_with_the_job() {
    let made = made(json!({}), &plan(|_| {}), &handover());
    let secret = &made["secret"];
    assert_eq!(
        secret["stringData"],
        json!({"config.json": "{}", "registry-ca.crt": "PEM"})
    );
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "wharf-00", "uid": "uid-1"}]);
    assert_eq!(secret["metadata"]["ownerReferences"], owner);
    let container = &made["job"]["spec"]["template"]["spec"]["containers"][0];
    let folders: Vec<_> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["mountPath"])
        .collect();
    assert_eq!(folders, ["/kaniko/.docker", "/kaniko/wharf"]);
    assert!(!made["job"].to_string().contains("PEM"));
}

#[test]
fn what_the_configuration_mounts_for_kaniko_is_left_alone() {
    let config = json!({
        "volumes": [{"name": "c", "secret": {"secretName": "mine"}}],
        "volume_mounts": [{"name": "c", "mountPath": "/kaniko/.docker/"}],
    });
    let made = made(config, &plan(|_| {}), &handover());
    let mounts = made["job"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].to_string();
    assert!(
        mounts.contains("\"c\"") && !mounts.contains("wharf-docker-config"),
        "{mounts}"
    );
}

#[test]
fn a_template_is_kept_under_what_wharf_adds() {
    let config = json!({
        "executor_image": "r.example/kaniko:1",
        "pod_template": {
            "metadata": {"annotations": {"a": "b"}},
            "spec": {
                "hostNetwork": true,
                "containers": [
                    {"name": "kaniko", "imagePullPolicy": "Never", "image": "other"},
                    {"name": "proxy", "image": "p"},
                ],
            },
        },
    });
    let made = made(config, &plan(|_| {}), &Handover::default());
    let template = &made["job"]["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["a"], "b");
    assert_eq!(template["spec"]["hostNetwork"], true);
    let containers = template["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 2);
    assert_eq!(containers[0]["imagePullPolicy"], "Never");
    assert_eq!(containers[0]["image"], "r.example/kaniko:1");
    assert_eq!(made["probe"]["spec"], template["spec"]);
}

#[test]
fn options_become_arguments_hosts_and_a_node_of_the_right_kind() {
    let plan = plan(|request| {
        let options = &mut request.options;
        options.target = Some("one".into());
        options.no_cache = true;
        options.platforms = vec!["linux/arm64".parse().unwrap()];
        options.extra_hosts.insert("db".into(), "10.0.0.5".into());
        options.build_args.insert("A".into(), "$(HOME) $$".into());
    });
    let config = json!({"cache": true, "cache_repository": "r.example/cache", "executor_args": ["--x=$(Y)"]});
    let made = made(config, &plan, &Handover::default());
    let pod = &made["job"]["spec"]["template"]["spec"];
    let expected = [
        "--dockerfile=Dockerfile",
        "--context=tar://stdin",
        "--destination=127.0.0.1:5000/team/app:1",
        "--digest-file=/dev/termination-log",
        "--log-format=json",
        "--insecure-registry=127.0.0.1:5000",
        "--cache=true",
        "--cache-repo=r.example/cache",
        "--x=$(Y)",
        "--build-arg",
        "A=$$(HOME) $$$$",
        "--target=one",
        "--custom-platform=linux/arm64",
        "--cache=false",
    ];
    assert_eq!(pod["containers"][0]["args"], json!(expected));
    assert_eq!(
        pod["nodeSelector"],
        json!({"kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux"})
    );
    assert_eq!(
        pod["hostAliases"],
        json!([{"ip": "10.0.0.5", "hostnames": ["db"]}])
    );
}

#[test]
fn only_the_fork_gets_the_fork_s_switches() {
    let environment = |image: &str| {
        let made = made(
            json!({"executor_image": image}),
            &plan(|_| {}),
            &Handover::default(),
        );
        made["job"]["spec"]["template"]["spec"]["containers"][0]["env"].to_string()
    };
    assert!(environment("martizih/kaniko:1").contains("FF_KANIKO_COPY_AS_ROOT"));
    assert_eq!(environment("gcr.io/kaniko-project/executor:v1.9.1"), "null");
    assert_eq!(environment("r.example/kaniko:1"), "null");
}
