//! A plain `buildkitd`: the session's bytes travel inside of a control call.

use std::io;

use bollard_buildkit_proto::moby::buildkit::v1::BytesMessage;
use futures_util::StreamExt as _;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio_util::io::ReaderStream;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::{Request, Streaming};
use wharf_core::{Error, ErrorKind, Result};

use super::{BoxedStream, Channel, SessionHeaders};
use crate::error::from_status;

/// Bytes that may wait in each direction.
const BUFFER: usize = 256 * 1024;
/// Bytes in one message.
const CHUNK: usize = 32 * 1024;

/// Opens the call and returns our end of the tunnel.
pub(super) async fn session(control: &Channel, headers: &SessionHeaders) -> Result<BoxedStream> {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (from_us, to_us) = tokio::io::split(theirs);
    let mut request = Request::new(outgoing(from_us));
    for (name, value) in headers.pairs() {
        let value = AsciiMetadataValue::try_from(value).map_err(|error| {
            Error::new(
                ErrorKind::InvalidInput,
                "the session cannot be put into a request",
            )
            .with_source(error)
        })?;
        request
            .metadata_mut()
            .append(AsciiMetadataKey::from_static(name), value);
    }
    let response = control.client().session(request).await;
    let incoming = response.map_err(|status| from_status(&status))?.into_inner();
    // Ends when the daemon ends the call, or when our end is dropped and nothing more can be written.
    tokio::spawn(async move {
        let _ = write_incoming(incoming, to_us).await;
    });
    Ok(Box::new(ours))
}

/// What the session writes; a failure to read our own pipe is its end.
fn outgoing(
    from_us: ReadHalf<tokio::io::DuplexStream>,
) -> impl futures_util::Stream<Item = BytesMessage> + Send + 'static {
    let chunks = ReaderStream::with_capacity(from_us, CHUNK);
    chunks
        .take_while(|chunk| std::future::ready(chunk.is_ok()))
        .map(|chunk| BytesMessage {
            data: chunk.unwrap_or_default().into(),
        })
}

async fn write_incoming(
    mut incoming: Streaming<BytesMessage>,
    mut to_us: WriteHalf<tokio::io::DuplexStream>,
) -> io::Result<()> {
    while let Ok(Some(message)) = incoming.message().await {
        to_us.write_all(&message.data).await?;
    }
    to_us.shutdown().await
}
