//! Where an engine listens, in the forms that `DOCKER_HOST` and Docker contexts have.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use wharf_core::{Error, ErrorKind, Result};

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A Unix socket: `unix:///var/run/docker.sock`.
    Unix(PathBuf),
    /// A TCP port: `tcp://host:2375`, or with TLS `tcp://host:2376`.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
        /// How TLS is spoken; none: the connection is not encrypted.
        tls: Option<TlsFiles>,
    },
    /// The engine of another machine through the `ssh` command: `ssh://user@host`.
    Ssh {
        /// The user; none: what the SSH configuration says.
        user: Option<String>,
        /// The host's name, address or alias.
        host: String,
        /// The port; none: what the SSH configuration says.
        port: Option<u16>,
        /// The engine's socket over there; none: its default.
        socket: Option<String>,
    },
}

/// The files TLS needs, as the `docker` command has them: `ca.pem`, `cert.pem`, `key.pem` in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Where the files are. Those that are missing are not used.
    pub directory: PathBuf,
    /// Whether the engine's certificate is checked.
    pub verify: bool,
}

impl Endpoint {
    /// The same endpoint; if it is a TCP port, TLS is spoken there.
    #[must_use]
    pub fn with_tls(self, files: TlsFiles) -> Self {
        match self {
            Self::Tcp { host, port, .. } => Self::Tcp {
                host,
                port,
                tls: Some(files),
            },
            other => other,
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once("://") {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp" | "http", address)) => tcp(text, address),
            Some(("ssh", address)) => ssh(text, address),
            None if text.starts_with('/') => Ok(Self::Unix(text.into())),
            _ => Err(invalid(text)),
        }
    }
}

fn invalid(text: &str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("`{text}` is not the address of an engine"),
    )
    .with_hint("Write unix:///path/to/docker.sock, tcp://host:2376, or ssh://user@host.")
}

/// Docker's own ports: 2375 without TLS. With TLS, 2376 must be written out.
const DEFAULT_PORT: u16 = 2375;

fn tcp(text: &str, address: &str) -> Result<Endpoint> {
    let address = address.trim_end_matches('/');
    let (host, port) = split_port(address).ok_or_else(|| invalid(text))?;
    if host.is_empty() || host.contains('/') {
        return Err(invalid(text));
    }
    Ok(Endpoint::Tcp {
        host: host.to_owned(),
        port: port.unwrap_or(DEFAULT_PORT),
        tls: None,
    })
}

fn ssh(text: &str, address: &str) -> Result<Endpoint> {
    let (authority, path) = match address.find('/') {
        Some(at) => address.split_at(at),
        None => (address, ""),
    };
    let (user, rest) = match authority.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, authority),
    };
    let (host, port) = split_port(rest).ok_or_else(|| invalid(text))?;
    // What begins with a dash would be an option to ssh, and a password has no place in an address.
    let unsafe_part = |part: &str| part.is_empty() || part.starts_with('-') || part.contains(':');
    if unsafe_part(host) && !host.contains("::") || user.as_deref().is_some_and(unsafe_part) {
        return Err(invalid(text));
    }
    let socket = Some(path.to_owned()).filter(|path| path.len() > 1);
    Ok(Endpoint::Ssh {
        user,
        host: host.to_owned(),
        port,
        socket,
    })
}

/// `host`, `host:port`, `[::1]:port`. The outer option is `None` when the port is no number.
fn split_port(address: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match address.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((address, None)),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh {
                user,
                host,
                port,
                socket,
            } => {
                let user = user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                write!(
                    f,
                    "ssh://{user}{host}{port}{}",
                    socket.as_deref().unwrap_or_default()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_docker_host_are_understood() {
        for (text, printed) in [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("/run/podman/podman.sock", "unix:///run/podman/podman.sock"),
            ("tcp://10.0.0.1", "tcp://10.0.0.1:2375"),
            ("tcp://host:2376/", "tcp://host:2376"),
            ("tcp://[::1]:2376", "tcp://[::1]:2376"),
            ("ssh://me@box", "ssh://me@box"),
            (
                "ssh://box:2222/run/podman/podman.sock",
                "ssh://box:2222/run/podman/podman.sock",
            ),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "unix://",
            "npipe:////./pipe/docker",
            "tcp://",
            "tcp://h:p",
            "ssh://-oProxyCommand=x",
            "ssh://u:p@h",
        ] {
            assert_eq!(
                text.parse::<Endpoint>().unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{text}"
            );
        }
    }
}
