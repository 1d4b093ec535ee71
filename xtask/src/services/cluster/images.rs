//! The images that pods of the cluster run, on the cluster's own engine.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;

use super::super::engine::docker;
use super::super::images::{BUSYBOX, archive, busybox, busybox_files, debian_files, import};
use super::super::machine::{Machine, privileged};
use crate::process::{capture, run_quietly};

/// The engine that belongs to the cluster alone: a kubelet takes every container of its own kind for its own.
pub(super) const ENGINE: &str = "cluster-engine";
/// Does as Kaniko's executor does, and really builds.
pub(super) const KANIKO: &str = "wharf-test/kaniko:1";
/// Holds a pod together.
pub(super) const PAUSE: &str = "wharf-test/pause:1";

const EXECUTOR: &str = include_str!("executor.py");
/// What the executor calls, and the network that Debian's buildah insists on.
const PACKAGES: &str = "python3,buildah,skopeo,netavark,ca-certificates";
/// Ends when it is told to; what ignores that holds every pod's end up.
const WAIT: &str = "trap 'exit 0' TERM INT; while :; do /bin/busybox sleep 3600 & wait; done";

/// Puts the images on the engine and removes what pods of an earlier cluster have left there.
pub(super) fn prepare(engine: &str, machine: &mut Machine) -> Result<()> {
    let left = capture(&mut docker(engine, &["ps", "--all", "--quiet"]))?;
    let left: Vec<&str> = left.split_whitespace().collect();
    if !left.is_empty() {
        run_quietly(docker(engine, &["rm", "--force", "--volumes"]).args(left))?;
    }
    for image in [busybox(machine)?, pause(machine)?, kaniko(machine)?] {
        import(engine, &image)?;
    }
    Ok(())
}

/// Pushes the small image to the registry that pods take their parent images from.
pub(super) fn push_parent(engine: &str, name: &str) -> Result<()> {
    run_quietly(&mut docker(engine, &["tag", BUSYBOX, name]))?;
    run_quietly(&mut docker(engine, &["push", "--quiet", name]))
}

fn pause(machine: &mut Machine) -> Result<super::super::images::Archive> {
    let entrypoint = serde_json::json!(["/bin/busybox", "sh", "-c", WAIT]);
    archive(PAUSE, vec![format!("ENTRYPOINT {entrypoint}")], |folder| {
        busybox_files(machine, folder)
    })
}

fn kaniko(machine: &mut Machine) -> Result<super::super::images::Archive> {
    let mut hasher = DefaultHasher::new();
    EXECUTOR.hash(&mut hasher);
    let changes = vec![
        "ENTRYPOINT [\"/kaniko/executor\"]".to_owned(),
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "ENV HOME=/root".to_owned(),
        format!("LABEL wharf.executor={:016x}", hasher.finish()),
    ];
    archive(KANIKO, changes, |folder| kaniko_files(machine, folder))
}

fn kaniko_files(machine: &mut Machine, folder: &Path) -> Result<()> {
    debian_files(machine, folder, PACKAGES)?;
    // The folder belongs to root, and this may not run as root.
    let executor = folder.with_extension("executor");
    fs::write(&executor, EXECUTOR)?;
    fs::set_permissions(&executor, fs::Permissions::from_mode(0o755))?;
    run_quietly(privileged("mkdir", ["-p"]).arg(folder.join("kaniko")))?;
    run_quietly(privileged("cp", [&executor, &folder.join("kaniko/executor")]).arg("--preserve=mode"))?;
    fs::remove_file(&executor)?;
    Ok(())
}
