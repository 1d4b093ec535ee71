//! The Docker engine: the one that is there, or one of our own with its own data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::bridge;
use super::http::status_of_socket;
use super::machine::{Machine, find, is_root, privileged, remove};
use super::mounts;
use super::run_dir::{RunDir, ServiceDir, stop_unit};
use super::storage::{free_folder, occupy};
use crate::process::{capture, command};

/// Where an engine that the machine runs for everybody listens.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// What our own engine may keep from run to run, in MiB. Beyond that it starts empty again.
const DATA_LIMIT: u64 = 12 * 1024;

/// The engine at the default socket, if it answers there.
pub(crate) fn of_the_machine() -> Option<String> {
    answers(Path::new(DEFAULT_SOCKET)).then(|| format!("unix://{DEFAULT_SOCKET}"))
}

/// Whether an engine listens on this socket.
pub(crate) fn answers(socket: &Path) -> bool {
    status_of_socket(socket, "/_ping") == Some(200)
}

/// Starts an engine that shares nothing with another one on this machine: sockets and state are in the run's folder,
/// images in the cache. Installs the engine if it is not there.
pub(crate) fn start(run_dir: &RunDir, machine: &mut Machine) -> Result<String> {
    start_as("engine", run_dir, machine)
}

/// Starts another one, for a service of this name.
pub(crate) fn start_as(name: &str, run_dir: &RunDir, machine: &mut Machine) -> Result<String> {
    let service = run_dir.service(name)?;
    let daemon = install(&service, machine)?;
    let data = data_root(name)?;
    service.note("mounts", &data.to_string_lossy())?;
    let bridge = bridge::make(&service)?;
    let socket = service.join("docker.sock");
    service.start(daemon_command(&daemon, &service, &data, &bridge)?, || {
        answers(&socket)
    })?;
    occupy(&data, &service)?;
    let address = format!("unix://{}", socket.display());
    service.note("address", &address)?;
    Ok(address)
}

fn install(service: &ServiceDir, machine: &mut Machine) -> Result<PathBuf> {
    if find("dockerd").is_none() {
        // The package starts an engine for everybody on the machine, which nobody asked for here.
        service.note("unit", "docker")?;
        machine.program("dockerd", &["docker.io", "iptables"])?;
        stop_unit("docker");
        service.forget("unit");
    }
    // A part of docker.io in Debian 12, a package of its own since.
    machine.program("docker", &["docker-cli"])?;
    machine.program("iptables", &["iptables"])?;
    machine.program("ip", &["iproute2"])?;
    machine.program("dockerd", &["docker.io"])
}

fn daemon_command(daemon: &Path, service: &ServiceDir, data: &Path, bridge: &str) -> Result<Command> {
    // An empty configuration instead of the machine's, which may contradict the options here.
    service.note("daemon.json", "{}")?;
    let inside = |name: &str| service.join(name).display().to_string();
    let mut command = privileged(daemon, [""; 0]);
    command.args(["--host", &format!("unix://{}", inside("docker.sock"))]);
    command.args([
        "--config-file",
        &inside("daemon.json"),
        "--pidfile",
        &inside("dockerd.pid"),
    ]);
    command.args([
        "--exec-root",
        &inside("exec"),
        "--log-level",
        "warn",
        "--bridge",
        bridge,
    ]);
    command.arg("--data-root").arg(data);
    if !is_root() {
        command.args(["--group", &nix::unistd::getgid().to_string()]);
    }
    Ok(command)
}

/// A folder for what our engine keeps: there are several, for runs at the same time, and this is the first that no
/// running engine uses. Call it with the set-up lock held.
fn data_root(kind: &str) -> Result<PathBuf> {
    let data = free_folder(kind)?;
    if data.is_dir() && size_in_mib(&data) > DATA_LIMIT {
        eprintln!("emptying {}: it holds more than {DATA_LIMIT} MiB", data.display());
        mounts::unmount(&data);
        remove(&data)?;
    }
    // An engine that finds the bridge of its last run here deletes that bridge's rules, also when another engine uses
    // a bridge of this name by now: containers there would reach nothing any more.
    let networks = data.join("network");
    if networks.exists() {
        remove(&networks)?;
    }
    fs::create_dir_all(&data)?;
    Ok(data)
}

fn size_in_mib(folder: &Path) -> u64 {
    let mut command = privileged(
        "du",
        [Path::new("--summarize"), Path::new("--block-size=1M"), folder],
    );
    let text = capture(&mut command).unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// The `docker` command, talking to this engine and with none of the user's configuration.
pub(crate) fn docker(address: &str, arguments: &[&str]) -> Command {
    let mut docker = command("docker", arguments);
    docker
        .env("DOCKER_HOST", address)
        .env("DOCKER_CONFIG", "/nonexistent")
        .env_remove("DOCKER_CONTEXT");
    docker
}
