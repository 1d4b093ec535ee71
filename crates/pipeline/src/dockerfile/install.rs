//! How the installers are called.

use wharf_core::builder::DockerfileDialect;
use wharf_core::options::{BuildOption, BuildSecret, SecretSource};
use wharf_core::{Error, ErrorKind, Secret};

use super::quote::run_words;
use crate::gather::index_credentials::secret_argument;
use crate::requirements::RequirementsFile;
use crate::settings::{DockerSettings, InstallerArgument, PythonPackageInstaller};

/// How long pip waits for an answer, in seconds; its own default of 15 is short for large wheels.
const PIP_TIMEOUT: &str = "60";

/// The option that a cache mount makes senseless.
const NO_CACHE: &str = "no-cache-dir";

/// A call of the installer, but for the requirements file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallCommand {
    /// What stands behind each `RUN --mount=`.
    pub mounts: Vec<String>,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// A further requirements file, which is a secret.
    pub secret_file: Option<String>,
}

impl InstallCommand {
    /// The command, as settings and builder want it.
    #[must_use]
    pub fn new(settings: &DockerSettings, dialect: &DockerfileDialect) -> Self {
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
        let own = settings.python_package_installer_args.iter();
        for argument in own.filter(|argument| secret_line(argument).is_none()) {
            match arguments.iter_mut().find(|known| known.name == argument.name) {
                Some(known) => known.value.clone_from(&argument.value),
                None => arguments.push(argument.clone()),
            }
        }
        arguments.retain(|argument| mount.is_none() || argument.name != NO_CACHE);
        let mut words: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
        words.extend(arguments.iter().map(option));
        Self {
            mounts: mount.into_iter().collect(),
            words,
            secret_file: None,
        }
    }

    /// The same with a secret as a further requirements file.
    pub(super) fn with_secret(mut self, secret: Option<&BuildSecret>) -> Self {
        if let Some(secret) = secret {
            self.mounts
                .push(format!("type=secret,id={},required=true", secret.id));
            self.secret_file = Some(format!("/run/secrets/{}", secret.id));
        }
        self
    }

    /// The same for packages alone, without what they need.
    pub(super) fn without_dependencies(mut self) -> Self {
        self.words.push("--no-deps".to_owned());
        self
    }

    /// The whole instruction for a file.
    pub(super) fn instruction(&self, file: &str) -> String {
        let mut words = self.words.clone();
        words.extend(["-r".to_owned(), file.to_owned()]);
        if let Some(secret) = &self.secret_file {
            words.extend(["-r".to_owned(), secret.clone()]);
        }
        let mounts: Vec<String> = self
            .mounts
            .iter()
            .map(|mount| format!("--mount={mount} "))
            .collect();
        format!("RUN {}{}", mounts.concat(), run_words(&words))
    }
}

/// The secret that goes with a file: its own lines and the installer's options that hold credentials.
pub(super) fn secret(settings: &DockerSettings, file: &RequirementsFile) -> Option<BuildSecret> {
    let options = settings
        .python_package_installer_args
        .iter()
        .filter_map(secret_line);
    let lines: Vec<Secret> = options.chain(file.secret_lines.iter().cloned()).collect();
    if lines.is_empty() {
        return None;
    }
    let text: String = lines.iter().map(|line| format!("{}\n", line.expose())).collect();
    Some(BuildSecret {
        id: file.name.trim_start_matches('.').to_owned(),
        source: SecretSource::Value(Secret::new(text)),
    })
}

/// Options that say where packages are, and what a requirements file calls them.
const PLACES: [(&str, &str); 5] = [
    ("index-url", "index-url"),
    ("extra-index-url", "extra-index-url"),
    ("find-links", "find-links"),
    ("default-index", "index-url"),
    ("index", "extra-index-url"),
];

/// The line of a requirements file that says the same as an option that holds credentials.
fn secret_line(argument: &InstallerArgument) -> Option<Secret> {
    let name = argument.name.replace('_', "-");
    let (_, name) = PLACES.iter().find(|(option, _)| *option == name)?;
    secret_argument(name, argument.value.as_deref()?)
}

/// The error for credentials that a builder could not keep out of the image.
pub(super) fn no_secrets(file: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("`{file}` is installed with credentials, and this builder cannot keep them out of the image"),
    )
    .with_hint(format!(
        "Use a builder that mounts secrets ({}). Or set the index yourself in `environment`, for example as \
         PIP_EXTRA_INDEX_URL, where everyone who has the image can read it.",
        BuildOption::Secrets.served_by()
    ))
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
