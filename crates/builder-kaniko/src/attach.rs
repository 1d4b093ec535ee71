//! Sending the build context to the executor's standard input.
//!
//! The API server's attach is a WebSocket of numbered channels. Protocol v5 can close one of them; with v4, which
//! is all that servers before 1.30 know, the end of the connection is the end of the input (`stdinOnce`). Nothing
//! but the input goes over it: output would be lost with v4, so it is read from the log.

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use kube::{Api, Client};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_util::task::AbortOnDropHandle;
use wharf_core::event::{BuildEvent, EventSink};
use wharf_core::{ArchiveFormat, BuildContext, Error, ErrorKind, Result};

use crate::error::from_kube;
use crate::manifest::CONTAINER;

const STDIN: u8 = 0;
const STATUS: u8 = 3;
const CLOSE: u8 = 255;

/// A connection over which everything was sent. The node may still be reading, so it is kept until the build ends.
#[derive(Debug)]
pub(crate) struct Attachment {
    _drain: AbortOnDropHandle<()>,
}

/// Sends the context as a tar.gz while it is being made. Memory does not grow with its size.
///
/// # Errors
///
/// What is wrong with the context; [`ErrorKind::Unavailable`] when the connection broke, which may be because the
/// executor ended.
pub(crate) async fn send_context(
    client: &Client,
    pods: &Api<Pod>,
    pod: &str,
    context: &BuildContext,
    events: &EventSink,
) -> Result<Attachment> {
    let parameters = AttachParams::default()
        .stdin(true)
        .stdout(false)
        .stderr(false)
        .container(CONTAINER);
    let request = kube::core::Request::new(pods.resource_url())
        .attach(pod, &parameters)
        .map_err(|error| from_kube(kube::Error::BuildRequest(error)))?;
    let connection = client.connect(request).await.map_err(from_kube)?;
    let closes_channels = connection.supports_stream_close();
    let (mut to_server, mut from_server) = connection.into_stream().split();
    let progress = events.clone();
    let archive = context.stream_archive_with(ArchiveFormat::TarGz, move |news| {
        progress.send(BuildEvent::Context(news));
    });
    send_all(archive, &mut to_server, &mut from_server).await?;
    let last = match closes_channels {
        true => Message::binary(vec![CLOSE, STDIN]),
        false => Message::Close(None),
    };
    to_server.send(last).await.map_err(broken)?;
    // Whoever hangs up now may cut off what is still on its way.
    let drain = tokio::spawn(async move {
        let _open = to_server;
        while let Some(Ok(_)) = from_server.next().await {}
    });
    Ok(Attachment {
        _drain: AbortOnDropHandle::new(drain),
    })
}

async fn send_all(
    archive: impl Stream<Item = Result<bytes::Bytes>>,
    to_server: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    from_server: &mut (impl Stream<Item = Result<Message, SocketError>> + Unpin),
) -> Result<()> {
    tokio::pin!(archive);
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = archive.next() => chunk,
            answer = from_server.next() => {
                refusal(answer)?;
                continue;
            }
        };
        let Some(chunk) = chunk.transpose()? else {
            return Ok(());
        };
        let mut frame = Vec::with_capacity(chunk.len() + 1);
        frame.push(STDIN);
        frame.extend_from_slice(&chunk);
        to_server.send(Message::binary(frame)).await.map_err(broken)?;
    }
}

/// What the server says while it is sent something is nothing, or why it takes no more.
fn refusal(answer: Option<Result<Message, SocketError>>) -> Result<()> {
    match answer {
        Some(Ok(Message::Binary(data))) if data.first() == Some(&STATUS) && data.len() > 1 => {
            let status: serde_json::Value = serde_json::from_slice(&data[1..]).unwrap_or_default();
            let message = status["message"]
                .as_str()
                .unwrap_or("the executor takes no more")
                .to_owned();
            Err(Error::new(ErrorKind::Unavailable, message).set_retryable(true))
        }
        Some(Ok(Message::Close(_))) | None => Err(broken(SocketError::ConnectionClosed)),
        Some(Err(error)) => Err(broken(error)),
        Some(Ok(_)) => Ok(()),
    }
}

fn broken(error: SocketError) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the connection to the pod broke while the build context was sent",
    )
    .with_hint("Build again; with large contexts, `store_context_in_artifact_store` avoids this connection.")
    .set_retryable(true)
    .with_source(error)
}
