//! A registry whose tags cannot be moved, as ECR has it: a real one behind, which never refuses by itself.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::json;
use tokio::net::TcpListener;

/// Plays the registry in front of `behind`, a `HOST:PORT` that speaks plain HTTP, until the runtime ends. Gives its own
/// `HOST:PORT`.
///
/// # Panics
///
/// When there is no free port.
pub async fn immutable_tags(behind: String) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let behind = Arc::new(behind);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let behind = Arc::clone(&behind);
            let service = service_fn(move |request| answer(Arc::clone(&behind), request));
            tokio::spawn(async move {
                Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    address.to_string()
}

async fn answer(
    behind: Arc<String>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes);
    let answered = match is_taken(&behind, &parts).await {
        Ok(true) => Ok(refusal()),
        Ok(false) => hand_on(&behind, &parts, body.unwrap_or_default()).await,
        Err(error) => Err(error),
    };
    Ok(answered.unwrap_or_else(|error| respond(StatusCode::BAD_GATEWAY, error.to_string())))
}

/// Whether this would give a tag that exists to another image, or to the same one once more: ECR refuses both.
async fn is_taken(behind: &str, parts: &Parts) -> reqwest::Result<bool> {
    let path = parts.uri.path();
    let is_tag = path
        .rsplit_once("/manifests/")
        .is_some_and(|(_, name)| !name.starts_with("sha256:"));
    if parts.method != Method::PUT || !is_tag {
        return Ok(false);
    }
    let mut look = reqwest::Client::new().head(format!("http://{behind}{path}"));
    if let Some(login) = parts.headers.get(hyper::header::AUTHORIZATION) {
        look = look.header(hyper::header::AUTHORIZATION, login);
    }
    let accepted = "application/vnd.docker.distribution.manifest.v2+json";
    Ok(look
        .header("accept", accepted)
        .send()
        .await?
        .status()
        .is_success())
}

fn refusal() -> Response<Full<Bytes>> {
    let message =
        "The image tag already exists and cannot be overwritten because the repository is immutable.";
    let body = json!({"errors": [{"code": "TAG_INVALID", "message": message}]});
    respond(StatusCode::BAD_REQUEST, body.to_string())
}

fn respond(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

/// The name under which it was asked is kept, so that the addresses in the answer lead here again.
async fn hand_on(behind: &str, parts: &Parts, body: Bytes) -> reqwest::Result<Response<Full<Bytes>>> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = parts.headers.clone();
    headers.remove("transfer-encoding");
    let call = reqwest::Client::new().request(parts.method.clone(), format!("http://{behind}{path}"));
    let answer = call.headers(headers).body(body).send().await?;
    let mut response = Response::new(Full::default());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove("transfer-encoding");
    let body = answer.bytes().await?;
    if parts.method != Method::HEAD {
        *response.body_mut() = Full::new(body);
    }
    Ok(response)
}
