//! Connections to an engine.

use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use wharf_buildkit::BoxedStream;
use wharf_core::{Error, ErrorKind, Result};

use super::endpoint::Endpoint;
use super::tls;

/// How long an engine may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Opens a connection.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when nothing listens or it takes longer than 20 seconds;
/// [`ErrorKind::PermissionDenied`] when the socket may not be used.
pub async fn dial(endpoint: &Endpoint) -> Result<BoxedStream> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(endpoint)).await;
    connected.unwrap_or_else(|_| {
        let message = format!("nothing answered within {} seconds", CONNECT_TIMEOUT.as_secs());
        Err(Error::new(ErrorKind::Unavailable, message).set_retryable(true))
    })
}

async fn connect(endpoint: &Endpoint) -> Result<BoxedStream> {
    match endpoint {
        Endpoint::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(refused)?)),
        Endpoint::Tcp { host, port, tls } => {
            let stream = TcpStream::connect((host.as_str(), *port))
                .await
                .map_err(refused)?;
            stream.set_nodelay(true).map_err(refused)?;
            match tls {
                Some(files) => Ok(Box::new(tls::wrap(stream, host, files).await?)),
                None => Ok(Box::new(stream)),
            }
        }
        Endpoint::Ssh { .. } => Ok(Box::new(SshStream::open(endpoint)?)),
    }
}

fn refused(source: std::io::Error) -> Error {
    let (kind, message) = match source.kind() {
        std::io::ErrorKind::NotFound => (ErrorKind::Unavailable, "there is no such socket"),
        std::io::ErrorKind::PermissionDenied => {
            (ErrorKind::PermissionDenied, "this user may not use the socket")
        }
        std::io::ErrorKind::ConnectionRefused => (ErrorKind::Unavailable, "nothing listens there"),
        _ => (ErrorKind::Unavailable, "the connection failed"),
    };
    Error::new(kind, message).with_source(source)
}

/// The standard streams of an `ssh` command that forwards to an engine, as the `docker` command does it.
struct SshStream {
    // Killed when dropped.
    _child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl SshStream {
    fn open(endpoint: &Endpoint) -> Result<Self> {
        let mut child = Command::new("ssh")
            .args(ssh_arguments(endpoint))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| {
                Error::new(ErrorKind::Unavailable, "the command `ssh` could not be started")
                    .with_hint("Install an SSH client.")
                    .with_source(source)
            })?;
        let gone = || Error::new(ErrorKind::Unexpected, "the command `ssh` has no standard streams");
        let input = child.stdin.take().ok_or_else(gone)?;
        let output = child.stdout.take().ok_or_else(gone)?;
        Ok(Self {
            _child: child,
            input,
            output,
        })
    }
}

fn ssh_arguments(endpoint: &Endpoint) -> Vec<String> {
    let Endpoint::Ssh {
        user,
        host,
        port,
        socket,
    } = endpoint
    else {
        return Vec::new();
    };
    // BatchMode: a question for a password would be asked in the middle of the display.
    let mut arguments: Vec<String> = ["-o", "ConnectTimeout=15", "-o", "BatchMode=yes", "-T"]
        .map(String::from)
        .into();
    if let Some(user) = user {
        arguments.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    arguments.extend(["--".to_owned(), host.clone(), "docker".to_owned()]);
    if let Some(socket) = socket {
        // The words behind the host pass the shell over there.
        let quoted = format!("'unix://{}'", socket.replace('\'', r"'\''"));
        arguments.extend(["--host".to_owned(), quoted]);
    }
    arguments.extend(["system".to_owned(), "dial-stdio".to_owned()]);
    arguments
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, buffer)
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_ssh_address_is_an_option_or_a_shell_word() {
        let endpoint = "ssh://me@box:2222/run/it's $(id).sock".parse().unwrap();
        assert_eq!(
            ssh_arguments(&endpoint)[5..],
            [
                "-l",
                "me",
                "-p",
                "2222",
                "--",
                "box",
                "docker",
                "--host",
                r"'unix:///run/it'\''s $(id).sock'",
                "system",
                "dial-stdio"
            ]
        );
    }

    #[tokio::test]
    async fn a_missing_socket_and_a_dead_one_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        let error = dial(&Endpoint::Unix(path.clone())).await.err().unwrap();
        assert_eq!(error.message(), "there is no such socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = dial(&Endpoint::Unix(path)).await.err().unwrap();
        assert_eq!(error.message(), "nothing listens there");
    }
}
