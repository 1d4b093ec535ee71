//! The Dockerfile of a step's image.
//!
//! It builds with Docker's classic builder, BuildKit and Kaniko alike; what only some of them know is used where
//! the builder says that it knows it ([`DockerfileDialect`]). From the user's settings nothing but
//! `local_project_install_command` is read by a shell.

mod install;
mod quote;

use std::collections::BTreeMap;

use wharf_core::builder::DockerfileDialect;
use wharf_core::options::{BuildSecret, SecretSource};
use wharf_core::{Result, Secret};

pub use self::install::InstallCommand;
use self::install::{
    FIND_LOGINS, LOGINS, apt_instruction, install_uv, installer_defaults, no_secrets, run_with_logins, secret,
};
pub(crate) use self::install::{is_place, secret_line};
pub use self::quote::NEWLINE_ARGUMENT;
use self::quote::{env_value, json_words, run_shell};
use crate::requirements::RequirementsFile;
use crate::settings::{DockerSettings, PythonPackageInstaller};

/// The directory in the image that holds the code. ZenML's.
pub const APP_DIRECTORY: &str = "/app";

/// What goes into an image, all of it known.
#[derive(Debug, Clone)]
pub struct Ingredients<'a> {
    /// The settings.
    pub settings: &'a DockerSettings,
    /// The image to start from.
    pub parent: &'a str,
    /// Names of build arguments.
    pub build_args: Vec<String>,
    /// The Debian packages of settings, stack and integrations.
    pub apt_packages: &'a [String],
    /// The requirements files, in their order.
    pub requirements: &'a [RequirementsFile],
    /// Whether the context has files for `/app`: the code, or what was added.
    pub has_files: bool,
    /// The words of the entrypoint; empty: the parent's.
    pub entrypoint: &'a [String],
    /// Logins for package indexes, in netrc's format. They reach the installers on builders that mount secrets, and
    /// only there.
    pub logins: Option<&'a Secret>,
    /// Whether ZenML runs in the image and is told where its configuration may be.
    pub runs_zenml: bool,
}

/// A Dockerfile and what must be given with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedDockerfile {
    /// The text.
    pub text: String,
    /// Build arguments that must be given, beside the user's own: [`NEWLINE_ARGUMENT`], where a value needs it.
    pub build_args: BTreeMap<String, String>,
    /// Secrets that must be given: requirements with credentials in them.
    pub secrets: Vec<BuildSecret>,
}

