//! The server behind a session: gRPC on a connection that we opened and the daemon sends requests on.

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard_buildkit_proto::health::health_server::HealthServer;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use wharf_core::event::EventSink;
use wharf_core::{Result, random_name};

use super::auth::AuthService;
use super::file_sync::FileSyncService;
use super::file_sync::directory::Directory;
use super::file_sync::progress::Meter;
use super::file_sync::source::SyncSource;
use super::health::HealthService;
use super::secrets::SecretsService;
use super::ssh::SshService;
use super::{Failures, Session, Transferred};
use crate::control;
use crate::transport::{BoxedStream, SessionHeaders};

/// All patterns of an ignore file arrive as headers of one request; Go's default limit is the same.
const MAX_HEADER_BYTES: u32 = 16 << 20;
/// What may be under way on the connection without an answer, in bytes.
const WINDOW: u32 = 1 << 20;

const FILE_SYNC: &[&str] = &["/moby.filesync.v1.FileSync/DiffCopy"];
const AUTH: &[&str] = &["/moby.filesync.v1.Auth/Credentials"];
const SECRETS: &[&str] = &["/moby.buildkit.secrets.v1.Secrets/GetSecret"];
const SSH: &[&str] = &[
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
];
const HEALTH: &[&str] = &["/grpc.health.v1.Health/Check"];

/// A session with the services that answer, before it is connected.
pub(crate) struct Server {
    pub(crate) headers: SessionHeaders,
    routes: Routes,
    meter: Arc<Meter>,
    failures: Failures,
}

/// A session that answers until it is dropped.
pub(crate) struct Serving {
    meter: Arc<Meter>,
    failures: Failures,
    _connection: AbortOnDropHandle<()>,
}

impl Server {
    pub(crate) fn new(session: Session, events: EventSink) -> Result<Self> {
        let failures = Failures::default();
        let meter = Arc::new(Meter::new(events));
        let mut routes = Routes::new(HealthServer::new(HealthService));
        let mut methods = HEALTH.to_vec();
        if !session.directories.is_empty() {
            let service = FileSyncService {
                directories: directories(session.directories),
                meter: Arc::clone(&meter),
                failures: failures.clone(),
            };
            let server = FileSyncServer::new(service).max_decoding_message_size(control::MAX_MESSAGE);
            routes = routes.add_service(server);
            methods.extend(FILE_SYNC);
        }
        if let Some(source) = session.credentials {
            let failures = failures.clone();
            routes = routes.add_service(AuthServer::new(AuthService { source, failures }));
            methods.extend(AUTH);
        }
        if !session.secrets.is_empty() {
            let secrets = Arc::new(session.secrets);
            routes = routes.add_service(SecretsServer::new(SecretsService { secrets }));
            methods.extend(SECRETS);
        }
        if !session.agents.is_empty() {
            let agents = Arc::new(session.agents);
            routes = routes.add_service(SshServer::new(SshService { agents }));
            methods.extend(SSH);
        }
        let headers = SessionHeaders {
            id: random_name(16)?,
            shared_key: session.shared_key,
            methods,
        };
        Ok(Self {
            headers,
            routes,
            meter,
            failures,
        })
    }

    /// Answers on a connection.
    pub(crate) fn serve(self, stream: BoxedStream) -> Serving {
        let service = TowerToHyperService::new(self.routes.prepare());
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .max_header_list_size(MAX_HEADER_BYTES)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(None)
            // A build that fails cancels all that it asked for at once; that is no attack.
            .max_pending_accept_reset_streams(None)
            .max_local_error_reset_streams(None);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let task = tokio::spawn(async move {
            // The daemon closes the connection when the build is over; if it did so too early, the build tells.
            let _ = connection.await;
        });
        Serving {
            meter: self.meter,
            failures: self.failures,
            _connection: AbortOnDropHandle::new(task),
        }
    }
}

/// The directories, of which lists are being made while the connections are opened.
fn directories(sources: BTreeMap<String, Arc<dyn SyncSource>>) -> BTreeMap<String, Arc<Directory>> {
    let directory = |(name, source)| {
        let directory = Directory::new(source);
        directory.list_ahead();
        (name, directory)
    };
    sources.into_iter().map(directory).collect()
}

impl Serving {
    /// What was sent so far.
    pub(crate) fn transferred(&self) -> Transferred {
        let (bytes, files) = self.meter.totals();
        Transferred { bytes, files }
    }

    /// What went wrong on our side.
    pub(crate) fn failure(&self) -> Option<wharf_core::Error> {
        self.failures.take()
    }
}
