//! Addresses of registries.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::reference::grammar::{self, Problem};
use crate::reference::repair::printable;
use crate::{Error, ErrorKind, ImageReference, Result};

/// Where a registry is: `host[:port][/path]`, or a bare path on Docker Hub. It has no scheme.
///
/// ```
/// let registry: wharf_core::registry::RegistryUri = "registry.example.com:5000/team/".parse()?;
/// assert_eq!(registry.as_str(), "registry.example.com:5000/team");
/// assert_eq!(registry.image("app", "1")?.to_string(), "registry.example.com:5000/team/app:1");
/// # Ok::<(), wharf_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistryUri {
    text: String,
    domain: String,
    path: String,
}

impl RegistryUri {
    /// The address as it was written, without slashes at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, with its port where one is given; `docker.io` for Docker Hub.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The path under which the registry's images live; empty for the whole host.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the host is this machine: `localhost`, a name below it, or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.domain)
    }

    /// Whether an image lives below this address; whole parts of the path are compared.
    #[must_use]
    pub fn contains(&self, image: &ImageReference) -> bool {
        image.domain() == self.domain
            && (self.path.is_empty()
                || image
                    .path()
                    .strip_prefix(&self.path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// The name of an image below this address.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) when repository or tag cannot be part of a name.
    pub fn image(&self, repository: &str, tag: &str) -> Result<ImageReference> {
        let path = match self.path.as_str() {
            "" => repository.to_owned(),
            parent => format!("{parent}/{repository}"),
        };
        ImageReference::from_parts(&self.domain, &path, Some(tag), None)
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        grammar::check_characters(text)?;
        let text = text.trim_end_matches('/');
        let (domain, path) = match text.split_once('/') {
            Some((first, rest)) if grammar::is_domain_like(first) => (first, rest),
            None if grammar::is_domain_like(text) => (text, ""),
            _ => (grammar::DEFAULT_DOMAIN, text),
        };
        grammar::check_domain(domain)?;
        let domain = grammar::present_domain(domain);
        if !path.is_empty() || text.is_empty() {
            grammar::check_name(domain, path)?;
        }
        Ok(Self {
            text: text.to_owned(),
            domain: domain.to_owned(),
            path: path.to_owned(),
        })
    }
}

impl FromStr for RegistryUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text).map_err(|problem| {
            let message = format!("{} is not a registry's address: {problem}", printable(text));
            let hint = match repaired(text) {
                Some(better) => format!("Write {better:?}."),
                None => "The form is host[:port][/path], for example registry.example.com:5000/team.".into(),
            };
            Error::new(ErrorKind::InvalidConfiguration, message).with_hint(hint)
        })
    }
}

impl fmt::Display for RegistryUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// The nearest right form: no scheme, no API version, no empty parts, the path in lower case.
fn repaired(text: &str) -> Option<String> {
    let text = text.trim();
    let (is_url, text) = text
        .split_once("://")
        .map_or((false, text), |(_, rest)| (true, rest));
    let mut parts: Vec<String> = text
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    if is_url && parts.get(1).is_some_and(|part| part == "v1" || part == "v2") {
        parts.remove(1);
    }
    parts
        .iter_mut()
        .skip(1)
        .for_each(|part| part.make_ascii_lowercase());
    let better = parts.join("/");
    RegistryUri::parse(&better).ok().map(|_| better)
}

/// Whether `host` or `host:port` means this machine.
fn is_loopback(domain: &str) -> bool {
    let host = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => domain,
    };
    let host = host.to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address
        .parse::<IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RegistryUri {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_a_host_and_a_path() {
        for (text, domain, path) in [
            ("docker.io", "docker.io", ""),
            ("index.docker.io/user", "docker.io", "user"),
            ("user", "docker.io", "user"),
            ("org/team", "docker.io", "org/team"),
            ("localhost", "localhost", ""),
            ("localhost:5000/x/", "localhost:5000", "x"),
            ("[::1]:5000", "[::1]:5000", ""),
            (
                "europe-west1-docker.pkg.dev/p/r",
                "europe-west1-docker.pkg.dev",
                "p/r",
            ),
        ] {
            let uri = uri(text);
            assert_eq!((uri.domain(), uri.path()), (domain, path), "{text}");
        }
    }

    #[test]
    fn wrong_addresses_are_refused_with_the_right_one() {
        for (text, better) in [
            ("https://x.example.com/v2/", Some("x.example.com")),
            (" localhost:5000\n", Some("localhost:5000")),
            ("ghcr.io/Org", Some("ghcr.io/org")),
            ("r.example//a", Some("r.example/a")),
            ("", None),
            ("/", None),
            ("localhost:500000", None),
            ("a b", None),
        ] {
            let error = text.parse::<RegistryUri>().unwrap_err();
            let hint = error.hint().unwrap();
            match better {
                Some(better) => assert_eq!(hint, format!("Write {better:?}."), "{text:?}"),
                None => assert!(hint.starts_with("The form is"), "{text:?}: {hint}"),
            }
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        for text in [
            "https://user:planted@r.example/x",
            "user:planted@r.example",
            "user:planted@r.example:5000/x",
        ] {
            let error = text.parse::<RegistryUri>().unwrap_err();
            assert!(
                !format!("{error:?} {}", error.report()).contains("planted"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn loopback_hosts_are_this_machine() {
        for local in [
            "localhost",
            "LOCALHOST:5000",
            "reg.localhost:80",
            "127.0.0.1:5000/x",
            "127.9.9.9",
            "[::1]:5000",
        ] {
            assert!(uri(local).is_loopback(), "{local}");
        }
        for other in [
            "localhost.example.com",
            "10.0.0.1:5000",
            "user",
            "docker.io",
            "[fd00::1]",
        ] {
            assert!(!uri(other).is_loopback(), "{other}");
        }
    }
}
