//! An API server that answers by a script and remembers what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use wharf_builder_kaniko::{KanikoImageBuilder, KanikoImageBuilderConfig};
use wharf_core::artifact_store::ArtifactStore;
use wharf_core::builder::{BuildOutcome, BuildRequest, ImageBuilder};
use wharf_core::event::{BuildEvent, EventSink};
use wharf_core::registry::{FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{BuildContext, Error, FileSource};

type Body = BoxBody<Bytes, std::io::Error>;

pub(crate) const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// What one connection of a watch or a log brings, and how it ends.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(String),
    /// The connection breaks in the middle of the answer.
    Break,
    /// The answer stays open until the pod has this state.
    Until(&'static str),
    /// The pod has this state from now on.
    Now(&'static str),
}

/// How the server answers. Queues hold the answers to one request after the other; an empty queue stands for what a
/// healthy server would say.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Status codes for requests: method and a part of the path, code.
    pub(crate) refusals: VecDeque<(&'static str, &'static str, u16)>,
    pub(crate) watches: VecDeque<Vec<Part>>,
    pub(crate) logs: VecDeque<Vec<Part>>,
    /// The protocol of attach that the server speaks.
    pub(crate) protocol: &'static str,
    /// Everything that was asked, and what came over attach.
    pub(crate) asked: Vec<String>,
    /// The job that was made.
    pub(crate) job: Value,
    pub(crate) input: Vec<u8>,
    /// How the end of the input was told.
    pub(crate) end_of_input: Option<&'static str>,
    /// Whether the pod goes on when it has read its input; if not, it succeeds then.
    pub(crate) goes_on: bool,
    /// `Pending`, `Running` or `Succeeded`.
    pub(crate) phase: &'static str,
}

/// A server on loopback, with a kubeconfig for it.
pub(crate) struct Server {
    pub(crate) script: Arc<Mutex<Script>>,
    directory: TempDir,
}

impl Server {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        });
        std::fs::write(directory.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let script = Arc::new(Mutex::new(script));
        let shared = script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = shared.clone();
                let service = service_fn(move |request| answer(request, script.clone()));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                // A connection that breaks is part of a test.
                tokio::spawn(async move { connection.with_upgrades().await.ok() });
            }
        });
        Self { script, directory }
    }

    /// Builds an image here; the registry cannot be reached, so the executor's word is taken.
    pub(crate) async fn build(&self) -> (Result<BuildOutcome, Error>, Vec<BuildEvent>) {
        self.build_through(None).await
    }

    /// The same, with the context going through a store if there is one.
    pub(crate) async fn build_through(
        &self,
        store: Option<Arc<dyn ArtifactStore>>,
    ) -> (Result<BuildOutcome, Error>, Vec<BuildEvent>) {
        let config: KanikoImageBuilderConfig = serde_json::from_value(json!({
            "kubeconfig": self.directory.path().join("kubeconfig"),
            "kubernetes_namespace": "n",
            "allow_local_registry": true,
            "store_context_in_artifact_store": store.is_some(),
        }))
        .unwrap();
        let builder = KanikoImageBuilder::new(config).unwrap();
        let mut context = BuildContext::empty();
        context
            .add_file(
                "Dockerfile",
                FileSource::Bytes("FROM scratch\nRUN x\n".into()),
                None,
            )
            .unwrap();
        let registry = RegistryConfig {
            uri: "127.0.0.1:1".into(),
            ..RegistryConfig::default()
        };
        let registry = FlavoredRegistry::new(RegistryFlavor::Default, registry).unwrap();
        let mut request = BuildRequest::new("127.0.0.1:1/a:1".parse().unwrap(), context);
        request.registry = Some(Arc::new(registry));
        request.artifact_store = store;
        let (sink, mut stream) = EventSink::channel();
        let result = builder.build(request, sink).await;
        (
            result,
            stream.drain().into_iter().map(|event| event.event).collect(),
        )
    }

    pub(crate) fn asked(&self, what: &str) -> usize {
        self.script
            .lock()
            .unwrap()
            .asked
            .iter()
            .filter(|line| line.contains(what))
            .count()
    }
}

/// Lines of the log that were told, without those of wharf itself.
pub(crate) fn lines(events: &[BuildEvent]) -> Vec<&str> {
    let lines = events.iter().filter_map(|event| match event {
        BuildEvent::Log(line) => Some(line.line.as_str()),
        _ => None,
    });
    lines.collect()
}

/// A pod of the build in the state.
pub(crate) fn pod(phase: &str) -> Value {
    let state = match phase {
        "Running" => json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}),
        "Succeeded" => json!({"terminated": {"exitCode": 0, "message": DIGEST, "reason": "Completed"}}),
        _ => json!({"waiting": {"reason": "ContainerCreating"}}),
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "n", "uid": "1", "resourceVersion": "10"},
        "spec": {"containers": [{"name": "kaniko"}]},
        "status": {"phase": phase, "containerStatuses": [{
            "name": "kaniko", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state
        }]},
    })
}

