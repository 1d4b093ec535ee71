//! What an engine is, asked from itself.

use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use wharf_core::{Error, ErrorKind, Result};

use super::http::{HttpClient, broken, empty};

/// Which program answers the Docker API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EngineKind {
    /// Docker Engine.
    Docker,
    /// Podman, which has no BuildKit.
    Podman,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineInfo {
    /// Which program it is.
    pub kind: EngineKind,
    /// The program's version.
    pub version: String,
    /// The newest version of the API it speaks.
    pub api_version: String,
    /// The operating system of its containers.
    pub os: String,
    /// Its architecture.
    pub architecture: String,
    /// Whether it has BuildKit.
    pub buildkit: bool,
    /// Whether its BuildKit honours the size of `/dev/shm`. Older ones ignore it without a word.
    pub buildkit_shm_size: bool,
}

impl EngineInfo {
    /// The engine for people: `Docker Engine 20.10.24`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.kind {
            EngineKind::Docker => format!("Docker Engine {}", self.version),
            EngineKind::Podman => format!("Podman {}", self.version),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(default)]
    version: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
}

/// BuildKit is part of the engine, and no experiment, since API 1.39 (Engine 18.09).
const BUILDKIT_API: (u32, u32) = (1, 39);

/// The BuildKit (0.10) inside Engine 23.0 is the first to honour `shm-size`.
const SHM_SIZE_API: (u32, u32) = (1, 42);

/// Asks `/version`.
pub(super) async fn ask(http: &HttpClient) -> Result<EngineInfo> {
    let request = ::http::Request::builder().uri("/version").body(empty());
    let request = request
        .map_err(|source| Error::new(ErrorKind::Unexpected, "a request is wrong").with_source(source))?;
    let response = http.send(request).await.map_err(broken)?;
    let libpod = response.headers().contains_key("libpod-api-version");
    let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
    let version: Version = serde_json::from_slice(&body).map_err(|source| {
        Error::new(
            ErrorKind::Unavailable,
            "what answers there is no container engine",
        )
        .with_source(source)
    })?;
    Ok(info(version, libpod))
}

fn info(version: Version, libpod: bool) -> EngineInfo {
    let podman = libpod
        || version
            .components
            .iter()
            .any(|component| component.name.starts_with("Podman"));
    let api = api_version(&version.api_version);
    let buildkit = !podman && api >= BUILDKIT_API && version.os != "windows";
    EngineInfo {
        kind: if podman {
            EngineKind::Podman
        } else {
            EngineKind::Docker
        },
        buildkit,
        buildkit_shm_size: buildkit && api >= SHM_SIZE_API,
        version: version.version,
        api_version: version.api_version,
        os: version.os,
        architecture: version.arch,
    }
}

fn api_version(text: &str) -> (u32, u32) {
    let parse = || {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: serde_json::Value, libpod: bool) -> EngineInfo {
        info(serde_json::from_value(json).unwrap(), libpod)
    }

    #[test]
    fn buildkit_is_known_by_engine_and_version() {
        let docker = |api: &str| serde_json::json!({"Version": "x", "ApiVersion": api, "Os": "linux", "Arch": "amd64"});
        assert!(of(docker("1.41"), false).buildkit);
        assert!(of(docker("1.39"), false).buildkit);
        assert!(!of(docker("1.38"), false).buildkit);
        assert!(!of(docker("1.41"), true).buildkit);
        assert!(!of(serde_json::json!({"ApiVersion": "1.47", "Os": "windows"}), false).buildkit);
    }

    #[test]
    fn podman_is_known_by_its_component() {
        let answer = serde_json::json!({
            "Version": "4.3.1", "ApiVersion": "1.41", "Os": "linux", "Components": [{"Name": "Podman Engine"}]
        });
        assert_eq!(of(answer, false).name(), "Podman 4.3.1");
    }
}
