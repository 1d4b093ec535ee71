//! What the daemon may ask us for while it builds, and the server that answers.

pub(crate) mod auth;
pub(crate) mod file_sync;
mod health;
pub(crate) mod secrets;
pub(crate) mod serve;
pub(crate) mod ssh;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use wharf_core::{Error, Result};

use self::auth::CredentialSource;
use self::file_sync::source::SyncSource;
use self::secrets::SecretBytes;

/// What the daemon gets when it asks. Nothing that is not in here leaves this machine.
#[derive(Clone, Default)]
pub struct Session {
    directories: BTreeMap<String, Arc<dyn SyncSource>>,
    credentials: Option<Arc<dyn CredentialSource>>,
    secrets: BTreeMap<String, SecretBytes>,
    agents: BTreeMap<String, PathBuf>,
    shared_key: String,
}

/// What was sent from the build context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Bytes of file content.
    pub bytes: u64,
    /// Files whose content was sent. Files the daemon has from an earlier build are not.
    pub files: u64,
}

impl Session {
    /// A session that answers nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the daemon read a directory. The Dockerfile frontend asks for `context` and `dockerfile`, and for
    /// what named contexts call `local:<name>`.
    #[must_use]
    pub fn with_directory(mut self, name: impl Into<String>, source: impl SyncSource) -> Self {
        self.directories.insert(name.into(), Arc::new(source));
        self
    }

    /// Lets the daemon have credentials for registries. Without, it pulls and pushes anonymously.
    #[must_use]
    pub fn with_credentials(mut self, source: impl CredentialSource) -> Self {
        self.credentials = Some(Arc::new(source));
        self
    }

    /// Lets steps mount a secret: `RUN --mount=type=secret,id=<id>`.
    #[must_use]
    pub fn with_secret(mut self, id: impl Into<String>, secret: impl Into<SecretBytes>) -> Self {
        self.secrets.insert(id.into(), secret.into());
        self
    }

    /// Lets steps use the SSH agent that listens on a Unix socket: `RUN --mount=type=ssh,id=<id>`. A mount
    /// without an id means `default`. Steps can list the agent's keys and have things signed, nothing more.
    #[must_use]
    pub fn with_ssh_agent(mut self, id: impl Into<String>, socket: impl Into<PathBuf>) -> Self {
        self.agents.insert(id.into(), socket.into());
        self
    }

    /// Under what name the daemon keeps the files it was sent. The next session with the same key sends only
    /// what changed since; choose a key that is the same for the same directory on the same machine, and no
    /// other. Default: empty, which all clients without a key share.
    #[must_use]
    pub fn with_shared_key(mut self, key: impl Into<String>) -> Self {
        self.shared_key = key.into();
        self
    }

    /// A file of one of the directories, as text; none if it is not there, too long or not readable. Blocks.
    pub(crate) fn read(&self, directory: &str, path: &str, limit: u64) -> Option<String> {
        let source = self.directories.get(directory)?;
        let entries = source.entries().ok()?;
        let wanted = Path::new(path);
        let index = entries
            .iter()
            .position(|entry| entry.path == wanted && entry.size <= limit)?;
        let mut text = Vec::new();
        source.open(index).ok()?.take(limit).read_to_end(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// Refuses what the daemon would refuse later.
    pub(crate) fn check(&self) -> Result<()> {
        secrets::check(&self.secrets)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("directories", &self.directories.keys())
            .field("credentials", &self.credentials.is_some())
            .field("secrets", &self.secrets.keys())
            .field("agents", &self.agents)
            .field("shared_key", &self.shared_key)
            .finish()
    }
}

/// What went wrong on our side of the session: the daemon only repeats its text, and the error knows more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<Option<Error>>>);

impl Failures {
    /// Keeps the first error.
    pub(crate) fn record(&self, error: Error) {
        self.slot().get_or_insert(error);
    }

    /// The first error, if there was one.
    pub(crate) fn take(&self) -> Option<Error> {
        self.slot().take()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
