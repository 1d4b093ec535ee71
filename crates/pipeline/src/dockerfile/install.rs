//! How the installers are called.

use wharf_core::builder::DockerfileDialect;

use super::quote::run_words;
use crate::settings::{DockerSettings, InstallerArgument, PythonPackageInstaller};

/// How long pip waits for an answer, in seconds; its own default of 15 is short for large wheels.
const PIP_TIMEOUT: &str = "60";

/// The option that a cache mount makes senseless.
const NO_CACHE: &str = "no-cache-dir";

/// A call of the installer with a requirements file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallCommand {
    /// What stands behind `RUN --mount=`, if anything does.
    pub mount: Option<String>,
    /// The program and its arguments.
    pub words: Vec<String>,
}

impl InstallCommand {
    /// The command for a file, as settings and builder want it.
    #[must_use]
    pub fn new(settings: &DockerSettings, dialect: &DockerfileDialect, file: &str) -> Self {
        let mount = mount(settings, dialect);
        let (program, defaults): (&[&str], &[(&str, Option<&str>)]) = match settings.python_package_installer
        {
            PythonPackageInstaller::Uv => (&["uv", "pip", "install"], &[(NO_CACHE, None)]),
            PythonPackageInstaller::Pip => (
                &["pip", "install"],
                &[(NO_CACHE, None), ("default-timeout", Some(PIP_TIMEOUT))],
            ),
        };
        let mut arguments: Vec<InstallerArgument> = defaults
            .iter()
            .map(|(name, value)| InstallerArgument {
                name: (*name).to_owned(),
                value: value.map(str::to_owned),
            })
            .collect();
        for argument in &settings.python_package_installer_args {
            match arguments.iter_mut().find(|known| known.name == argument.name) {
                Some(known) => known.value.clone_from(&argument.value),
                None => arguments.push(argument.clone()),
            }
        }
        arguments.retain(|argument| mount.is_none() || argument.name != NO_CACHE);
        let mut words: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
        words.extend(arguments.iter().map(option));
        words.extend(["-r".to_owned(), file.to_owned()]);
        Self { mount, words }
    }

    /// The whole instruction.
    pub(super) fn instruction(&self) -> String {
        let words = run_words(&self.words);
        match &self.mount {
            Some(mount) => format!("RUN --mount={mount} {words}"),
            None => format!("RUN {words}"),
        }
    }
}

fn option(argument: &InstallerArgument) -> String {
    match &argument.value {
        Some(value) => format!("--{}={value}", argument.name),
        None => format!("--{}", argument.name),
    }
}

/// The user's mount, else the installer's cache, where the builder has cache mounts.
fn mount(settings: &DockerSettings, dialect: &DockerfileDialect) -> Option<String> {
    if !dialect.cache_mounts {
        return None;
    }
    let own = settings.python_package_installer_cache_mount.clone();
    Some(own.unwrap_or_else(|| {
        let name = match settings.python_package_installer {
            PythonPackageInstaller::Uv => "uv",
            PythonPackageInstaller::Pip => "pip",
        };
        format!("type=cache,target=/root/.cache/{name}")
    }))
}

/// `ARG`s that let the installers work in any parent image. An `ARG` is seen by `RUN` alone, is not in the image,
/// and gives way to an `ENV` of the same name.
///
/// Without them pip and uv refuse Pythons that a distribution manages, and uv refuses any Python outside of a
/// virtual environment. With a Python named, uv takes the first on the path, in such an environment or not.
pub(super) fn installer_defaults(settings: &DockerSettings) -> Vec<String> {
    let mut lines = vec!["ARG PIP_BREAK_SYSTEM_PACKAGES=1".to_owned()];
    if settings.python_package_installer == PythonPackageInstaller::Uv {
        lines.push("ARG UV_BREAK_SYSTEM_PACKAGES=1".to_owned());
        let chooses = |argument: &InstallerArgument| {
            matches!(argument.name.as_str(), "system" | "python" | "target" | "prefix")
        };
        if !settings.python_package_installer_args.iter().any(chooses) {
            lines.push("ARG UV_PYTHON=python3".to_owned());
        }
    }
    lines
}

/// Installs uv where the parent image has none.
pub(super) const INSTALL_UV: &str = "RUN command -v uv > /dev/null || pip install --no-cache-dir uv";

/// The instruction that installs Debian packages and leaves no lists behind.
pub(super) fn apt_instruction(packages: &[String], dialect: &DockerfileDialect) -> String {
    let names = run_words(packages);
    let install = format!(
        "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {names}"
    );
    match dialect.cache_mounts {
        // The lists are in the mount, not in the image.
        true => format!(
            "RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
             --mount=type=cache,target=/var/cache/apt,sharing=locked {install}"
        ),
        false => format!("RUN {install} && rm -rf /var/lib/apt/lists/*"),
    }
}
