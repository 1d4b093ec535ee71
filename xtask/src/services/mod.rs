//! The real services that tests run against: found on the machine, or set up and stopped again.

pub(crate) mod amazon;
mod bridge;
mod cluster;
pub(crate) mod engine;
mod http;
pub(crate) mod images;
pub(crate) mod machine;
mod mounts;
mod pid;
mod podman;
pub(crate) mod registry;
pub(crate) mod run_dir;
mod storage;
pub(crate) mod task;

use std::fs::{self, File};

use anyhow::{Context, Result};

use self::machine::Machine;
use self::run_dir::{RunDir, shared_address};
use crate::target_dir::cache;

/// What a test can need. The name of a test that needs one holds [`Class::word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Engine,
    Podman,
    Registry,
    Amazon,
    Cluster,
}

impl Class {
    /// Every class, in the order they are set up.
    pub(crate) const ALL: [Class; 5] = [
        Class::Engine,
        Class::Podman,
        Class::Registry,
        Class::Amazon,
        Class::Cluster,
    ];

    /// What a test binary has in its name whose service tests all need this. A test elsewhere that needs it has the
    /// same in its own path, with an underscore after it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Class::Engine => "engine",
            Class::Podman => "podman",
            Class::Registry => "registry",
            Class::Amazon => "amazon",
            Class::Cluster => "cluster",
        }
    }

    /// Whether a test says that it needs this. Means the same as [`Class::filterset`].
    pub(crate) fn is_named_by(self, binary: &str, test: &str) -> bool {
        binary.contains(self.word()) || test.contains(&format!("{}_", self.word()))
    }

    /// The tests that need this, as nextest selects them. It refuses to look for a binary that does not exist, so that
    /// the names of all are needed.
    pub(crate) fn filterset(self, binaries: &[String]) -> String {
        let (word, tests) = (self.word(), format!("test(~{}_)", self.word()));
        match binaries.iter().any(|binary| binary.contains(word)) {
            true => format!("binary(~{word}) + {tests}"),
            false => tests,
        }
    }

    /// For people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Class::Engine => "a Docker engine",
            Class::Podman => "Podman",
            Class::Registry => "a registry",
            Class::Amazon => "Amazon's services",
            Class::Cluster => "a Kubernetes cluster",
        }
    }
}

/// The services of a run: where they are, and which could not be had.
#[derive(Debug, Default)]
pub(crate) struct Services {
    /// Environment variables for tests.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// What is missing, and why.
    pub(crate) missing: Vec<(Class, String)>,
}

impl Services {
    /// Finds or sets up every service. One that cannot be had is noted and does not keep the others from being set up.
    pub(crate) fn set_up(run_dir: &RunDir, machine: &mut Machine) -> Result<Services> {
        Self::set_up_some(&Class::ALL, run_dir, machine)
    }

    /// The same for some services, in this order.
    pub(crate) fn set_up_some(
        classes: &[Class],
        run_dir: &RunDir,
        machine: &mut Machine,
    ) -> Result<Services> {
        let _lock = lock_set_up()?;
        let mut services = Services::default();
        for class in classes.iter().copied() {
            eprintln!("\n== setting up {}", class.name());
            let found = match class {
                Class::Engine => engine_variables(run_dir, machine),
                Class::Podman => podman_variables(run_dir, machine),
                Class::Registry => registry_variables(run_dir, machine),
                Class::Amazon => amazon_variables(run_dir, machine, &services.variables),
                Class::Cluster => services.cluster_variables(run_dir, machine),
            };
            match found {
                Ok(variables) => services.variables.extend(variables),
                Err(error) => services.missing.push((class, format!("{error:#}"))),
            }
        }
        services
            .variables
            .iter()
            .for_each(|(name, value)| eprintln!("{name}={}", without_password(value)));
        Ok(services)
    }

    /// Comes after the registry, from which its pods take their parent images.
    fn cluster_variables(&self, run_dir: &RunDir, machine: &mut Machine) -> Result<Variables> {
        let registry = self
            .variables
            .iter()
            .find(|(name, _)| *name == "WHARF_TEST_REGISTRY");
        let (_, registry) = registry.context("its tests take a registry, and there is none")?;
        cluster::variables(run_dir, machine, registry)
    }
}

