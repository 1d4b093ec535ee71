//! Builds in a cluster that are ended at any moment leave nothing, once `wharf gc` has run.

use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::killed::Dice;
use crate::support::Sandbox;

/// In that time a build is sometimes not begun, sometimes being sent, and mostly in its step.
const LONGEST_LIFE_MS: u64 = 6_000;
/// How many builds run at the same time.
const AT_ONCE: usize = 5;
/// How long the cluster may take to remove what it was told to.
const LIMIT: Duration = Duration::from_secs(180);

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by `cargo xtask test`"))
}

/// A namespace of the test's own.
struct Cluster {
    runtime: Runtime,
    client: Client,
    namespace: String,
}

impl Cluster {
    fn new(name: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let namespace = format!("wharf-{name}-{}", std::process::id());
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(variable("WHARF_TEST_KUBECONFIG")).unwrap();
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .unwrap();
            let client = Client::try_from(config).unwrap();
            let namespaces: Api<Namespace> = Api::all(client.clone());
            let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
            namespaces.create(&PostParams::default(), &object).await.unwrap();
            let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
            while accounts.get_opt("default").await.unwrap().is_none() {
                tokio::task::yield_now().await;
            }
            client
        });
        Self {
            runtime,
            client,
            namespace,
        }
    }

    /// What is there of any build.
    fn left(&self) -> Vec<String> {
        let all = ListParams::default().labels("wharf/build");
        self.runtime.block_on(async {
            let client = || self.client.clone();
            let jobs = Api::<Job>::namespaced(client(), &self.namespace)
                .list(&all)
                .await
                .unwrap();
            let pods = Api::<Pod>::namespaced(client(), &self.namespace)
                .list(&all)
                .await
                .unwrap();
            let secrets = Api::<Secret>::namespaced(client(), &self.namespace)
                .list(&all)
                .await
                .unwrap();
            let names = jobs.items.into_iter().map(|job| job.metadata.name);
            let names = names.chain(pods.items.into_iter().map(|pod| pod.metadata.name));
            names
                .chain(secrets.items.into_iter().map(|secret| secret.metadata.name))
                .flatten()
                .collect()
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        // The cluster does it by itself.
        let _ = self
            .runtime
            .block_on(namespaces.delete(&self.namespace, &DeleteParams::default()));
    }
}

/// A stack whose builds hand credentials over, so that there is a Secret to leave behind.
fn stack(namespace: &str) -> (Value, String) {
    let closed = variable("WHARF_TEST_REGISTRY_AUTH");
    let (login, host) = closed.rsplit_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let stack = json!({
        "image_builder": {"flavor": "kaniko", "config": {
            "kubeconfig": variable("WHARF_TEST_KUBECONFIG"),
            "kubernetes_namespace": namespace,
            "executor_image": variable("WHARF_TEST_KANIKO_IMAGE"),
            "pod_template": {"spec": {
                "hostNetwork": true,
                "containers": [{"name": "kaniko", "imagePullPolicy": "IfNotPresent"}],
            }},
        }},
        "container_registry": {"flavor": "default", "config": {
            "uri": host, "username": user, "password": password,
        }},
    });
    (stack, host.to_owned())
}

fn start(sandbox: &Sandbox, image: &str) -> Child {
    let mut command = sandbox.command(&[
        "build",
        "-t",
        image,
        "--stack-file",
        "stack.yaml",
        "--allow-local-registry",
        "--progress",
        "plain",
    ]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Ends a build after a random while. With SIGKILL nothing is cleaned up; with the others everything is.
fn kill_some_time(mut child: Child, life: u64, signal: Signal) {
    let (_alive, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_millis(life));
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "needs a Kubernetes cluster and a registry"]
fn cluster_registry_fifty_killed_builds_leave_nothing_after_gc() {
    let cluster = Cluster::new("killed");
    let (stack, host) = stack(&cluster.namespace);
    let dockerfile = format!(
        "FROM {}\nRUN sleep 600\n",
        variable("WHARF_TEST_CLUSTER_PARENT_IMAGE")
    );
    let sandbox = Sandbox::with(&[("Dockerfile", &dockerfile), ("stack.yaml", &stack.to_string())]);
    let mut dice = Dice::new();
    let mut found = 0;
    for wave in 0..50 / AT_ONCE {
        std::thread::scope(|scope| {
            for number in 0..AT_ONCE {
                let image = format!("{host}/killed/app:{wave}-{number}");
                let life = dice.below(LONGEST_LIFE_MS);
                let signal = [Signal::KILL, Signal::INT, Signal::TERM][dice.below(3) as usize];
                let sandbox = &sandbox;
                scope.spawn(move || kill_some_time(start(sandbox, &image), life, signal));
            }
        });
        let gc = sandbox
            .run(&["gc", "--stack-file", "stack.yaml", "--output", "json"])
            .ok();
        let removed: Vec<Value> = serde_json::from_str(&gc).unwrap();
        found += removed.len();
    }
    assert!(
        found > 0,
        "no build was killed where it left something: nothing was proven"
    );
    let begin = Instant::now();
    while !cluster.left().is_empty() {
        assert!(begin.elapsed() < LIMIT, "these stayed: {:?}", cluster.left());
    }
    assert_eq!(sandbox.names(), ["Dockerfile", "stack.yaml"]);
}

#[test]
#[ignore = "needs a Kubernetes cluster and a registry"]
fn cluster_registry_a_build_prints_its_digest_and_nothing_else() {
    let cluster = Cluster::new("printed");
    let (stack, host) = stack(&cluster.namespace);
    let sandbox = Sandbox::with(&[("Dockerfile", "FROM scratch\nCOPY a /a\n"), ("a", "1")]);
    sandbox.write("stack.yaml", &stack.to_string());
    let image = format!("{host}/printed/app:1");
    let build = ["build", "-t", &image, "--stack-file", "stack.yaml"];
    sandbox
        .run(&build)
        .failed(3, &["the stack does not work", &host, "--allow-local-registry"]);
    let printed = sandbox
        .run(&[&build[..], &["--allow-local-registry"]].concat())
        .ok();
    assert!(
        printed.starts_with(&format!("{host}/printed/app@sha256:")),
        "{printed}"
    );
    assert_eq!(printed.lines().count(), 1);
}
