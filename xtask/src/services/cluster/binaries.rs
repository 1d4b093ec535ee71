//! The programs of the cluster: built once, from the distribution's own sources.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use anyhow::Result;

use super::super::machine::{Machine, remove};
use crate::process::{command, run_quietly};
use crate::target_dir::cache;

const BUILD: &str = include_str!("build.sh");
const PROGRAMS: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
];
/// What the build takes.
const PACKAGES: [&str; 5] = [
    "golang-go",
    "rsync",
    "make",
    "dpkg-dev",
    "golang-github-modern-go-reflect2-dev",
];

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    pub(super) etcd: PathBuf,
}

impl Binaries {
    /// Builds what the cache does not have; that takes about 7 minutes.
    pub(super) fn get(machine: &mut Machine) -> Result<Binaries> {
        for (program, package) in [("curl", "curl"), ("openssl", "openssl"), ("iptables", "iptables")] {
            machine.program(program, &[package])?;
        }
        let etcd = machine.unpacked("etcd-server")?.join("usr/bin/etcd");
        let folder = cache().join("kubernetes");
        let binaries = Binaries { folder, etcd };
        if !binaries.are_built() {
            binaries.build(machine)?;
        }
        Ok(binaries)
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join("bin").join(program)
    }

    fn are_built(&self) -> bool {
        let recipe = fs::read_to_string(self.folder.join("recipe"));
        recipe.is_ok_and(|recipe| recipe == recipe_now())
            && PROGRAMS.iter().all(|name| self.path(name).is_file())
    }

    fn build(&self, machine: &mut Machine) -> Result<()> {
        eprintln!(
            "building Kubernetes, once, which takes some minutes; it is kept in {}",
            self.folder.display()
        );
        machine.install(&PACKAGES)?;
        remove(&self.folder)?;
        fs::create_dir_all(&self.folder)?;
        let script = self.folder.join("build.sh");
        fs::write(&script, BUILD)?;
        run_quietly(command("bash", [&script]).arg(&self.folder))?;
        fs::write(self.folder.join("recipe"), recipe_now())?;
        Ok(())
    }
}

/// Changes when the programs would.
fn recipe_now() -> String {
    let mut hasher = DefaultHasher::new();
    (BUILD, std::env::consts::ARCH).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
