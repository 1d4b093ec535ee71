//! How the installers are called.

use wharf_core::builder::DockerfileDialect;
use wharf_core::options::{BuildOption, BuildSecret, SecretSource};
use wharf_core::{Error, ErrorKind, Secret};

use super::quote::{json_words, run_words};
use crate::gather::index_credentials::secret_argument;
use crate::requirements::RequirementsFile;
use crate::settings::{DockerSettings, InstallerArgument, PythonPackageInstaller};

/// How long pip waits for an answer, in seconds; its own default of 15 is short for large wheels.
const PIP_TIMEOUT: &str = "60";

/// The option that a cache mount makes senseless.
const NO_CACHE: &str = "no-cache-dir";

/// The Python that uv installs into: the one that `python3` starts, in a virtual environment or not, unless the
/// parent image or the user names another.
///
/// uv by itself refuses every Python outside of a virtual environment, as `--system` refuses every one inside; a
/// mere name like `python3` does not help, only a path does.
const FIND_PYTHON: &str = r#"UV_PYTHON="${UV_PYTHON:-$(command -v python3)}""#;

/// A call of the installer, but for the requirements file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallCommand {
    /// What stands behind each `RUN --mount=`.
    pub mounts: Vec<String>,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// A further requirements file, which is a secret.
    pub secret_file: Option<String>,
    /// Variables for the program alone, as a shell reads them.
    pub variables: Vec<String>,
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
            let name = option_name(argument);
            match arguments.iter_mut().find(|known| known.name == name) {
                Some(known) => known.value.clone_from(&argument.value),
                None => arguments.push(InstallerArgument {
                    name,
                    value: argument.value.clone(),
                }),
            }
        }
        arguments.retain(|argument| mount.is_none() || argument.name != NO_CACHE);
        let variables = variables(settings, &mut arguments);
        let mut words: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
        words.extend(arguments.iter().map(option));
        Self {
            mounts: mount.into_iter().collect(),
            words,
            secret_file: None,
            variables,
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

    /// The same with a file of logins, which the installers find through `NETRC`.
    pub(super) fn with_logins(mut self, has_logins: bool) -> Self {
        self.mounts.extend(has_logins.then(|| LOGINS_MOUNT.to_owned()));
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
        format!("RUN {}{}", mounts.concat(), self.call(&words))
    }

    fn call(&self, words: &[String]) -> String {
        let call = run_words(words);
        let variables = self.variables.join(" ");
        match (variables.is_empty(), call.starts_with('[')) {
            (true, _) => call,
            (false, false) => format!("{variables} {call}"),
            (false, true) => {
                let shell = ["/bin/sh", "-c", &format!("{variables} exec \"$0\" \"$@\"")];
                let words = words.iter().map(String::as_str);
                json_words(&shell.into_iter().chain(words).collect::<Vec<_>>())
            }
        }
    }
}

/// The name of an option as installers know it: as a key in Python it may have underscores.
fn option_name(argument: &InstallerArgument) -> String {
    argument.name.replace('_', "-")
}

/// What uv is told by variables: how long to wait, for which it has no option such as pip's, and where to install
/// to, unless the options say.
fn variables(settings: &DockerSettings, arguments: &mut Vec<InstallerArgument>) -> Vec<String> {
    if settings.python_package_installer != PythonPackageInstaller::Uv {
        return Vec::new();
    }
    let mut variables = Vec::new();
    let timeouts = |argument: &InstallerArgument| {
        let is_timeout = matches!(argument.name.as_str(), "timeout" | "default-timeout");
        let value = argument.value.as_deref().filter(|_| is_timeout)?;
        value.parse::<u32>().ok()
    };
    if let Some(seconds) = arguments.iter().filter_map(timeouts).next_back() {
        variables.push(format!("UV_HTTP_TIMEOUT={seconds}"));
    }
    arguments.retain(|argument| timeouts(argument).is_none());
    let tells_place = ["system", "python", "target", "prefix"];
    if !arguments
        .iter()
        .any(|argument| tells_place.contains(&argument.name.as_str()))
    {
        variables.push(FIND_PYTHON.to_owned());
    }
    variables
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

/// What a requirements file calls an option that says where packages are.
fn place_option(argument: &InstallerArgument) -> Option<&'static str> {
    let name = option_name(argument);
    let (_, name) = PLACES.iter().find(|(option, _)| *option == name)?;
    Some(name)
}

