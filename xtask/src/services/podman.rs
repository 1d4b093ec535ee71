//! A Podman service with its own storage.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::engine::answers;
use super::machine::{Machine, is_root, privileged, remove};
use super::run_dir::{RunDir, ServiceDir};
use super::storage::{free_folder, occupy};
use crate::process::succeeds;

/// What Podman needs to build: a network for containers among it.
const PACKAGES: [&str; 3] = ["podman", "runc", "netavark"];

/// Installs Podman if it is not there, and starts its service.
pub(crate) fn start(run_dir: &RunDir, machine: &mut Machine) -> Result<String> {
    let program = machine.program("podman", &PACKAGES)?;
    machine.program("runc", &["runc"])?;
    let service = run_dir.service("podman")?;
    let storage = free_folder("podman")?;
    fs::create_dir_all(&storage)?;
    // It knows containers alone, and refuses a service whose folder for running ones is another run's. Images stay.
    remove(&storage.join("libpod"))?;
    service.note("mounts", &storage.to_string_lossy())?;
    write_configuration(&service)?;
    let socket = service.join("podman.sock");
    let address = format!("unix://{}", socket.display());
    service.start(
        podman(
            &program,
            &service,
            &storage,
            &["system", "service", "--time=0", &address],
        ),
        || socket_is_ours(&socket) && answers(&socket),
    )?;
    occupy(&storage, &service)?;
    service.note("address", &address)?;
    Ok(address)
}

/// Podman has no option for the socket's group: where it runs through `sudo`, the socket is given to the user.
fn socket_is_ours(socket: &Path) -> bool {
    let user = nix::unistd::getuid().to_string();
    is_root() || socket.exists() && succeeds(&mut privileged("chown", [Path::new(&user), socket]))
}

/// The `podman` command with the storage and configuration of our service.
fn podman(program: &Path, service: &ServiceDir, storage: &Path, arguments: &[&str]) -> Command {
    let set = |name: &str, file: &str| format!("{name}={}", service.join(file).display());
    let mut command = privileged("env", [set("CONTAINERS_CONF", "containers.conf")]);
    command.arg(set("CONTAINERS_REGISTRIES_CONF", "registries.conf"));
    // What it unpacks for a moment is removed with the rest, also when it is killed.
    command.arg(format!("TMPDIR={}", service.join("").display()));
    command
        .arg(program)
        .arg("--root")
        .arg(storage)
        .arg("--runroot")
        .arg(service.join("run"));
    command.arg("--tmpdir").arg(service.join("tmp")).args(arguments);
    command
}

fn write_configuration(service: &ServiceDir) -> Result<()> {
    // Debian's other runtime, crun, refuses cgroups in hybrid mode, and systemd is not everywhere.
    service.note(
        "containers.conf",
        "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n",
    )?;
    service.note(
        "registries.conf",
        "unqualified-search-registries = [\"docker.io\"]\n\
         [[registry]]\nlocation = \"127.0.0.1\"\ninsecure = true\n\
         [[registry]]\nlocation = \"localhost\"\ninsecure = true\n",
    )
}
