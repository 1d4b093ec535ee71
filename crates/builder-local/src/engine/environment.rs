//! What the user's surroundings say about engines, read once.

use std::path::{Path, PathBuf};

/// The parts of the environment that say where an engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostEnvironment {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`.
    pub docker_config: Option<PathBuf>,
    /// Whether `DOCKER_TLS_VERIFY` is set to something.
    pub docker_tls_verify: bool,
    /// `DOCKER_CERT_PATH`.
    pub docker_cert_path: Option<PathBuf>,
    /// `CONTAINER_HOST`, Podman's `DOCKER_HOST`.
    pub container_host: Option<String>,
    /// `DOCKER_BUILDKIT`: `0` asks for the classic builder.
    pub docker_buildkit: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_directory: Option<PathBuf>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// In front of every fixed path, for tests; `/` otherwise.
    pub root: PathBuf,
}

impl HostEnvironment {
    /// Reads the environment of this process. Empty variables count as not set.
    #[must_use]
    pub fn from_process() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_config: path("DOCKER_CONFIG"),
            docker_tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
            docker_cert_path: path("DOCKER_CERT_PATH"),
            container_host: text("CONTAINER_HOST"),
            docker_buildkit: text("DOCKER_BUILDKIT"),
            runtime_directory: path("XDG_RUNTIME_DIR"),
            home: path("HOME"),
            root: PathBuf::from("/"),
        }
    }

    /// Docker's configuration directory: `$DOCKER_CONFIG`, else `~/.docker`.
    #[must_use]
    pub fn docker_directory(&self) -> Option<PathBuf> {
        self.docker_config
            .clone()
            .or_else(|| self.home.as_deref().map(|home| home.join(".docker")))
    }

    /// The sockets engines have where nobody was told otherwise, in the order in which they are tried, each
    /// with the engine's name.
    #[must_use]
    pub fn default_sockets(&self) -> Vec<(&'static str, PathBuf)> {
        let mut sockets = vec![("Docker", self.root.join("var/run/docker.sock"))];
        if let Some(runtime) = &self.runtime_directory {
            sockets.push(("rootless Docker", runtime.join("docker.sock")));
        }
        if let Some(home) = &self.home {
            sockets.extend(HOME_SOCKETS.map(|(name, path)| (name, home.join(path))));
        }
        sockets.push(("Podman", self.root.join("run/podman/podman.sock")));
        if let Some(runtime) = &self.runtime_directory {
            sockets.push(("rootless Podman", runtime.join("podman/podman.sock")));
        }
        if let Some(home) = &self.home {
            sockets.push(("Podman machine", home.join(PODMAN_MACHINE_SOCKET)));
        }
        sockets
    }

    /// The directory with `ca.pem`, `cert.pem` and `key.pem` for `DOCKER_HOST`.
    pub(super) fn tls_directory(&self) -> Option<PathBuf> {
        self.docker_cert_path.clone().or_else(|| self.docker_directory())
    }
}

const HOME_SOCKETS: [(&str, &str); 6] = [
    ("Docker Desktop", ".docker/run/docker.sock"),
    ("Docker Desktop for Linux", ".docker/desktop/docker.sock"),
    ("Colima", ".colima/default/docker.sock"),
    ("Colima", ".config/colima/default/docker.sock"),
    ("Rancher Desktop", ".rd/docker.sock"),
    ("OrbStack", ".orbstack/run/docker.sock"),
];

const PODMAN_MACHINE_SOCKET: &str = ".local/share/containers/podman/machine/podman.sock";

/// Whether something is at the path, without following it into places that may not be read.
pub(super) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
