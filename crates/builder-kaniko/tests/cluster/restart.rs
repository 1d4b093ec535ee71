//! Builds through an API server that is killed and started again.
//!
//! The cluster's own is left alone, since other tests use it: this starts a second one on the same store, as a cluster
//! with several API servers has, and builds through that one only.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use wharf_testkit::services;

use crate::support::{PATIENCE, World, no_line_is_lost};

/// An API server of the test's own.
struct ApiServer {
    words: Vec<String>,
    folder: PathBuf,
    process: Child,
}

impl ApiServer {
    /// Starts one like the cluster's, on another port and with a certificate of its own.
    fn start(folder: &Path) -> Self {
        let port = free_port();
        let own = [
            format!("--secure-port={port}"),
            format!("--cert-dir={}", folder.join("certificates").display()),
            // The address of the service `kubernetes` stays that of the cluster's own.
            "--endpoint-reconciler-type=none".to_owned(),
        ];
        let mut words = words_of_the_cluster_s();
        words.retain(|word| !own.iter().any(|own| option(own) == option(word)));
        words.extend(own);
        let mut kubeconfig = Kubeconfig::read_from(services::kubeconfig()).unwrap();
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        cluster.server = Some(format!("https://127.0.0.1:{port}"));
        cluster.certificate_authority = Some(folder.join("certificates/apiserver.crt").display().to_string());
        fs::write(
            folder.join("kubeconfig"),
            serde_json::to_string(&kubeconfig).unwrap(),
        )
        .unwrap();
        Self {
            process: run(&words, folder),
            words,
            folder: folder.to_owned(),
        }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Asks until it answers: before that there is nobody who could tell.
    async fn is_ready(&self) {
        let asked = async {
            let mut pause = tokio::time::interval(Duration::from_millis(100));
            while !self.answers().await {
                pause.tick().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, asked).await;
        assert!(
            in_time.is_ok(),
            "the API server does not answer within {PATIENCE:?}"
        );
    }

    async fn answers(&self) -> bool {
        // Before it was started for the first time there is no certificate yet.
        let Ok(kubeconfig) = Kubeconfig::read_from(self.kubeconfig()) else {
            return false;
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let Some(client) = config.ok().and_then(|config| Client::try_from(config).ok()) else {
            return false;
        };
        client.apiserver_version().await.is_ok()
    }

    /// Kills it, as a node that fails does, and starts it again.
    async fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        assert!(!self.answers().await);
        self.process = run(&self.words, &self.folder);
        self.is_ready().await;
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(words: &[String], folder: &Path) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn option(word: &str) -> &str {
    word.split_once('=').map_or(word, |(name, _)| name)
}

/// How the cluster's own API server was started; it runs on this machine, on the port that the kubeconfig names.
fn words_of_the_cluster_s() -> Vec<String> {
    let kubeconfig = Kubeconfig::read_from(services::kubeconfig()).unwrap();
    let server = kubeconfig.clusters[0]
        .cluster
        .as_ref()
        .and_then(|cluster| cluster.server.clone())
        .unwrap();
    let port = server
        .rsplit(':')
        .next()
        .unwrap()
        .trim_end_matches('/')
        .to_owned();
    let wanted = format!("--secure-port={port}");
    let lines = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("cmdline")).ok());
    let mut words = lines.map(|line| {
        line.trim_end_matches('\0')
            .split('\0')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    words
        .find(|words| words[0].ends_with("kube-apiserver") && words.contains(&wanted))
        .unwrap_or_else(|| panic!("the API server {server} does not run on this machine"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn an_api_server_that_is_restarted_ends_no_build_and_loses_no_line() {
    let world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let mut server = ApiServer::start(directory.path());
    server.is_ready().await;
    let subject = world.subject(json!({"kubeconfig": server.kubeconfig()}));
    let restart = async |lines| {
        if lines == 20 {
            server.restart().await;
        }
    };
    no_line_is_lost(&subject, "restarted", 200, restart).await;
    world.is_empty().await;
}