impl Ingredients<'_> {
    /// Writes the Dockerfile for a builder.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](wharf_core::ErrorKind::Unsupported) when requirements or options of the installer hold
    /// credentials and the builder cannot mount secrets, naming the builders that can.
    pub fn dockerfile(&self, dialect: &DockerfileDialect) -> Result<GeneratedDockerfile> {
        let mut lines = vec![format!("FROM {}", self.parent)];
        // A user of the parent's may install nothing.
        lines.extend(self.settings.user.as_ref().map(|_| "USER root".to_owned()));
        lines.push(format!("WORKDIR {APP_DIRECTORY}"));
        let mut build_args = BTreeMap::new();
        lines.extend(self.build_args.iter().map(|name| format!("ARG {name}")));
        if self.needs_newline() {
            lines.push(format!("ARG {NEWLINE_ARGUMENT}"));
            build_args.insert(NEWLINE_ARGUMENT.to_owned(), "\n".to_owned());
        }
        lines.extend(environment(&self.settings.environment));
        if !self.apt_packages.is_empty() {
            lines.push(apt_instruction(self.apt_packages, dialect));
        }
        let secrets = self.install(dialect, &mut lines)?;
        if self.runs_zenml {
            lines.push(format!(
                "ENV ZENML_ENABLE_REPO_INIT_WARNINGS=False \\\n    ZENML_CONFIG_PATH={APP_DIRECTORY}/.zenconfig"
            ));
        }
        self.files(dialect, &mut lines);
        self.end(&mut lines);
        let text = lines.join("\n") + "\n";
        Ok(GeneratedDockerfile {
            text,
            build_args,
            secrets,
        })
    }

    fn needs_newline(&self) -> bool {
        let settings = self.settings;
        let mut values = settings
            .environment
            .values()
            .chain(settings.runtime_environment.values());
        values.any(|value| value.contains('\n'))
    }

    fn install(&self, dialect: &DockerfileDialect, lines: &mut Vec<String>) -> Result<Vec<BuildSecret>> {
        let mut secrets = Vec::new();
        let wanted: Vec<&RequirementsFile> =
            self.requirements.iter().filter(|file| !file.is_blank()).collect();
        let command = self.settings.local_project_install_command.as_deref();
        if wanted.is_empty() && command.is_none() {
            return Ok(secrets);
        }
        lines.extend(installer_defaults(self.settings).iter().map(ToString::to_string));
        let logins = self.logins.filter(|_| dialect.secret_mounts);
        if let Some(logins) = logins {
            lines.push(FIND_LOGINS.to_owned());
            secrets.push(BuildSecret {
                id: LOGINS.to_owned(),
                source: SecretSource::Value(logins.clone()),
            });
        }
        let is_uv = self.settings.python_package_installer == PythonPackageInstaller::Uv;
        if is_uv && (!wanted.is_empty() || command.is_some_and(names_uv)) {
            lines.push(install_uv(dialect, logins.is_some()));
        }
        for file in wanted {
            let secret = secret(self.settings, file);
            if secret.is_some() && !dialect.secret_mounts {
                return Err(no_secrets(&file.name, self.settings.python_package_installer));
            }
            let command = InstallCommand::new(self.settings, dialect)
                .with_logins(logins.is_some())
                .with_secret(secret.as_ref());
            if file.large.is_some() {
                let name = file.large_name();
                lines.push(format!("COPY {name} ./"));
                lines.push(command.clone().without_dependencies().instruction(&name));
            }
            let mut names = vec![file.name.as_str()];
            names.extend(file.included.iter().map(|included| included.name.as_str()));
            lines.push(format!("COPY {} ./", names.join(" ")));
            lines.push(command.instruction(&file.name));
            secrets.extend(secret);
        }
        Ok(secrets)
    }

    /// Hands `/app` over to whoever runs the image, and puts the files there. Files of the context come with their
    /// owner, and with modes for everybody; only what is there before them, and what the command makes, is
    /// changed afterwards, so that nothing is stored twice.
    fn files(&self, dialect: &DockerfileDialect, lines: &mut Vec<String>) {
        let user = self.settings.user.as_deref();
        lines.push(hand_over(user));
        if self.has_files {
            lines.push(match user.filter(|_| dialect.copy_chown) {
                Some(user) => format!("COPY --chown={user} . ."),
                None => "COPY . .".to_owned(),
            });
        }
        let command = self.settings.local_project_install_command.as_deref();
        let run = run_with_logins(self.logins.is_some() && dialect.secret_mounts);
        lines.extend(command.map(|command| run + &run_shell(command)));
        let is_handed_over = !self.has_files || user.is_none() || dialect.copy_chown;
        if command.is_some() || !is_handed_over {
            lines.push(hand_over(user));
        }
    }

    fn end(&self, lines: &mut Vec<String>) {
        lines.extend(self.settings.user.as_deref().map(|user| format!("USER {user}")));
        lines.extend(environment(&self.settings.runtime_environment));
        if !self.entrypoint.is_empty() {
            lines.push(format!("ENTRYPOINT {}", json_words(self.entrypoint)));
        }
    }
}

/// All variables in one instruction: each instruction costs the classic builder a container.
fn environment(variables: &BTreeMap<String, String>) -> Option<String> {
    if variables.is_empty() {
        return None;
    }
    let pairs: Vec<String> = variables
        .iter()
        .map(|(name, value)| format!("{name}={}", env_value(value)))
        .collect();
    Some(format!("ENV {}", pairs.join(" \\\n    ")))
}

/// Gives the working directory to a user, and opens it for all others: people run images as users that the image
/// does not know. A file that is as it should be is not touched, and so is not stored again.
fn hand_over(user: Option<&str>) -> String {
    let open = "find . ! -type l ! -perm -0666 -exec chmod a+rwX {} +";
    let Some(user) = user else {
        // Small images have no find.
        return format!("RUN {open} || chmod -R a+rwX .");
    };
    let foreign = match user.split_once(':') {
        Some((user, group)) => format!(r"\( ! -user {user} -o ! -group {group} \)"),
        None => format!("! -user {user}"),
    };
    format!(
        "RUN {open} && find . {foreign} -exec chown -h {user} {{}} + || {{ chmod -R a+rwX . && chown -R {user} .; }}"
    )
}

/// Whether a shell's command may call uv.
fn names_uv(command: &str) -> bool {
    command
        .split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'))
        .any(|word| word == "uv" || word == "uvx")
}

#[cfg(test)]
mod tests;
