//! A real Kubernetes 1.20 of one node: etcd, API server with RBAC, controllers, scheduler, and a kubelet on an engine of
//! its own. Pods run as on any cluster; those on the node's own network reach the registries on loopback.

mod binaries;
mod configuration;
mod images;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use self::binaries::Binaries;
use self::configuration::Access;
use super::http::free_port;
use super::machine::Machine;
use super::run_dir::{RunDir, ServiceDir, shared_address};
use super::{engine, known};
use crate::process::command;

/// How long the node may take to be ready once everything runs.
const NODE_PATIENCE: Duration = Duration::from_secs(90);
/// The service whose process is the API server and whose address is the kubeconfig.
const SERVICE: &str = "cluster";
const PARENT_REPOSITORY: &str = "wharf-test/busybox:1";

/// Finds or starts a cluster and gives the variables for tests. `registry` is where pods pull parent images from.
pub(crate) fn variables(
    run_dir: &RunDir,
    machine: &mut Machine,
    registry: &str,
) -> Result<Vec<(&'static str, String)>> {
    if let Some(kubeconfig) = given("WHARF_TEST_KUBECONFIG") {
        return foreign(kubeconfig);
    }
    let kubeconfig = match known("WHARF_TEST_KUBECONFIG", SERVICE) {
        Some(kubeconfig) => kubeconfig,
        None => start(run_dir, machine)?,
    };
    let engine = run_dir
        .address_of(images::ENGINE)
        .or_else(|| shared_address(images::ENGINE));
    let Some(engine) = engine else {
        bail!("the cluster runs, and its engine does not");
    };
    let parent = format!("{registry}/{PARENT_REPOSITORY}");
    images::push_parent(&engine, &parent)?;
    Ok(vec![
        ("WHARF_TEST_KUBECONFIG", kubeconfig),
        ("WHARF_TEST_KANIKO_IMAGE", images::KANIKO.to_owned()),
        ("WHARF_TEST_CLUSTER_PARENT_IMAGE", parent),
    ])
}

fn given(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// A cluster that is somebody's own: nothing is put into it.
fn foreign(kubeconfig: String) -> Result<Vec<(&'static str, String)>> {
    let mut variables = vec![("WHARF_TEST_KUBECONFIG", kubeconfig)];
    for name in ["WHARF_TEST_KANIKO_IMAGE", "WHARF_TEST_CLUSTER_PARENT_IMAGE"] {
        let Some(value) = given(name) else {
            bail!("WHARF_TEST_KUBECONFIG names a cluster, and {name} no image in it: set both, or neither");
        };
        variables.push((name, value));
    }
    Ok(variables)
}

/// Starts a cluster. Gives the path of its kubeconfig, which may do everything.
fn start(run_dir: &RunDir, machine: &mut Machine) -> Result<String> {
    let binaries = Binaries::get(machine)?;
    let engine = engine::start_as(images::ENGINE, run_dir, machine)?;
    images::prepare(&engine, machine)?;
    let etcd = start_etcd(run_dir, &binaries)?;
    let server = run_dir.service(SERVICE)?;
    let access = Access::make(&server, free_port()?)?;
    server.start(
        configuration::api_server(&binaries, &server, &access, &etcd),
        || access.answers("/readyz"),
    )?;
    access.write_kubeconfigs()?;
    for (name, daemon) in [
        (
            "cluster-controllers",
            configuration::controllers(&binaries, &access),
        ),
        ("cluster-scheduler", configuration::scheduler(&binaries, &access)),
    ] {
        run_dir.service(name)?.start(daemon, || true)?;
    }
    let kubelet = run_dir.service("cluster-kubelet")?;
    let daemon = configuration::kubelet(&binaries, &kubelet, &access, &engine)?;
    kubelet.start(daemon, || access.answers("/api/v1/nodes/127.0.0.1"))?;
    wait_for_node(&access, &kubelet)?;
    let kubeconfig = access.admin().display().to_string();
    server.note("address", &kubeconfig)?;
    Ok(kubeconfig)
}

fn start_etcd(run_dir: &RunDir, binaries: &Binaries) -> Result<String> {
    let service = run_dir.service("cluster-etcd")?;
    let (clients, peers) = (free_port()?, free_port()?);
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let mut daemon = command(&binaries.etcd, ["--data-dir"]);
    daemon.arg(service.join("data"));
    for (name, port) in [
        ("--listen-client-urls", clients),
        ("--advertise-client-urls", clients),
        ("--listen-peer-urls", peers),
        ("--initial-advertise-peer-urls", peers),
    ] {
        daemon.args([name, &url(port)]);
    }
    daemon.args(["--initial-cluster", &format!("default={}", url(peers))]);
    // The data is thrown away anyway.
    daemon.arg("--unsafe-no-fsync");
    service.start(daemon, || TcpStream::connect(("127.0.0.1", clients)).is_ok())?;
    Ok(url(clients))
}

/// Waits until the node takes pods and the first account of a namespace is there.
fn wait_for_node(access: &Access, kubelet: &ServiceDir) -> Result<()> {
    let begin = Instant::now();
    let is_ready = || {
        let node = access.get("/api/v1/nodes/127.0.0.1").unwrap_or_default();
        let conditions = node["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let ready = conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        ready && access.answers("/api/v1/namespaces/default/serviceaccounts/default")
    };
    while !is_ready() {
        if begin.elapsed() > NODE_PATIENCE {
            bail!(
                "the cluster's node is not ready; its log is {}",
                kubelet.join("log").display()
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