/// Whether an option says where packages are.
pub(crate) fn is_place(argument: &InstallerArgument) -> bool {
    place_option(argument).is_some()
}

/// The line of a requirements file that says the same as an option that holds credentials.
pub(crate) fn secret_line(argument: &InstallerArgument) -> Option<Secret> {
    let value = argument.value.as_deref()?;
    // uv's indexes may have a name, which a requirements file has no place for.
    let url = value
        .split_once('=')
        .filter(|(name, _)| !name.contains([':', '/']))
        .map_or(value, |(_, url)| url);
    secret_argument(place_option(argument)?, url)
}

/// The error for credentials that a builder could not keep out of the image.
pub(super) fn no_secrets(file: &str, installer: PythonPackageInstaller) -> Error {
    let variable = match installer {
        PythonPackageInstaller::Uv => "UV_INDEX",
        PythonPackageInstaller::Pip => "PIP_EXTRA_INDEX_URL",
    };
    Error::new(
        ErrorKind::Unsupported,
        format!("`{file}` is installed with credentials, and this builder cannot keep them out of the image"),
    )
    .with_hint(format!(
        "Use a builder that mounts secrets ({}). Or set the index yourself in `environment`, for example as \
         {variable}, where everyone who has the image can read it.",
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
    let own = settings.python_package_installer_cache_mount.as_deref();
    let cache = match settings.python_package_installer {
        PythonPackageInstaller::Uv => UV_CACHE,
        PythonPackageInstaller::Pip => PIP_CACHE,
    };
    Some(own.unwrap_or(cache).to_owned())
}

/// Where the installers keep what they downloaded.
const UV_CACHE: &str = "type=cache,target=/root/.cache/uv";
const PIP_CACHE: &str = "type=cache,target=/root/.cache/pip";

/// `ARG`s that let the installers work in any parent image. An `ARG` is seen by `RUN` alone, is not in the image,
/// and gives way to an `ENV` of the same name.
///
/// Without them pip and uv refuse Pythons that a distribution manages, and uv trusts only the certificates that it
/// brings along, where pip also trusts those of the image. uv links files from its cache, which it cannot when the
/// cache is a mount, and says so every time.
pub(super) fn installer_defaults(settings: &DockerSettings) -> &'static [&'static str] {
    match settings.python_package_installer {
        PythonPackageInstaller::Pip => &["ARG PIP_BREAK_SYSTEM_PACKAGES=1"],
        PythonPackageInstaller::Uv => &[
            "ARG PIP_BREAK_SYSTEM_PACKAGES=1",
            "ARG UV_BREAK_SYSTEM_PACKAGES=1",
            "ARG UV_SYSTEM_CERTS=1",
            "ARG UV_LINK_MODE=copy",
        ],
    }
}

/// Installs uv where the parent image has none.
pub(super) fn install_uv(dialect: &DockerfileDialect, has_logins: bool) -> String {
    let front = run_with_logins(has_logins);
    match dialect.cache_mounts {
        true => format!("{front}--mount={PIP_CACHE} command -v uv > /dev/null || pip install uv"),
        false => format!("{front}command -v uv > /dev/null || pip install --no-cache-dir uv"),
    }
}

/// The id of the secret that holds logins, in netrc's format.
pub(super) const LOGINS: &str = "netrc";

/// The mount of the secret.
const LOGINS_MOUNT: &str = "type=secret,id=netrc,required=true";

/// Tells pip and uv where the secret is.
pub(super) const FIND_LOGINS: &str = "ARG NETRC=/run/secrets/netrc";

/// The front of an instruction that may need the logins.
pub(super) fn run_with_logins(has_logins: bool) -> String {
    match has_logins {
        true => format!("RUN --mount={LOGINS_MOUNT} "),
        false => "RUN ".to_owned(),
    }
}

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
