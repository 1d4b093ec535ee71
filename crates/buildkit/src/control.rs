//! What a daemon says about itself: workers, versions and its cache.

use std::collections::BTreeMap;

use bollard_buildkit_proto::google::protobuf::Timestamp as WireTimestamp;
use bollard_buildkit_proto::moby::buildkit::v1::types::WorkerRecord;
use bollard_buildkit_proto::moby::buildkit::v1::{
    DiskUsageRequest, InfoRequest, ListWorkersRequest, PruneRequest, UsageRecord,
};
use jiff::Timestamp;
use tonic::Code;
use wharf_core::Result;

use crate::error::from_status;
use crate::transport::Transport;

/// How long a message may be, in bytes (BuildKit's own limit is 16 MiB in both directions).
pub(crate) const MAX_MESSAGE: usize = 32 << 20;

/// Something that runs build steps for the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The daemon's name for it.
    pub id: String,
    /// Facts such as the executor and the snapshotter.
    pub labels: BTreeMap<String, String>,
    /// What it can build for, as `os/architecture` with a variant behind it where there is one.
    pub platforms: Vec<String>,
    /// The version of BuildKit; not told by Docker Engine before 23.
    pub version: Option<String>,
}

/// Something in the daemon's cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRecord {
    /// The daemon's name for it.
    pub id: String,
    /// What it is: `regular`, `source.local`, `exec.cachemount`, …
    pub kind: String,
    /// Where it comes from, for people.
    pub description: String,
    /// Size in bytes.
    pub size: u64,
    /// Whether a build uses it now.
    pub in_use: bool,
    /// Whether it is part of an image, so that removing it frees nothing.
    pub shared: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
}

pub(crate) async fn workers(transport: &Transport) -> Result<Vec<Worker>> {
    let mut client = transport.control().await?.client();
    let response = client.list_workers(ListWorkersRequest::default()).await;
    let response = response.map_err(|status| from_status(&status))?.into_inner();
    Ok(response.record.into_iter().map(worker).collect())
}

pub(crate) async fn version(transport: &Transport) -> Result<Option<String>> {
    let mut client = transport.control().await?.client();
    match client.info(InfoRequest {}).await {
        Ok(response) => Ok(response
            .into_inner()
            .buildkit_version
            .map(|version| version.version)),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(from_status(&status)),
    }
}

pub(crate) async fn disk_usage(transport: &Transport) -> Result<Vec<CacheRecord>> {
    let mut client = transport.control().await?.client();
    let response = client.disk_usage(DiskUsageRequest::default()).await;
    let response = response.map_err(|status| from_status(&status))?.into_inner();
    Ok(response.record.into_iter().map(record).collect())
}

pub(crate) async fn prune(transport: &Transport, all: bool) -> Result<Vec<CacheRecord>> {
    let mut client = transport.control().await?.client();
    let request = PruneRequest {
        all,
        ..PruneRequest::default()
    };
    let response = client.prune(request).await;
    let mut stream = response.map_err(|status| from_status(&status))?.into_inner();
    let mut removed = Vec::new();
    while let Some(found) = stream.message().await.map_err(|status| from_status(&status))? {
        removed.push(record(found));
    }
    Ok(removed)
}

/// The same moment as wharf writes it; none if it is outside of the years -9999 to 9999.
pub(crate) fn timestamp(wire: Option<WireTimestamp>) -> Option<Timestamp> {
    wire.and_then(|wire| Timestamp::new(wire.seconds, wire.nanos).ok())
}

fn worker(record: WorkerRecord) -> Worker {
    let platform = |platform: bollard_buildkit_proto::pb::Platform| {
        let parts = [platform.os, platform.architecture, platform.variant];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("/")
    };
    Worker {
        id: record.id,
        labels: record.labels.into_iter().collect(),
        platforms: record.platforms.into_iter().map(platform).collect(),
        version: record.buildkit_version.map(|version| version.version),
    }
}

fn record(record: UsageRecord) -> CacheRecord {
    CacheRecord {
        id: record.id,
        kind: record.record_type,
        description: record.description,
        size: u64::try_from(record.size).unwrap_or(0),
        in_use: record.in_use,
        shared: record.shared,
        created: timestamp(record.created_at),
        last_used: timestamp(record.last_used_at),
    }
}
