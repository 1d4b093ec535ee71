//! Credential helpers: programs named `docker-credential-<name>` that keep passwords for Docker.

use std::ffi::OsStr;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::RegistryAuth;
use crate::{Error, ErrorKind, Result, Secret};

/// What a helper answers in place of a user when the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// Longest piece of a helper's message that an error shows, in characters.
const SHOWN: usize = 200;

/// Why a helper gave nothing.
#[derive(Debug)]
pub(super) enum HelperError {
    /// There is no such program.
    Missing(Error),
    /// It was started and went wrong.
    Failed(Error),
}

impl From<HelperError> for Error {
    fn from(error: HelperError) -> Self {
        match error {
            HelperError::Missing(error) | HelperError::Failed(error) => error,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret")]
    secret: Secret,
}

/// Asks a helper for a server's credentials. `None`: it has none. The helper is killed when it takes longer
/// than `limit`, and when this future is dropped.
pub(super) async fn get(
    name: &str,
    server: &str,
    path: Option<&OsStr>,
    limit: Duration,
) -> Result<Option<RegistryAuth>, HelperError> {
    let about = |error: Error| {
        error
            .with_context("registry", server)
            .with_context("helper", format!("docker-credential-{name}"))
    };
    if name.contains(['/', '\\']) || name.contains(char::is_whitespace) {
        let error = Error::new(
            ErrorKind::InvalidConfiguration,
            "the credential helper's name is not a name",
        );
        return Err(HelperError::Failed(about(error)));
    }
    let run = tokio::time::timeout(limit, run(name, server, path));
    let output = match run.await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(HelperError::Missing(about(missing(name))));
        }
        Ok(Err(error)) => return Err(HelperError::Failed(about(cannot_run(error)))),
        Err(_) => return Err(HelperError::Failed(about(too_slow(limit)))),
    };
    answer(&output).map_err(|error| HelperError::Failed(about(error)))
}

async fn run(name: &str, server: &str, path: Option<&OsStr>) -> std::io::Result<Output> {
    let mut command = Command::new(format!("docker-credential-{name}"));
    command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that answers without reading closes the pipe early; what it says is what counts.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    child.wait_with_output().await
}

fn answer(output: &Output) -> Result<Option<RegistryAuth>> {
    if !output.status.success() {
        let message = message(&output.stdout).or_else(|| message(&output.stderr));
        return match message {
            Some(message) if has_none(&message) => Ok(None),
            message => Err(failed(output, message)),
        };
    }
    // The parser's own message would quote the answer, which is a secret.
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| {
        Error::new(
            ErrorKind::Unexpected,
            "the credential helper's answer is not the JSON that helpers give",
        )
    })?;
    if answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(match answer.username.as_str() {
        TOKEN_USER => RegistryAuth::IdentityToken(answer.secret),
        _ => RegistryAuth::Basic {
            username: answer.username,
            password: answer.secret,
        },
    }))
}

/// The first line of what a helper wrote, unless it looks like credentials.
fn message(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    (!text.contains('{')).then(|| line.chars().take(SHOWN).collect())
}

/// Helpers have no code for "nothing stored"; each says it in words.
fn has_none(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("credentials not found") || message.contains("no credentials")
}

fn missing(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidConfiguration,
        format!("the credential helper docker-credential-{name} is not installed"),
    )
    .with_hint(format!(
        "Put docker-credential-{name} on PATH, or take {name:?} out of credsStore and credHelpers and log in again."
    ))
}

fn cannot_run(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "the credential helper could not be run").with_source(source)
}

fn too_slow(limit: Duration) -> Error {
    let seconds = limit.as_secs_f32();
    Error::new(
        ErrorKind::Timeout,
        format!("the credential helper did not answer within {seconds} seconds"),
    )
    .with_hint("It may be waiting for a password or an unlocked keychain: run it by hand once.")
}

fn failed(output: &Output, message: Option<String>) -> Error {
    let said = message.map(|message| format!(": {message}")).unwrap_or_default();
    Error::new(
        ErrorKind::Unauthenticated,
        format!("the credential helper failed ({}){said}", output.status),
    )
    .with_hint("Log in again with the program that the helper belongs to.")
}
