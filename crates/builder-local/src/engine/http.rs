//! HTTP to an engine over any connection.
//!
//! bollard speaks through this client too. What bollard's types cannot carry (several `extrahosts`, the layer
//! of a push message) is asked for directly.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::{Method, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;
use tower_service::Service;
use wharf_buildkit::BoxedStream;
use wharf_core::{Error, ErrorKind, Result};

use super::dial::dial;
use super::endpoint::Endpoint;

/// What a request carries.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The longest an answer to a simple question may take, in seconds. Builds and pushes have no limit.
const REQUEST_TIMEOUT_SECONDS: u64 = 120;

/// The authority of every request. The engine does not read it; it names the pool of connections.
const AUTHORITY: &str = "engine";

/// A client that keeps its connections to one engine.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: Client<Dialer, Body>,
}

impl HttpClient {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build(Dialer { endpoint }),
        }
    }

    /// Sends a request whose target is a path.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        if let Ok(uri) = format!("http://{AUTHORITY}{path}").parse::<Uri>() {
            *request.uri_mut() = uri;
        }
        self.client.request(request).await
    }

    /// Posts, and gives the engine's messages as they come: one JSON object a line.
    ///
    /// # Errors
    ///
    /// The engine's own error when the answer is no success.
    pub(crate) async fn post_messages<T: DeserializeOwned + Send + 'static>(
        &self,
        request: Request<Body>,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<T>> + Send>>> {
        let response = self.send(request).await.map_err(broken)?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let chunks = response
            .into_body()
            .into_data_stream()
            .map_err(std::io::Error::other);
        let lines = FramedRead::new(StreamReader::new(chunks), LinesCodec::new());
        Ok(Box::pin(lines.filter_map(|line| async move {
            match line {
                Ok(line) if line.trim().is_empty() => None,
                Ok(line) => Some(serde_json::from_str(&line).map_err(not_understood)),
                Err(source) => Some(Err(broken(source))),
            }
        })))
    }
}

/// A request with a path, its query, and no body yet.
pub(crate) fn post(path: &str, query: &[(&str, String)]) -> http::request::Builder {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    Request::builder()
        .method(Method::POST)
        .uri(format!("{path}?{query}"))
}

/// An empty body.
pub(crate) fn empty() -> Body {
    Full::new(Bytes::new())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that is made while it is sent. An error in it breaks the request off.
pub(crate) fn streamed(content: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Body {
    let frames = content
        .map_ok(Frame::data)
        .map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>);
    StreamBody::new(frames).boxed_unsync()
}

async fn refusal(response: Response<Incoming>) -> Error {
    #[derive(serde::Deserialize)]
    struct Refusal {
        #[serde(alias = "cause")]
        message: String,
    }
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let message = match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(&body).trim().to_owned(),
    };
    crate::error::from_status(status, &message)
}

pub(crate) fn broken(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, "the connection to the engine broke")
        .with_hint("Is the engine still running? `wharf doctor` looks.")
        .set_retryable(true)
        .with_source(source)
}

fn not_understood(source: serde_json::Error) -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "the engine sent a message that is not understood",
    )
    .with_source(source)
}

/// bollard, speaking through this client.
pub(crate) fn bollard(client: HttpClient) -> Result<bollard::Docker> {
    let transport = move |request: bollard::BollardRequest| {
        let client = client.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.map_err(Into::into).boxed_unsync();
            client
                .send(Request::from_parts(parts, body))
                .await
                .map_err(|error| bollard::errors::Error::IOError {
                    err: std::io::Error::other(error),
                })
        }
    };
    let address = Some(format!("http://{AUTHORITY}"));
    bollard::Docker::connect_with_custom_transport(
        transport,
        address,
        REQUEST_TIMEOUT_SECONDS,
        bollard::API_DEFAULT_VERSION,
    )
    .map_err(crate::error::from_bollard)
}

/// Opens the connections of a [`HttpClient`].
#[derive(Clone, Debug)]
struct Dialer {
    endpoint: Endpoint,
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Dialled>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let endpoint = self.endpoint.clone();
        Box::pin(async move { Ok(TokioIo::new(Dialled(dial(&endpoint).await?))) })
    }
}

/// A connection in the form the HTTP client wants.
struct Dialled(BoxedStream);

impl Connection for Dialled {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
