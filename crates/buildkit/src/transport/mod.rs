//! Ways to a daemon.

mod buildkitd;
mod channel;
mod engine;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use wharf_core::{Error, ErrorKind, Result};

pub(crate) use self::channel::Channel;

/// How long opening a connection may take, with its handshake.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Stream for T {}

/// A connection of any kind.
pub type BoxedStream = Box<dyn Stream>;

/// Opens connections to a daemon: a Unix socket, TCP with or without TLS, the streams of a process.
///
/// An async closure without arguments is one.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Opens a connection. It is called anew for each one needed; a build needs one or two.
    ///
    /// # Errors
    /// When nothing answers.
    async fn dial(&self) -> Result<BoxedStream>;
}

#[async_trait]
impl<F, Fut> Dial for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<BoxedStream>> + Send,
{
    async fn dial(&self) -> Result<BoxedStream> {
        self().await
    }
}

/// How a daemon is spoken to.
#[derive(Clone)]
pub struct Transport {
    dial: Arc<dyn Dial>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Engine,
    Buildkitd,
}

/// How a session presents itself to the daemon.
#[derive(Debug, Clone)]
pub(crate) struct SessionHeaders {
    pub(crate) id: String,
    pub(crate) shared_key: String,
    pub(crate) methods: Vec<&'static str>,
}

impl SessionHeaders {
    /// The headers, the same over every transport.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fixed = [
            ("x-docker-expose-session-uuid", self.id.as_str()),
            ("x-docker-expose-session-name", "wharf"),
            ("x-docker-expose-session-sharedkey", self.shared_key.as_str()),
        ];
        let methods = self.methods.iter();
        fixed
            .into_iter()
            .chain(methods.map(|method| ("x-docker-expose-session-grpc-method", *method)))
    }
}

impl Transport {
    /// A Docker engine: `dial` opens its HTTP API, on which `/grpc` and `/session` lead to its BuildKit.
    #[must_use]
    pub fn engine(dial: impl Dial) -> Self {
        Self {
            dial: Arc::new(dial),
            kind: Kind::Engine,
        }
    }

    /// A `buildkitd`: `dial` opens its own socket.
    #[must_use]
    pub fn buildkitd(dial: impl Dial) -> Self {
        Self {
            dial: Arc::new(dial),
            kind: Kind::Buildkitd,
        }
    }

    /// Opens the channel for control calls.
    pub(crate) async fn control(&self) -> Result<Channel> {
        within_limit("connect to BuildKit", async {
            let stream = self.dial.dial().await?;
            match self.kind {
                Kind::Engine => Channel::new(engine::upgrade(stream, "/grpc", []).await?, true).await,
                Kind::Buildkitd => Channel::new(stream, false).await,
            }
        })
        .await
    }

    /// Opens the connection on which the daemon asks.
    pub(crate) async fn session(&self, control: &Channel, headers: &SessionHeaders) -> Result<BoxedStream> {
        within_limit("open a BuildKit session", async {
            match self.kind {
                Kind::Engine => engine::upgrade(self.dial.dial().await?, "/session", headers.pairs()).await,
                Kind::Buildkitd => buildkitd::session(control, headers).await,
            }
        })
        .await
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.kind).finish()
    }
}

async fn within_limit<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let result = tokio::time::timeout(CONNECT_LIMIT, work).await;
    let result = result.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Timeout, "the daemon did not answer")
            .with_context("waited", format!("{} s", CONNECT_LIMIT.as_secs()))
            .set_retryable(true))
    });
    result.map_err(|error| error.with_operation(what))
}
