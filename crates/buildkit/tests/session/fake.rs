//! A `buildkitd` within the test: its answer to a build is a script of the test, which may ask the session for
//! whatever a real one would.

#![allow(clippy::unwrap_used, reason = "a test's preparations may fail the test")]

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bollard_buildkit_proto::google::protobuf::Any;
use bollard_buildkit_proto::google::rpc::Status as WireStatus;
use bollard_buildkit_proto::moby::buildkit::v1::control_server::{Control, ControlServer};
use bollard_buildkit_proto::moby::buildkit::v1::{
    BuildHistoryEvent, BuildHistoryRequest, BytesMessage, DiskUsageRequest, DiskUsageResponse, InfoRequest,
    InfoResponse, ListWorkersRequest, ListWorkersResponse, PruneRequest, SolveRequest, SolveResponse,
    StatusRequest, StatusResponse, UpdateBuildHistoryRequest, UpdateBuildHistoryResponse, UsageRecord,
};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::io::ReaderStream;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Code, Status, Streaming};
use wharf_buildkit::{BoxedStream, BuildkitClient, Transport};

pub(crate) type Answer = Result<HashMap<String, String>, Status>;
type Script = Arc<dyn Fn(Peer, SolveRequest) -> BoxFuture<'static, Answer> + Send + Sync>;

/// What a script has: the session's services, the session's headers, and a way to tell news of the build.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) session: SessionChannel,
    pub(crate) headers: MetadataMap,
    pub(crate) news: mpsc::UnboundedSender<StatusResponse>,
}

/// The daemon's end of a session: gRPC clients work on it.
#[derive(Clone)]
pub(crate) struct SessionChannel {
    sender: SendRequest<Body>,
    /// Whether the connection is over.
    pub(crate) closed: watch::Receiver<bool>,
}

pub(crate) fn origin() -> Uri {
    Uri::from_static("http://localhost")
}

impl tonic::codegen::Service<Request<Body>> for SessionChannel {
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

/// A client of a daemon that answers each build as the script says.
pub(crate) fn client<F, Fut>(script: F) -> BuildkitClient
where
    F: Fn(Peer, SolveRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let script: Script = Arc::new(move |peer, request| script(peer, request).boxed());
    BuildkitClient::new(Transport::buildkitd(move || {
        let script = Arc::clone(&script);
        async move {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            tokio::spawn(serve(theirs, script));
            Ok(Box::new(ours) as BoxedStream)
        }
    }))
}

/// An error with BuildKit's own details.
pub(crate) fn failure(message: &str, details: &[(&str, serde_json::Value)]) -> Status {
    let any = |(kind, json): &(&str, serde_json::Value)| Any {
        type_url: format!("github.com/moby/buildkit/{kind}"),
        value: json.to_string().into_bytes(),
    };
    let status = WireStatus {
        code: Code::Unknown.into(),
        message: message.into(),
        details: details.iter().map(any).collect(),
    };
    Status::with_details(Code::Unknown, message, status.encode_to_vec().into())
}

async fn serve(stream: tokio::io::DuplexStream, script: Script) {
    let (news, told) = mpsc::unbounded_channel();
    let (session, _) = watch::channel(None);
    let daemon = Daemon {
        script,
        session,
        news: std::sync::Mutex::new(Some(news)),
        told: std::sync::Mutex::new(Some(told)),
    };
    let service = TowerToHyperService::new(Routes::new(ControlServer::new(daemon)));
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

struct Daemon {
    script: Script,
    session: watch::Sender<Option<(SessionChannel, MetadataMap)>>,
    news: std::sync::Mutex<Option<mpsc::UnboundedSender<StatusResponse>>>,
    told: std::sync::Mutex<Option<mpsc::UnboundedReceiver<StatusResponse>>>,
}

async fn connect(
    mut incoming: Streaming<BytesMessage>,
) -> (SessionChannel, BoxStream<'static, Result<BytesMessage, Status>>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (from_us, mut to_us) = tokio::io::split(theirs);
    let (over, closed) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok(Some(message)) = incoming.message().await {
            if to_us.write_all(&message.data).await.is_err() {
                break;
            }
        }
        let _ = to_us.shutdown().await;
    });
    let outgoing = ReaderStream::new(from_us).map(|chunk| {
        let data = chunk?.to_vec();
        Ok(BytesMessage { data })
    });
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(ours));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
        over.send_replace(true);
    });
    (SessionChannel { sender, closed }, outgoing.boxed())
}

#[tonic::async_trait]
impl Control for Daemon {
    async fn solve(
        &self,
        request: tonic::Request<SolveRequest>,
    ) -> Result<tonic::Response<SolveResponse>, Status> {
        let mut sessions = self.session.subscribe();
        let found = sessions.wait_for(Option::is_some).await;
        let (session, headers) = found
            .map_err(|_| Status::internal("no session"))?
            .clone()
            .unwrap();
        let news = self.news.lock().unwrap().take().unwrap();
        let peer = Peer {
            session,
            headers,
            news,
        };
        let exporter_response = (self.script)(peer, request.into_inner()).await?;
        Ok(tonic::Response::new(SolveResponse { exporter_response }))
    }

    type StatusStream = BoxStream<'static, Result<StatusResponse, Status>>;

    async fn status(
        &self,
        _: tonic::Request<StatusRequest>,
    ) -> Result<tonic::Response<Self::StatusStream>, Status> {
        let told = self.told.lock().unwrap().take().unwrap();
        let news = UnboundedReceiverStream::new(told).map(Ok);
        Ok(tonic::Response::new(news.boxed()))
    }

    type SessionStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn session(
        &self,
        request: tonic::Request<Streaming<BytesMessage>>,
    ) -> Result<tonic::Response<Self::SessionStream>, Status> {
        let headers = request.metadata().clone();
        let (channel, outgoing) = connect(request.into_inner()).await;
        self.session.send_replace(Some((channel, headers)));
        Ok(tonic::Response::new(outgoing))
    }

    async fn disk_usage(
        &self,
        _: tonic::Request<DiskUsageRequest>,
    ) -> Result<tonic::Response<DiskUsageResponse>, Status> {
        Err(Status::unimplemented("no cache"))
    }

    type PruneStream = BoxStream<'static, Result<UsageRecord, Status>>;

    async fn prune(
        &self,
        _: tonic::Request<PruneRequest>,
    ) -> Result<tonic::Response<Self::PruneStream>, Status> {
        Err(Status::unimplemented("no cache"))
    }

    async fn list_workers(
        &self,
        _: tonic::Request<ListWorkersRequest>,
    ) -> Result<tonic::Response<ListWorkersResponse>, Status> {
        Err(Status::unavailable("no workers"))
    }

    async fn info(&self, _: tonic::Request<InfoRequest>) -> Result<tonic::Response<InfoResponse>, Status> {
        Err(Status::unimplemented("unknown method Info"))
    }

    type ListenBuildHistoryStream = BoxStream<'static, Result<BuildHistoryEvent, Status>>;

    async fn listen_build_history(
        &self,
        _: tonic::Request<BuildHistoryRequest>,
    ) -> Result<tonic::Response<Self::ListenBuildHistoryStream>, Status> {
        Err(Status::unimplemented("no history"))
    }

    async fn update_build_history(
        &self,
        _: tonic::Request<UpdateBuildHistoryRequest>,
    ) -> Result<tonic::Response<UpdateBuildHistoryResponse>, Status> {
        Err(Status::unimplemented("no history"))
    }
}
