//! The service through which the daemon reads directories.

pub(crate) mod directory;
pub(crate) mod filter;
pub(crate) mod follow;
pub(crate) mod glob;
pub(crate) mod memory;
pub(crate) mod metadata;
pub(crate) mod mode;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod send;
pub(crate) mod source;
pub(crate) mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSync;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use self::directory::Directory;
use self::metadata::Wanted;
use self::progress::Meter;
use self::send::{Ended, Outgoing, Transfer};
use super::Failures;

/// The directory that holds the Dockerfile, by the name the Dockerfile frontend asks for it.
const DOCKERFILE: &str = "dockerfile";

/// Answers the daemon's requests for directories.
pub(crate) struct FileSyncService {
    pub(crate) directories: BTreeMap<String, Arc<Directory>>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) failures: Failures,
}

impl FileSyncService {
    fn transfer(&self, wanted: Wanted) -> Result<Transfer, Status> {
        let directory = self
            .directories
            .get(&wanted.name)
            .ok_or_else(|| Status::not_found(format!("no access allowed to directory {:?}", wanted.name)))?;
        let counted = wanted.name != DOCKERFILE && !wanted.is_ignore_file();
        Ok(Transfer {
            directory: Arc::clone(directory),
            meter: counted.then(|| Arc::clone(&self.meter)),
            wanted,
        })
    }
}

type PacketStream = ReceiverStream<Result<Packet, Status>>;

#[tonic::async_trait]
impl FileSync for FileSyncService {
    type DiffCopyStream = PacketStream;
    type TarStreamStream = PacketStream;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let transfer = self.transfer(Wanted::from_metadata(request.metadata()))?;
        let failures = self.failures.clone();
        let (outgoing, packets) = mpsc::channel(send::QUEUE);
        // It ends by itself when the daemon or the connection goes away, as both of its streams end then.
        tokio::spawn(async move {
            if let Err(Ended::Failed(error)) = transfer.run(request.into_inner(), &outgoing).await {
                let message = error.to_string();
                // First of all, as the daemon's answer may come back before we are done here.
                failures.record(error);
                report(&outgoing, message).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(packets)))
    }

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("directories are sent by DiffCopy only"))
    }
}

/// Tells the daemon, so that it ends the build; if it is gone, it need not know.
async fn report(outgoing: &Outgoing, message: String) {
    let mut packet = send::packet(PacketType::PacketErr);
    packet.data = message.clone().into_bytes();
    let _ = outgoing.send(Ok(packet)).await;
    let _ = outgoing.send(Err(Status::aborted(message))).await;
}
