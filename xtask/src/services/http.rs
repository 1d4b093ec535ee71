//! Just enough HTTP to ask a service whether it answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

const PATIENCE: Duration = Duration::from_secs(5);

/// The status a service on a Unix socket gives for `GET path`; none if it does not answer.
pub(crate) fn status_of_socket(socket: &Path, path: &str) -> Option<u16> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    ask(stream, path)
}

/// The status a service on a loopback port gives for `GET path`; none if it does not answer.
pub(crate) fn status_of_port(port: u16, path: &str) -> Option<u16> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    ask(stream, path)
}

fn ask(mut stream: impl Read + Write, path: &str) -> Option<u16> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).ok()?;
    parse_status(&answer[..length])
}

fn parse_status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.split(|byte| *byte == b'\r').next()?).ok()?;
    line.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()
}

/// A loopback port nobody listens on at this moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_second_word() {
        assert_eq!(parse_status(b"HTTP/1.1 401 Unauthorized\r\nX: y\r\n"), Some(401));
        assert_eq!(parse_status(b"SSH-2.0-thing\r\n"), None);
        assert_eq!(parse_status(b""), None);
    }

    #[test]
    fn nobody_at_home_is_no_status() {
        assert_eq!(status_of_socket(Path::new("/nowhere.sock"), "/_ping"), None);
        assert_eq!(status_of_port(free_port().unwrap(), "/"), None);
    }
}
