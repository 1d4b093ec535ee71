//! buildx, as Debian's newest distribution has it, kept in the cache and not installed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{capture, command, run_quietly};
use crate::services::machine::{remove, unpack};
use crate::services::run_dir::ServiceDir;
use crate::target_dir::cache;

const SOURCE: &str = "deb http://deb.debian.org/debian sid main\n";

/// The plugin, in a configuration folder of its own.
#[derive(Debug)]
pub(crate) struct Buildx {
    configuration: PathBuf,
}

/// The plugin itself. Downloads it if the cache has none.
pub(crate) fn plugin() -> Result<PathBuf> {
    let package = cache().join("packages/docker-buildx");
    if !package.is_dir() {
        download(&package)?;
    }
    Ok(package.join("usr/libexec/docker/cli-plugins/docker-buildx"))
}

impl Buildx {
    /// Downloads it if the cache has none.
    pub(crate) fn get(service: &ServiceDir) -> Result<Buildx> {
        let plugin = plugin()?;
        let configuration = service.join("docker-config");
        let plugins = configuration.join("cli-plugins");
        fs::create_dir_all(&plugins)?;
        symlink(plugin, plugins.join("docker-buildx"))?;
        Ok(Buildx { configuration })
    }

    /// Its name and version, in one line.
    pub(crate) fn version(&self) -> Result<String> {
        let text = capture(&mut self.docker(&["buildx", "version"]))?;
        Ok(text.trim().to_owned())
    }

    /// A build of the folder on an engine.
    pub(crate) fn build(&self, engine: &str, tag: &str, tree: &Path) -> Command {
        let mut build = self.docker(&["buildx", "build", "--progress", "plain", "--load", "-t", tag]);
        build.arg(tree).env("DOCKER_HOST", engine);
        build
    }

    fn docker(&self, arguments: &[&str]) -> Command {
        let mut docker = command("docker", arguments);
        docker
            .env("DOCKER_CONFIG", &self.configuration)
            .env_remove("DOCKER_CONTEXT")
            .env_remove("BUILDX_BUILDER");
        docker
    }
}

/// Gets the package with package lists of its own, so that the machine's package sources stay as they are.
fn download(package: &Path) -> Result<()> {
    let work = package.with_extension("download");
    remove(&work)?;
    for folder in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(work.join(folder))?;
    }
    fs::write(work.join("sources.list"), SOURCE).context("cannot write a package source")?;
    run_quietly(&mut apt(&work, &["update"]))?;
    run_quietly(&mut apt(&work, &["download", "docker-buildx"]))?;
    unpack(&work, package)?;
    remove(&work)
}

fn apt(work: &Path, arguments: &[&str]) -> Command {
    let inside = |option: &str, name: &str| format!("{option}={}", work.join(name).display());
    let mut apt = command("apt-get", ["-qq", "-o", "APT::Sandbox::User=root"]);
    apt.args([
        "-o",
        &inside("Dir::Etc::sourcelist", "sources.list"),
        "-o",
        "Dir::Etc::sourceparts=-",
    ]);
    apt.args([
        "-o",
        &inside("Dir::State::lists", "lists"),
        "-o",
        &inside("Dir::Cache", "."),
    ]);
    apt.args(arguments).current_dir(work);
    apt
}
