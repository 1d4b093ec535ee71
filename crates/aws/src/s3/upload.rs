//! Stores one object: at once if it is small, else in parts, several at a time.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use tokio::runtime::Handle;
use wharf_core::artifact_store::ArtifactStream;
use wharf_core::builder::Owner;
use wharf_core::{Error, ErrorKind, Result};

use super::parts::{self, Part};
use crate::from_sdk;

/// Parts that are sent at the same time; each is in memory until it has arrived.
const PARALLEL: usize = 4;

/// How long the parts of an upload that failed may take to be removed.
const ABORT: Duration = Duration::from_secs(20);

/// Which process stored an object, among what S3 keeps beside it.
pub(super) const OWNER_METADATA: &str = "wharf-owner";

/// Where one object goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) encryption: Option<String>,
    pub(super) kms_key: Option<String>,
}

impl Target {
    /// Stores the content and gives its size. When the content or a part fails, or the future is dropped, no part
    /// stays.
    pub(super) async fn store(&self, content: ArtifactStream) -> Result<u64> {
        let mut parts = Box::pin(parts::cut(content));
        let first = parts
            .try_next()
            .await?
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "content without a part"))?;
        if first.last {
            return self.put(first.content).await;
        }
        let upload = Upload::begin(self).await?;
        let parts = stream::once(future::ready(Ok(first))).chain(parts);
        let sent = parts
            .map_ok(|part| upload.send(part))
            .try_buffer_unordered(PARALLEL)
            .try_collect::<Vec<Sent>>()
            .await;
        match sent {
            Ok(sent) => upload.complete(sent).await,
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn put(&self, content: Bytes) -> Result<u64> {
        let size = content.len() as u64;
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .metadata(OWNER_METADATA, Owner::this_process().to_string())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key.clone())
            .body(ByteStream::from(content))
            .send()
            .await
            .map_err(|error| from_sdk("store an object in S3", "s3:PutObject", error))?;
        Ok(size)
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        self.encryption.as_deref().map(ServerSideEncryption::from)
    }
}

/// A part that has arrived.
struct Sent {
    part: CompletedPart,
    number: i32,
    size: u64,
}

/// An upload in parts. Dropped before its end, it removes its parts in the background.
struct Upload<'a> {
    target: &'a Target,
    id: String,
    guard: AbortOnDrop,
}

impl<'a> Upload<'a> {
    async fn begin(target: &'a Target) -> Result<Self> {
        let begun = target
            .client
            .create_multipart_upload()
            .bucket(&target.bucket)
            .key(&target.key)
            .metadata(OWNER_METADATA, Owner::this_process().to_string())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .set_server_side_encryption(target.encryption())
            .set_ssekms_key_id(target.kms_key.clone())
            .send()
            .await
            .map_err(|error| from_sdk("begin an upload to S3", "s3:PutObject", error))?;
        let id = begun
            .upload_id
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "S3 began an upload and does not name it"))?;
        Ok(Self {
            target,
            guard: AbortOnDrop(Some((target.clone(), id.clone()))),
            id,
        })
    }

    /// Sends one part; the checksum that travels with it is checked by S3, the one that comes back here.
    async fn send(&self, part: Part) -> Result<Sent> {
        let checksum = STANDARD.encode(crc32fast::hash(&part.content).to_be_bytes());
        let size = part.content.len() as u64;
        let answer = self
            .target
            .client
            .upload_part()
            .bucket(&self.target.bucket)
            .key(&self.target.key)
            .upload_id(&self.id)
            .part_number(part.number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .checksum_crc32(&checksum)
            .body(ByteStream::from(part.content))
            .send()
            .await
            .map_err(|error| from_sdk("upload a part to S3", "s3:PutObject", error))?;
        if answer.checksum_crc32().is_some_and(|stored| stored != checksum) {
            let message = format!(
                "part {} arrived at S3 with other content than it was sent with",
                part.number
            );
            return Err(Error::new(ErrorKind::Conflict, message).set_retryable(true));
        }
        let completed = CompletedPart::builder()
            .part_number(part.number)
            .set_e_tag(answer.e_tag)
            .set_checksum_crc32(answer.checksum_crc32)
            .build();
        Ok(Sent {
            part: completed,
            number: part.number,
            size,
        })
    }

    async fn complete(mut self, mut sent: Vec<Sent>) -> Result<u64> {
        sent.sort_by_key(|sent| sent.number);
        let size = sent.iter().map(|sent| sent.size).sum();
        let parts = sent.into_iter().map(|sent| sent.part).collect();
        let list = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let completed = self
            .target
            .client
            .complete_multipart_upload()
            .bucket(&self.target.bucket)
            .key(&self.target.key)
            .upload_id(&self.id)
            .multipart_upload(list)
            .send()
            .await;
        match completed {
            Ok(_) => {
                self.guard.0 = None;
                Ok(size)
            }
            Err(error) => {
                self.abort().await;
                Err(from_sdk("complete an upload to S3", "s3:PutObject", error))
            }
        }
    }

    async fn abort(mut self) {
        if let Some((target, id)) = self.guard.0.take() {
            abort(target, id).await;
        }
    }
}

struct AbortOnDrop(Option<(Target, String)>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        // Without a runtime nothing can be sent any more; the bucket's lifecycle rule is for that.
        if let (Some((target, id)), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(abort(target, id));
        }
    }
}

/// That an upload could not be aborted changes nothing for whoever began it.
async fn abort(target: Target, id: String) {
    let call = target
        .client
        .abort_multipart_upload()
        .bucket(&target.bucket)
        .key(&target.key)
        .upload_id(id)
        .send();
    let _ = tokio::time::timeout(ABORT, call).await;
}