/// A line of a watch.
pub(crate) fn event(kind: &str, object: &Value) -> Part {
    Part::Text(format!("{}\n", json!({"type": kind, "object": object})))
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Mutex<Script>>,
) -> Result<Response<Body>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let refusal = {
        let mut script = script.lock().unwrap();
        script.asked.push(line.clone());
        let fits = script
            .refusals
            .iter()
            .position(|(method, part, _)| line.starts_with(method) && line.contains(part));
        fits.and_then(|index| script.refusals.remove(index))
    };
    if let Some((_, _, code)) = refusal {
        return Ok(status(code));
    }
    let method = request.method().clone();
    Ok(if path.ends_with("/attach") {
        attach(request, &script)
    } else if path.ends_with("/log") {
        let parts = script.lock().unwrap().logs.pop_front();
        parts_of(parts.unwrap_or_default(), &script)
    } else if query.contains("watch=true") {
        let parts = script.lock().unwrap().watches.pop_front();
        parts_of(parts.unwrap_or_else(healthy_watch), &script)
    } else if method == Method::POST {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let object: Value = serde_json::from_slice(&body).unwrap();
        if object["kind"] == "Job" {
            script.lock().unwrap().job = object.clone();
        }
        created(&object)
    } else if method == Method::GET && path.ends_with("/pods") {
        let phase = script.lock().unwrap().phase;
        let items = if phase.is_empty() {
            vec![]
        } else {
            vec![pod(phase)]
        };
        json_answer(&json!({"kind": "PodList", "metadata": {"resourceVersion": "10"}, "items": items}))
    } else {
        json_answer(&json!({"kind": "Status", "status": "Success", "metadata": {}}))
    })
}

/// What a server tells that has nothing to hide: the pod runs, then it has ended.
fn healthy_watch() -> Vec<Part> {
    vec![
        event("ADDED", &pod("Running")),
        Part::Until("Succeeded"),
        event("MODIFIED", &pod("Succeeded")),
    ]
}

fn created(object: &Value) -> Response<Body> {
    let mut object = object.clone();
    object["metadata"]["uid"] = json!("uid-1");
    if object["kind"] == "SelfSubjectAccessReview" {
        object["status"] = json!({"allowed": true});
    }
    json_answer(&object)
}

fn json_answer(value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {});
    Response::builder()
        .header("content-type", "application/json")
        .body(body.boxed())
        .unwrap()
}

fn status(code: u16) -> Response<Body> {
    let mut answer = json_answer(&json!({
        "kind": "Status", "status": "Failure", "code": code, "message": format!("scripted {code}"), "reason": "x",
    }));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

fn parts_of(parts: Vec<Part>, script: &Arc<Mutex<Script>>) -> Response<Body> {
    let script = script.clone();
    let frames = stream::iter(parts).then(move |part| {
        let script = script.clone();
        async move {
            match part {
                Part::Text(text) => Ok(Frame::data(Bytes::from(text))),
                Part::Break => Err(std::io::Error::other("scripted break")),
                Part::Now(phase) => {
                    script.lock().unwrap().phase = phase;
                    Ok(Frame::data(Bytes::new()))
                }
                Part::Until(phase) => {
                    while script.lock().unwrap().phase != phase {
                        tokio::task::yield_now().await;
                    }
                    Ok(Frame::data(Bytes::new()))
                }
            }
        }
    });
    Response::new(BodyExt::boxed(StreamBody::new(frames)))
}

/// Takes the input to its end, in whichever way that is told; the pod succeeds then.
fn attach(mut request: Request<Incoming>, script: &Arc<Mutex<Script>>) -> Response<Body> {
    let protocol = script.lock().unwrap().protocol;
    let offered = request.headers()["sec-websocket-protocol"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(offered.contains(protocol), "{offered}");
    let key = derive_accept_key(request.headers()["sec-websocket-key"].as_bytes());
    let script = script.clone();
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            let mut script = script.lock().unwrap();
            match message {
                Message::Binary(data) if data[..] == [255, 0] => script.end_of_input = Some("half-close"),
                Message::Binary(data) if data[0] == 0 => script.input.extend_from_slice(&data[1..]),
                Message::Close(_) => {
                    script.end_of_input.get_or_insert("close");
                }
                _ => {}
            }
            if script.end_of_input.is_some() && !script.goes_on {
                script.phase = "Succeeded";
            }
        }
        let _ = socket.close(None).await;
    });
    let empty = Full::new(Bytes::new()).map_err(|never| match never {});
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", key)
        .header("sec-websocket-protocol", protocol)
        .body(empty.boxed())
        .unwrap()
}