type Variables = Vec<(&'static str, String)>;

fn engine_variables(run_dir: &RunDir, machine: &mut Machine) -> Result<Variables> {
    let address = match known("WHARF_TEST_ENGINE", "engine").or_else(engine::of_the_machine) {
        Some(address) => address,
        None => engine::start(run_dir, machine)?,
    };
    let [python, busybox] = import_images(&address, machine)?;
    Ok(vec![
        ("WHARF_TEST_ENGINE", address),
        ("WHARF_TEST_PARENT_IMAGE", python),
        ("WHARF_TEST_BUSYBOX_IMAGE", busybox),
    ])
}

fn podman_variables(run_dir: &RunDir, machine: &mut Machine) -> Result<Variables> {
    let address = match known("WHARF_TEST_PODMAN", "podman") {
        Some(address) => address,
        None => podman::start(run_dir, machine)?,
    };
    import_images(&address, machine)?;
    Ok(vec![("WHARF_TEST_PODMAN", address)])
}

/// Sees to it that the engine has the images that tests start from; gives their names.
fn import_images(address: &str, machine: &mut Machine) -> Result<[String; 2]> {
    machine.program("docker", &["docker-cli"])?;
    let archives = [images::python(machine)?, images::busybox(machine)?];
    for archive in &archives {
        images::import(address, archive)?;
    }
    Ok(archives.map(|archive| archive.name.to_owned()))
}

fn registry_variables(run_dir: &RunDir, machine: &mut Machine) -> Result<Variables> {
    let open = match known("WHARF_TEST_REGISTRY", "registry") {
        Some(address) => address,
        None => registry::start(run_dir, machine)?,
    };
    let closed = match known("WHARF_TEST_REGISTRY_AUTH", "registry-auth") {
        Some(address) => address,
        None => registry::start_with_password(run_dir, machine)?,
    };
    Ok(vec![
        ("WHARF_TEST_REGISTRY", open),
        ("WHARF_TEST_REGISTRY_AUTH", closed),
    ])
}

/// A server that plays them, Amazon's own command, and, on the engine, the image in which builds run.
fn amazon_variables(run_dir: &RunDir, machine: &mut Machine, known_so_far: &Variables) -> Result<Variables> {
    let engine = known_so_far.iter().find(|(name, _)| *name == "WHARF_TEST_ENGINE");
    let (_, engine) = engine.context("its builds run on a Docker engine, and there is none")?;
    let image = amazon::import_image(engine, &run_dir.service("amazon")?)?;
    let address = match known("WHARF_TEST_AWS", "amazon") {
        Some(address) => address,
        None => amazon::start(run_dir, machine)?,
    };
    let ecr = match known("WHARF_TEST_ECR", "ecr") {
        Some(address) => address,
        None => registry::start_for("ecr", amazon::ECR_LOGIN, run_dir, machine)?,
    };
    Ok(vec![
        ("WHARF_TEST_AWS", address),
        ("WHARF_TEST_ECR", ecr),
        (
            "WHARF_TEST_AWS_CLI",
            amazon::aws_command(machine)?.display().to_string(),
        ),
        ("WHARF_TEST_CODEBUILD_IMAGE", image),
    ])
}

/// A service somebody set up before: named by the environment, or left running by `cargo xtask services up`.
pub(crate) fn known(variable: &str, service: &str) -> Option<String> {
    let given = std::env::var(variable).ok().filter(|value| !value.is_empty());
    given.or_else(|| shared_address(service))
}

/// Installing packages and choosing folders is for one run at a time; released when the file is closed.
pub(crate) fn lock_set_up() -> Result<File> {
    fs::create_dir_all(cache()).with_context(|| format!("cannot make {}", cache().display()))?;
    let file = File::create(cache().join("set-up.lock"))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another run that is setting up its services");
        file.lock()?;
    }
    Ok(file)
}

fn without_password(address: &str) -> String {
    match address.split_once('@') {
        Some((login, host)) => format!("{}:…@{host}", login.split(':').next().unwrap_or_default()),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_or_its_binary_names_what_it_needs() {
        assert!(Class::Engine.is_named_by("engine", "copies_files"));
        assert!(Class::Engine.is_named_by("e2e", "engine_registry::pushes"));
        assert!(Class::Registry.is_named_by("e2e", "engine_::registry_pushes"));
        assert!(!Class::Engine.is_named_by("e2e", "the_engineer_is_asked"));
        let binaries = ["podman_builds".to_owned()];
        assert_eq!(
            Class::Podman.filterset(&binaries),
            "binary(~podman) + test(~podman_)"
        );
        assert_eq!(Class::Cluster.filterset(&binaries), "test(~cluster_)");
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(
            without_password("wharf:secret@127.0.0.1:5000"),
            "wharf:…@127.0.0.1:5000"
        );
        assert_eq!(without_password("unix:///run/x.sock"), "unix:///run/x.sock");
    }
}
