//! A Docker engine's way to its BuildKit: HTTP/1.1 requests that become plain connections.

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use wharf_core::{Error, ErrorKind, Result};

use super::BoxedStream;

/// How much of an error's text is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Sends the request and returns the connection it becomes.
pub(super) async fn upgrade(
    stream: BoxedStream,
    path: &str,
    headers: impl IntoIterator<Item = (&'static str, &str)>,
) -> Result<BoxedStream> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(no_http)?;
    // Ends with the request, or hands the stream over.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "h2c");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|error| {
        Error::new(
            ErrorKind::InvalidInput,
            "the session cannot be put into an HTTP request",
        )
        .with_source(error)
    })?;
    let response = sender.send_request(request).await.map_err(no_http)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(path, response).await);
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(no_http)?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

fn no_http(error: hyper::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the engine broke the connection off")
        .with_source(error)
        .set_retryable(true)
}

async fn refused(path: &str, response: http::Response<Incoming>) -> Error {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ERROR_BYTES)
        .collect()
        .await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let error = match status {
        StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED => {
            Error::new(ErrorKind::Unsupported, "the engine has no BuildKit")
                .with_hint("Build with the engine's classic builder, or use Docker 18.09 or later.")
        }
        StatusCode::UNAUTHORIZED => Error::new(ErrorKind::Unauthenticated, "the engine wants credentials"),
        StatusCode::FORBIDDEN => Error::new(ErrorKind::PermissionDenied, "the engine allows no builds"),
        _ => Error::new(
            ErrorKind::Unexpected,
            "the engine opened no connection to its BuildKit",
        )
        .set_retryable(status.is_server_error()),
    };
    let error = error
        .with_context("path", path)
        .with_context("status", status.to_string());
    match message(&body) {
        Some(message) => error.with_context("engine", message),
        None => error,
    }
}

/// What the engine says: the `message` of its JSON, or else its text.
fn message(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        message: String,
    }
    let text = match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => answer.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
