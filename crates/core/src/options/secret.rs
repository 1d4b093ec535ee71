//! What a build may use without keeping it: secrets and SSH agents.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Error, ErrorKind, Result, Secret};

/// The largest secret BuildKit takes, in bytes: 500 KiB (its `secretsprovider.MaxSecretSize`).
pub const MAX_SECRET_BYTES: u64 = 500 * 1024;

/// A secret for `RUN --mount=type=secret,id=…`.
///
/// Parses the form of the `docker build --secret` option: `id=ID,src=FILE` or `id=ID,env=NAME`; with neither,
/// the environment variable named like the id, else the file named like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSecret {
    /// The name the Dockerfile uses.
    pub id: String,
    /// Where the value comes from.
    pub source: SecretSource,
}

/// Where a secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The content of a file, whatever bytes it holds.
    File(PathBuf),
    /// An environment variable of the client.
    Env(String),
    /// The value itself.
    Value(Secret),
}

impl BuildSecret {
    /// Reads the value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when the variable or file does not exist, [`ErrorKind::InvalidInput`] when the
    /// file is larger than [`MAX_SECRET_BYTES`], [`ErrorKind::Io`] when it cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        match &self.source {
            SecretSource::Value(secret) => Ok(secret.expose().as_bytes().to_vec()),
            SecretSource::Env(name) => self.read_env(name),
            SecretSource::File(path) => self.read_file(path),
        }
    }

    fn read_env(&self, name: &str) -> Result<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        let missing = || {
            Error::new(
                ErrorKind::NotFound,
                format!("the environment variable of the secret `{}` is not set", self.id),
            )
            .with_context("variable", name)
            .with_hint(format!(
                "Set {name}, or name a file with --secret id={},src=FILE.",
                self.id
            ))
        };
        std::env::var_os(name)
            .map(OsStringExt::into_vec)
            .ok_or_else(missing)
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>> {
        let failed = |source: std::io::Error| {
            let message = format!("could not read the file of the secret `{}`", self.id);
            match source.kind() {
                std::io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, message)
                    .with_context("path", path.display().to_string())
                    .with_source(source),
                _ => Error::io(message, path, source),
            }
        };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > MAX_SECRET_BYTES {
            let message = format!(
                "the secret `{}` has {size} bytes; BuildKit takes at most {MAX_SECRET_BYTES}",
                self.id
            );
            return Err(
                Error::new(ErrorKind::InvalidInput, message).with_context("path", path.display().to_string())
            );
        }
        std::fs::read(path).map_err(failed)
    }
}

impl FromStr for BuildSecret {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut id = None;
        let mut source = None;
        let mut kind = None;
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("id", value)) if !value.is_empty() => id = Some(value.to_owned()),
                Some(("src" | "source", value)) if !value.is_empty() => source = Some(value.to_owned()),
                Some(("env", value)) if !value.is_empty() => kind = Some(SecretSource::Env(value.to_owned())),
                Some(("type", "file")) => {}
                // As in Docker: with type=env, src names the variable.
                Some(("type", "env")) => kind = kind.or(Some(SecretSource::Env(String::new()))),
                _ => return Err(invalid_secret(text)),
            }
        }
        let id = id.ok_or_else(|| invalid_secret(text))?;
        let source = match (kind, source) {
            (Some(SecretSource::Env(name)), None) if name.is_empty() => SecretSource::Env(id.clone()),
            (Some(SecretSource::Env(name)), Some(src)) if name.is_empty() => SecretSource::Env(src),
            (Some(_), Some(_)) => return Err(invalid_secret(text)),
            (Some(env), None) => env,
            (None, Some(src)) => SecretSource::File(src.into()),
            (None, None) if std::env::var_os(&id).is_some() => SecretSource::Env(id.clone()),
            (None, None) => SecretSource::File(PathBuf::from(&id)),
        };
        Ok(Self { id, source })
    }
}

fn invalid_secret(text: &str) -> Error {
    // The text may hold a value that somebody typed by mistake: only the names of its parts are repeated.
    let names: Vec<&str> = text
        .split(',')
        .map(|part| part.split('=').next().unwrap_or_default())
        .collect();
    let message = format!("a secret of the form `{}` is not understood", names.join("=…,"));
    Error::new(ErrorKind::InvalidInput, message).with_hint("Write id=ID,src=FILE or id=ID,env=VARIABLE.")
}

/// An SSH agent for `RUN --mount=type=ssh,id=…`.
///
/// Parses the form of the `docker build --ssh` option: `default`, `ID`, or `ID=SOCKET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAgent {
    /// The name the Dockerfile uses; `default` when it names none.
    pub id: String,
    /// The agent's socket; none: `$SSH_AUTH_SOCK`.
    pub socket: Option<PathBuf>,
}

impl SshAgent {
    /// The agent's socket.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when none was named and `SSH_AUTH_SOCK` is not set.
    pub fn resolve_socket(&self) -> Result<PathBuf> {
        let from_env = || std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
        self.socket.clone().or_else(from_env).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no SSH agent for `{}`", self.id),
            )
            .with_hint("Start one (eval $(ssh-agent); ssh-add), or name its socket with --ssh ID=SOCKET.")
        })
    }
}

impl FromStr for SshAgent {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (id, socket) = match text.split_once('=') {
            Some((id, socket)) => (
                id,
                Some(PathBuf::from(socket)).filter(|path| !path.as_os_str().is_empty()),
            ),
            None => (text, None),
        };
        if id.is_empty() {
            return Err(
                Error::new(ErrorKind::InvalidInput, format!("`{text}` names no SSH agent"))
                    .with_hint("Write default, ID, or ID=SOCKET."),
            );
        }
        Ok(Self {
            id: id.to_owned(),
            socket,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_docker_s_option_are_understood() {
        let file: BuildSecret = "id=a,src=/x".parse().unwrap();
        assert_eq!(file.source, SecretSource::File("/x".into()));
        let env: BuildSecret = "id=a,env=TOKEN".parse().unwrap();
        assert_eq!(env.source, SecretSource::Env("TOKEN".into()));
        let typed: BuildSecret = "type=env,id=a,src=TOKEN".parse().unwrap();
        assert_eq!(typed.source, SecretSource::Env("TOKEN".into()));
        let by_name: BuildSecret = "id=surely_not_set".parse().unwrap();
        assert_eq!(by_name.source, SecretSource::File("surely_not_set".into()));
    }

    #[test]
    fn a_value_typed_by_mistake_is_not_repeated() {
        let error = "id=a,value=planted".parse::<BuildSecret>().unwrap_err();
        assert!(!error.report().contains("planted"), "{}", error.report());
    }

    #[test]
    fn a_missing_variable_and_a_missing_file_are_named() {
        let error = "id=a,env=WHARF_SURELY_NOT_SET"
            .parse::<BuildSecret>()
            .unwrap()
            .read()
            .unwrap_err();
        assert!(error.report().contains("WHARF_SURELY_NOT_SET"));
        let error = "id=a,src=/not/there"
            .parse::<BuildSecret>()
            .unwrap()
            .read()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_secret_over_the_limit_is_refused_beforehand() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_SECRET_BYTES + 1).unwrap();
        let secret = BuildSecret {
            id: "a".into(),
            source: SecretSource::File(file.path().into()),
        };
        assert!(secret.read().unwrap_err().message().contains("512001"));
    }
}
