//! Builds on a daemon that the test plays itself: what the session answers, and how builds end.

#![allow(
    clippy::unwrap_used,
    reason = "the daemon's part is played outside of the test functions"
)]

mod answers;
mod ends;
mod fake;
mod files;

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::health::HealthCheckRequest;
use bollard_buildkit_proto::health::health_client::HealthClient;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::GetSecretRequest;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_client::SecretsClient;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};
use bollard_buildkit_proto::moby::filesync::v1::auth_client::AuthClient;
use bollard_buildkit_proto::moby::filesync::v1::file_sync_client::FileSyncClient;
use bollard_buildkit_proto::moby::filesync::v1::{CredentialsRequest, GetTokenAuthorityRequest};
use fake::{Answer, Peer, client, origin};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status, Streaming};
use wharf_buildkit::{
    BuildDefinition, BuildFailure, BuildkitClient, CredentialSource, MemorySource, RegistryCredentials,
    SecretBytes, Session, SolveOutcome, SyncEntry, SyncKind, SyncSource,
};
use wharf_core::event::{BuildEvent, EventSink};
use wharf_core::{Error, ErrorKind, Result, Secret};

async fn run(client: BuildkitClient, session: Session) -> Result<SolveOutcome> {
    let cancel = CancellationToken::new();
    client
        .build(BuildDefinition::new(), session, EventSink::discard(), &cancel)
        .await
}

fn done() -> Answer {
    Ok(HashMap::new())
}
