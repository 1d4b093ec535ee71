//! The HTTP side: which call is whose.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Shared, api, lock};

type Answer = Response<Full<Bytes>>;

/// Listens on a free port of this machine.
pub(super) async fn start(shared: Arc<Shared>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            tokio::spawn(async move {
                Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    (format!("http://{address}"), server)
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let target = parts
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let key = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(access_key);
    let operation = operation(target, &parts.method, key, &body);
    lock(&shared.calls).push(operation.clone());
    shared.tell();
    let id = key.and_then(|key| key.split('/').next());
    if let Some(fault) = shared.faults.take(&operation, id) {
        let (status, body) = fault.answer(operation.starts_with("s3:"));
        return Ok(respond(status, body.into()));
    }
    let json = || serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let own = match target {
        Some(target) if target.starts_with("CodeBuild_") => {
            api::codebuild(&shared, &operation, &json()).await
        }
        Some(_) if operation == "GetLogEvents" => api::log_events(&shared, json()).await,
        _ => None,
    };
    let answer = match own {
        Some((status, value)) => respond(status, value.to_string().into()),
        None => hand_on(&shared, &parts, body).await,
    };
    shared.tell();
    Ok(answer)
}

/// What stands behind `Credential=` in a signature: `KEY/DATE/REGION/SERVICE/aws4_request`.
fn access_key(authorization: &str) -> Option<&str> {
    authorization.split_once("Credential=")?.1.split(',').next()
}

fn operation(target: Option<&str>, method: &hyper::Method, key: Option<&str>, body: &[u8]) -> String {
    if let Some((_, name)) = target.and_then(|target| target.rsplit_once('.')) {
        return name.to_owned();
    }
    if key.is_none_or(|key| key.contains("/s3/")) && !body.starts_with(b"Action=") {
        return format!("s3:{method}");
    }
    let text = String::from_utf8_lossy(body);
    let action = text.split('&').find_map(|pair| pair.strip_prefix("Action="));
    action.unwrap_or("unknown").to_owned()
}

fn respond(status: u16, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

async fn hand_on(shared: &Shared, parts: &hyper::http::request::Parts, body: Bytes) -> Answer {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = parts.headers.clone();
    headers.remove(HOST);
    let call = shared
        .http
        .request(parts.method.clone(), format!("{}{path}", shared.behind));
    match call.headers(headers).body(body).send().await {
        Ok(answer) => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            let chunked = response.headers_mut().remove("transfer-encoding").is_some();
            let is_head = parts.method == hyper::Method::HEAD;
            let body = answer.bytes().await.unwrap_or_default();
            if chunked && !is_head {
                response.headers_mut().remove("content-length");
            }
            *response.body_mut() = Full::new(body);
            response
        }
        Err(error) => respond(502, error.to_string().into()),
    }
}
