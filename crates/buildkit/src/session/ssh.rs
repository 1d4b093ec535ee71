//! An SSH agent that steps may use.
//!
//! The daemon gets to list keys and to have things signed, nothing else: it must not add or remove keys, lock
//! the agent or use its extensions. The messages are those of `draft-ietf-sshm-ssh-agent`, section 6.1.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::Ssh;
use bollard_buildkit_proto::moby::sshforward::v1::{BytesMessage, CheckAgentRequest, CheckAgentResponse};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::transport::BoxedStream;

/// The id of the agent when a mount names none.
const DEFAULT_ID: &str = "default";
/// The header in which the daemon names the agent.
const ID_HEADER: &str = "buildkit.ssh.id";

const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
/// The whole message with which an agent says no.
const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];
/// No message of an agent is longer (OpenSSH's own limit).
const MAX_MESSAGE: usize = 256 * 1024;

/// Answers the daemon's requests for an agent.
pub(crate) struct SshService {
    /// The agents' sockets by id.
    pub(crate) agents: Arc<BTreeMap<String, PathBuf>>,
}

impl SshService {
    fn agent(&self, id: &str) -> Result<&Path, Status> {
        let id = if id.is_empty() { DEFAULT_ID } else { id };
        let path = self.agents.get(id).map(PathBuf::as_path);
        path.ok_or_else(|| Status::not_found(format!("unset ssh forward key {id}")))
    }
}

#[tonic::async_trait]
impl Ssh for SshService {
    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.agent(&request.get_ref().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    type ForwardAgentStream = ReceiverStream<Result<BytesMessage, Status>>;

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let id = request.metadata().get(ID_HEADER).and_then(|id| id.to_str().ok());
        let path = self.agent(id.unwrap_or_default())?;
        let agent = connect(path).await?;
        let (outgoing, replies) = mpsc::channel(1);
        // Ends when the daemon closes its side or goes away.
        tokio::spawn(async move {
            if let Err(status) = forward(request.into_inner(), agent, &outgoing).await {
                let _ = outgoing.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(replies)))
    }
}

#[cfg(unix)]
async fn connect(path: &Path) -> Result<BoxedStream, Status> {
    let stream = tokio::net::UnixStream::connect(path).await;
    stream
        .map(|stream| Box::new(stream) as BoxedStream)
        .map_err(|error| Status::unavailable(format!("no ssh agent answers at {}: {error}", path.display())))
}

#[cfg(not(unix))]
async fn connect(_: &Path) -> Result<BoxedStream, Status> {
    Err(Status::unimplemented("ssh agents are forwarded on Unix only"))
}

/// One message at a time, as an agent answers them.
async fn forward(
    mut incoming: Streaming<BytesMessage>,
    mut agent: BoxedStream,
    outgoing: &mpsc::Sender<Result<BytesMessage, Status>>,
) -> Result<(), Status> {
    let mut received = BytesMut::new();
    while let Some(message) = incoming.message().await? {
        received.extend_from_slice(&message.data);
        while let Some(request) = next_message(&mut received)? {
            let data = match request.get(4) {
                Some(&(REQUEST_IDENTITIES | SIGN_REQUEST)) => ask(&mut agent, &request).await?,
                _ => FAILURE.to_vec(),
            };
            if outgoing.send(Ok(BytesMessage { data })).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Takes a whole message, with the length before it, if there is one.
fn next_message(received: &mut BytesMut) -> Result<Option<BytesMut>, Status> {
    let Some(mut head) = received.get(..4) else {
        return Ok(None);
    };
    let length = 4 + checked_length(head.get_u32())?;
    Ok((received.len() >= length).then(|| received.split_to(length)))
}

async fn ask(agent: &mut BoxedStream, request: &[u8]) -> Result<Vec<u8>, Status> {
    agent.write_all(request).await?;
    let length = agent.read_u32().await?;
    let mut reply = length.to_be_bytes().to_vec();
    reply.resize(4 + checked_length(length)?, 0);
    agent.read_exact(&mut reply[4..]).await?;
    Ok(reply)
}

fn checked_length(length: u32) -> Result<usize, Status> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    match length <= MAX_MESSAGE {
        true => Ok(length),
        false => Err(Status::invalid_argument(
            "a message to or from the ssh agent is too long",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_where_their_length_says() {
        let mut received = BytesMut::from(&[0, 0, 0, 1, 11, 0, 0, 0, 2, 13][..]);
        assert_eq!(
            next_message(&mut received).unwrap().unwrap(),
            &[0, 0, 0, 1, 11][..]
        );
        assert_eq!(next_message(&mut received).unwrap(), None);
        received.extend_from_slice(&[7]);
        assert_eq!(
            next_message(&mut received).unwrap().unwrap(),
            &[0, 0, 0, 2, 13, 7][..]
        );
        assert!(next_message(&mut BytesMut::from(&[255, 0, 0, 0, 1][..])).is_err());
    }
}
