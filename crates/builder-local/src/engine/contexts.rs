//! Docker contexts: what `docker context use` chooses.
//!
//! A context is a directory named by the SHA-256 of the context's name, in `contexts/meta` and
//! `contexts/tls` of Docker's configuration directory.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use wharf_core::{Error, ErrorKind, Result};

use super::endpoint::{Endpoint, TlsFiles};
use super::environment::exists;

/// The context that is no context: the engine of this machine.
pub(super) const DEFAULT: &str = "default";

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext", default)]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: DockerEndpoint,
}

#[derive(Deserialize)]
struct DockerEndpoint {
    #[serde(rename = "Host")]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

/// The context that `docker context use` chose; `None` for the default one.
///
/// # Errors
///
/// When Docker's configuration file cannot be read or is not JSON.
pub(super) fn current(docker_directory: &Path) -> Result<Option<String>> {
    let path = docker_directory.join("config.json");
    if !exists(&path) {
        return Ok(None);
    }
    let text = std::fs::read(&path)
        .map_err(|source| Error::io("could not read Docker's configuration", &path, source))?;
    let config: ConfigFile = serde_json::from_slice(&text).map_err(|source| broken(&path, source))?;
    Ok(config
        .current_context
        .filter(|name| !name.is_empty() && name != DEFAULT))
}

/// The endpoint of a context.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] listing the contexts there are; [`ErrorKind::InvalidConfiguration`] when the
/// context is broken.
pub(super) fn endpoint(docker_directory: &Path, name: &str) -> Result<Endpoint> {
    let id = context_id(name);
    let path = docker_directory.join("contexts/meta").join(&id).join("meta.json");
    let text = std::fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => unknown(docker_directory, name),
        _ => Error::io(
            format!("could not read the Docker context `{name}`"),
            &path,
            source,
        ),
    })?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|source| broken(&path, source))?;
    let endpoint: Endpoint = metadata.endpoints.docker.host.parse()?;
    let directory = docker_directory.join("contexts/tls").join(&id).join("docker");
    Ok(
        match exists(&directory) || metadata.endpoints.docker.skip_tls_verify {
            true => endpoint.with_tls(TlsFiles {
                directory,
                verify: !metadata.endpoints.docker.skip_tls_verify,
            }),
            false => endpoint,
        },
    )
}

fn context_id(name: &str) -> String {
    Sha256::digest(name.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn broken(path: &Path, source: serde_json::Error) -> Error {
    Error::new(
        ErrorKind::InvalidConfiguration,
        "a file of Docker's configuration is not what it should be",
    )
    .with_context("path", path.display().to_string())
    .with_source(source)
}

fn unknown(docker_directory: &Path, name: &str) -> Error {
    let names = names(&docker_directory.join("contexts/meta"));
    let known = std::iter::once(DEFAULT.to_owned())
        .chain(names)
        .collect::<Vec<_>>()
        .join(", ");
    Error::new(
        ErrorKind::NotFound,
        format!("there is no Docker context `{name}`"),
    )
    .with_context("directory", docker_directory.display().to_string())
    .with_hint(format!(
        "There are: {known}. Choose one with `docker context use` or DOCKER_CONTEXT."
    ))
}

fn names(meta: &Path) -> Vec<String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "Name")]
        name: String,
    }
    let directories = std::fs::read_dir(meta).into_iter().flatten().flatten();
    let read = |path: PathBuf| serde_json::from_slice::<Named>(&std::fs::read(path).ok()?).ok();
    let mut names: Vec<String> = directories
        .filter_map(|entry| read(entry.path().join("meta.json")))
        .map(|named| named.name)
        .collect();
    names.sort();
    names
}
