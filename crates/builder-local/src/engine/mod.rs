//! The engine: which one, how to reach it, what it is.

mod contexts;
mod dial;
mod discovery;
mod endpoint;
mod environment;
pub(crate) mod http;
pub(crate) mod message;
mod probe;
mod tls;

use std::fmt::Write as _;

use bollard::Docker;
use wharf_core::{Error, ErrorKind, Result};

pub use self::dial::dial;
pub use self::discovery::{Candidate, EngineChoice, candidates};
pub use self::endpoint::{Endpoint, TlsFiles};
pub use self::environment::HostEnvironment;
pub(crate) use self::http::HttpClient;
pub use self::probe::{EngineInfo, EngineKind};

/// An engine that answered.
#[derive(Clone, Debug)]
pub struct Engine {
    candidate: Candidate,
    info: EngineInfo,
    http: HttpClient,
    docker: Docker,
}

impl Engine {
    /// Finds the engine that is meant and asks what it is. [`candidates`] tells the order.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Unavailable`] listing everything that was tried and what to do, when nothing answers;
    /// - [`ErrorKind::PermissionDenied`] when an engine is there that this user may not use;
    /// - what [`candidates`] refuses.
    pub async fn find(choice: &EngineChoice, environment: &HostEnvironment) -> Result<Self> {
        let mut tried = Vec::new();
        for candidate in candidates(choice, environment)? {
            match Self::connect(candidate.clone()).await {
                Ok(engine) => return Ok(engine),
                Err(error) => tried.push((candidate, error)),
            }
        }
        Err(nothing_answers(&tried))
    }

    async fn connect(candidate: Candidate) -> Result<Self> {
        // The HTTP client would bury the reason of a failed connection; and most candidates fail here.
        drop(dial(&candidate.endpoint).await?);
        let http = HttpClient::new(candidate.endpoint.clone());
        let docker = http::bollard(http.clone())?;
        let info = probe::ask(&http).await?;
        let docker = docker
            .negotiate_version()
            .await
            .map_err(crate::error::from_bollard)?;
        Ok(Self {
            candidate,
            info,
            http,
            docker,
        })
    }

    /// What the engine says of itself.
    #[must_use]
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Where it listens and why it was chosen.
    #[must_use]
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.candidate.endpoint
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }
}

fn nothing_answers(tried: &[(Candidate, Error)]) -> Error {
    let mut message = String::from("no container engine answers; tried:");
    for (candidate, error) in tried {
        let _ = write!(
            message,
            "\n  {} ({}): {}",
            candidate.endpoint,
            candidate.reason,
            error.message()
        );
        if let Some(cause) = std::error::Error::source(error).filter(|_| tried.len() == 1) {
            let _ = write!(message, ": {cause}");
        }
    }
    let denied = tried
        .iter()
        .find(|(_, error)| error.kind() == ErrorKind::PermissionDenied);
    match denied {
        Some((candidate, _)) => Error::new(ErrorKind::PermissionDenied, message).with_hint(format!(
            "An engine is at {}, but this user may not use it. Join the group that owns the socket (usually: sudo \
             usermod -aG docker $USER, then log in again), or run a rootless engine.",
            candidate.endpoint
        )),
        None => Error::new(ErrorKind::Unavailable, message).with_hint(
            "Start Docker or Podman (for example: sudo systemctl start docker; or: systemctl --user start \
             podman.socket), or say where the engine is with --host or DOCKER_HOST.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn when_nothing_answers_the_error_lists_what_was_tried_and_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let environment = HostEnvironment {
            home: Some(directory.path().join("home")),
            runtime_directory: Some(directory.path().join("run")),
            root: directory.path().into(),
            ..HostEnvironment::default()
        };
        let error = Engine::find(&EngineChoice::default(), &environment)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        for socket in environment.default_sockets() {
            assert!(error.message().contains(&socket.1.display().to_string()));
        }
        assert!(error.hint().unwrap().contains("DOCKER_HOST"));
    }

    #[tokio::test]
    async fn an_engine_that_was_named_is_the_only_one_tried() {
        let choice = EngineChoice {
            host: Some("unix:///not/there.sock".into()),
            context: None,
        };
        let error = Engine::find(&choice, &HostEnvironment::from_process())
            .await
            .unwrap_err();
        assert!(error.message().contains("unix:///not/there.sock"));
        assert!(!error.message().contains("default socket"));
    }
}
