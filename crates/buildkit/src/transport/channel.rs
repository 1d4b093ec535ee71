//! The channel for control calls: HTTP/2 on one connection that we opened.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use wharf_core::{Error, ErrorKind, Result};

use super::BoxedStream;
use crate::control::MAX_MESSAGE;

/// How often an engine is asked whether it is still there, and how long it may take to say so. A connection
/// through a network that vanished would hang for ever otherwise.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_LIMIT: Duration = Duration::from_secs(60);
/// How long the last frames, which cancel what is under way, may take to be written.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// An error arrives as headers, with the whole Dockerfile in its details; Go's default limit is the same.
const MAX_HEADER_BYTES: u32 = 16 << 20;
/// What may arrive without an answer from us, in bytes.
const WINDOW: u32 = 1 << 20;

/// A connection for control calls; it ends when the last clone is dropped, which cancels all calls on it.
#[derive(Clone)]
pub(crate) struct Channel {
    sender: SendRequest<Body>,
    _open: Arc<DropGuard>,
}

impl Channel {
    /// Shakes hands. `ping`: ask now and then whether the other side is still there. (A `buildkitd` takes
    /// frequent questions for an attack and closes the connection.)
    pub(super) async fn new(stream: BoxedStream, ping: bool) -> Result<Self> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEADER_BYTES)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        if ping {
            builder
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_LIMIT);
        }
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the daemon does not speak HTTP/2")
                .with_source(error)
                .set_retryable(true)
        })?;
        let closed = CancellationToken::new();
        tokio::spawn(drive(connection, closed.clone()));
        Ok(Self {
            sender,
            _open: Arc::new(closed.drop_guard()),
        })
    }

    /// A client for control calls on this connection.
    pub(crate) fn client(&self) -> ControlClient<Self> {
        ControlClient::with_origin(self.clone(), Uri::from_static("http://localhost"))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }
}

/// Keeps the connection going until it is closed, and then for as long as the last frames need.
async fn drive(connection: impl Future<Output = hyper::Result<()>>, closed: CancellationToken) {
    let mut connection = std::pin::pin!(connection);
    // Whatever is wrong with the connection, the calls on it say so.
    tokio::select! {
        _ = &mut connection => {}
        () = closed.cancelled() => {
            let _ = tokio::time::timeout(CLOSE_LIMIT, connection).await;
        }
    }
}

impl tonic::codegen::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}
