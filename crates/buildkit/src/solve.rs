//! What is to be built, as the daemon wants to be told.

use std::collections::{BTreeMap, HashMap};

use bollard_buildkit_proto::moby::buildkit::v1::{
    CacheOptions, CacheOptionsEntry, Exporter as WireExporter, SolveRequest,
};
use serde::Serialize;
use wharf_core::{Error, ErrorKind, Result};

/// The frontend that builds Dockerfiles, built into every daemon.
const DOCKERFILE_FRONTEND: &str = "dockerfile.v0";
/// What a build on the host's network must be allowed.
const NETWORK_HOST: &str = "network.host";
/// Tells the frontend that named contexts are used, so that one that knows none refuses.
const NAMED_CONTEXTS: &str = "moby.buildkit.frontend.contexts";

/// A build: a frontend, what it is told, and where the result goes.
///
/// The attributes of the Dockerfile frontend are documented in BuildKit's
/// `frontend/dockerfile/docs` and `frontend/dockerui`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildDefinition {
    frontend: String,
    attributes: BTreeMap<String, String>,
    platforms: Vec<String>,
    hosts: Vec<String>,
    ulimits: Vec<String>,
    cache_imports: Vec<CacheEntry>,
    cache_exports: Vec<CacheEntry>,
    exporters: Vec<Exporter>,
    entitlements: Vec<String>,
}

/// Whether images are looked for where they come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveMode {
    /// The daemon decides.
    #[default]
    Default,
    /// Always at the registry (`--pull`).
    Pull,
    /// An image the engine has is used without asking the registry.
    PreferLocal,
}

/// Which network steps see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkMode {
    /// One of their own.
    #[default]
    Default,
    /// The host's. The daemon must allow it (`network.host`); the request asks for that by itself.
    Host,
    /// None.
    None,
}

/// A place cached steps come from or go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CacheEntry {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Attrs")]
    attributes: BTreeMap<String, String>,
}

/// Where the result of a build goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exporter {
    kind: String,
    attributes: BTreeMap<String, String>,
}

impl BuildDefinition {
    /// A build of the file `Dockerfile` in the session's directory `dockerfile`, with the directory `context`,
    /// for the daemon's own platform. Without an exporter the result stays in the daemon's cache only.
    #[must_use]
    pub fn new() -> Self {
        Self {
            frontend: DOCKERFILE_FRONTEND.into(),
            attributes: BTreeMap::new(),
            platforms: Vec::new(),
            hosts: Vec::new(),
            ulimits: Vec::new(),
            cache_imports: Vec::new(),
            cache_exports: Vec::new(),
            exporters: Vec::new(),
            entitlements: Vec::new(),
        }
    }

    /// The Dockerfile's name within the session's directory `dockerfile`. Default: `Dockerfile`.
    #[must_use]
    pub fn with_filename(self, name: impl Into<String>) -> Self {
        self.with_attribute("filename", name)
    }

    /// Stops at this stage. Default: the last one.
    #[must_use]
    pub fn with_target(self, stage: impl Into<String>) -> Self {
        self.with_attribute("target", stage)
    }

    /// Adds a platform to build for, as `linux/arm64/v8`.
    #[must_use]
    pub fn with_platform(mut self, platform: impl Into<String>) -> Self {
        self.platforms.push(platform.into());
        self
    }

    /// Makes an image index even for a single platform.
    #[must_use]
    pub fn with_image_index(self) -> Self {
        self.with_attribute("multi-platform", "true")
    }

    /// The value of an `ARG`.
    #[must_use]
    pub fn with_build_arg(self, name: &str, value: impl Into<String>) -> Self {
        self.with_attribute(format!("build-arg:{name}"), value)
    }

    /// A label of the image.
    #[must_use]
    pub fn with_label(self, name: &str, value: impl Into<String>) -> Self {
        self.with_attribute(format!("label:{name}"), value)
    }

    /// Runs every step anew.
    #[must_use]
    pub fn without_cache(self) -> Self {
        self.with_attribute("no-cache", "")
    }

    /// Runs the steps of these stages anew.
    #[must_use]
    pub fn without_cache_of(self, stages: &[&str]) -> Self {
        self.with_attribute("no-cache", stages.join(","))
    }

    /// Whether parent images are looked for at their registry.
    #[must_use]
    pub fn with_resolve_mode(self, mode: ResolveMode) -> Self {
        match mode {
            ResolveMode::Default => self,
            ResolveMode::Pull => self.with_attribute("image-resolve-mode", "pull"),
            ResolveMode::PreferLocal => self.with_attribute("image-resolve-mode", "local"),
        }
    }

    /// Which network the steps see.
    #[must_use]
    pub fn with_network(self, mode: NetworkMode) -> Self {
        match mode {
            NetworkMode::Default => self,
            NetworkMode::Host => self
                .with_attribute("force-network-mode", "host")
                .with_entitlement(NETWORK_HOST),
            NetworkMode::None => self.with_attribute("force-network-mode", "none"),
        }
    }

    /// Size of `/dev/shm` in bytes. Default: 64 MiB.
    #[must_use]
    pub fn with_shm_size(self, bytes: u64) -> Self {
        self.with_attribute("shm-size", bytes.to_string())
    }

    /// Adds a line to the steps' `/etc/hosts`.
    #[must_use]
    pub fn with_host(mut self, name: &str, address: &str) -> Self {
        self.hosts.push(format!("{name}={address}"));
        self
    }

    /// Sets a limit of the steps' processes: `nofile`, 1024, 4096.
    #[must_use]
    pub fn with_ulimit(mut self, name: &str, soft: i64, hard: i64) -> Self {
        self.ulimits.push(format!("{name}={soft}:{hard}"));
        self
    }

    /// Gives `FROM <name>` and `--from=<name>` a meaning: `local:<directory of the session>`,
    /// `docker-image://<reference>` or an address of a Git repository.
    #[must_use]
    pub fn with_named_context(self, name: &str, value: impl Into<String>) -> Self {
        self.with_attribute(format!("context:{name}"), value)
            .with_attribute("frontend.caps", format!("{NAMED_CONTEXTS}+forward"))
    }

    /// Takes cached steps from there.
    #[must_use]
    pub fn with_cache_import(mut self, entry: CacheEntry) -> Self {
        self.cache_imports.push(entry);
        self
    }

    /// Puts cached steps there.
    #[must_use]
    pub fn with_cache_export(mut self, entry: CacheEntry) -> Self {
        self.cache_exports.push(entry);
        self
    }

    /// Puts the result there. Daemons before BuildKit 0.13 know a single exporter and take the first.
    #[must_use]
    pub fn with_export(mut self, exporter: Exporter) -> Self {
        self.exporters.push(exporter);
        self
    }

    /// Asks for something the daemon allows only to those who ask: `network.host`, `security.insecure`.
    #[must_use]
    pub fn with_entitlement(mut self, name: impl Into<String>) -> Self {
        self.entitlements.push(name.into());
        self
    }

    /// Any attribute of the frontend, for what has no method of its own.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// The Dockerfile's name.
    pub(crate) fn filename(&self) -> &str {
        self.attributes
            .get("filename")
            .map_or("Dockerfile", String::as_str)
    }

    /// The request for this build.
    pub(crate) fn into_request(self, build: &str, session: &str) -> Result<SolveRequest> {
        let frontend_attrs = self.frontend_attributes()?;
        let exporters: Vec<_> = self.exporters.into_iter().map(Exporter::into_wire).collect();
        let first = exporters.first().cloned().unwrap_or_default();
        Ok(SolveRequest {
            r#ref: build.into(),
            session: session.into(),
            frontend: self.frontend,
            frontend_attrs,
            cache: Some(CacheOptions {
                exports: self
                    .cache_exports
                    .into_iter()
                    .map(CacheEntry::into_wire)
                    .collect(),
                imports: self
                    .cache_imports
                    .into_iter()
                    .map(CacheEntry::into_wire)
                    .collect(),
                ..CacheOptions::default()
            }),
            entitlements: self.entitlements,
            exporter_deprecated: first.r#type,
            exporter_attrs_deprecated: first.attrs,
            exporters,
            ..SolveRequest::default()
        })
    }

    fn frontend_attributes(&self) -> Result<HashMap<String, String>> {
        let mut attributes: HashMap<_, _> = self.attributes.clone().into_iter().collect();
        let lists = [
            ("platform", &self.platforms),
            ("add-hosts", &self.hosts),
            ("ulimit", &self.ulimits),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            attributes.insert(name.into(), list.join(","));
        }
        if !self.cache_imports.is_empty() {
            let imports = serde_json::to_string(&self.cache_imports).map_err(|error| {
                Error::new(ErrorKind::Unexpected, "the cache imports cannot be written").with_source(error)
            })?;
            attributes.insert("cache-imports".into(), imports);
        }
        Ok(attributes)
    }
}

impl Default for BuildDefinition {
    fn default() -> Self {
        Self::new()
    }
}

impl CacheEntry {
    /// A place of any type: `registry`, `inline`, `local`, `s3`, …
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            attributes: BTreeMap::new(),
        }
    }

    /// An image in a registry, with the cache inside or as a cache of its own.
    #[must_use]
    pub fn registry(reference: impl Into<String>) -> Self {
        Self::new("registry").with_attribute("ref", reference)
    }

    /// Within the image that is built. For export only; small, and the only one Docker Engine 20.10 has.
    #[must_use]
    pub fn inline() -> Self {
        Self::new("inline")
    }

    /// Adds an attribute, such as `mode` with `max`.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    fn into_wire(self) -> CacheOptionsEntry {
        CacheOptionsEntry {
            r#type: self.kind,
            attrs: self.attributes.into_iter().collect(),
        }
    }
}

impl Exporter {
    /// An exporter of any type that sends nothing back to us.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            attributes: BTreeMap::new(),
        }
    }

    /// The image store of the Docker engine itself, under these names.
    #[must_use]
    pub fn engine<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::new("moby").with_names(names)
    }

    /// The image store of a `buildkitd`, under these names; for a registry add
    /// [`with_push`](Self::with_push).
    #[must_use]
    pub fn image<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::new("image").with_names(names)
    }

    /// Pushes the image under its names, with the session's credentials.
    #[must_use]
    pub fn with_push(self) -> Self {
        self.with_attribute("push", "true")
    }

    /// Adds an attribute, such as `compression` with `zstd`.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    fn with_names<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        match names.is_empty() {
            true => self,
            false => self.with_attribute("name", names.join(",")),
        }
    }

    fn into_wire(self) -> WireExporter {
        WireExporter {
            r#type: self.kind,
            attrs: self.attributes.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(definition: BuildDefinition, name: &str) -> Option<String> {
        let request = definition.into_request("r", "s").unwrap();
        request.frontend_attrs.get(name).cloned()
    }

    #[test]
    fn options_become_the_attributes_the_frontend_reads() {
        let definition = BuildDefinition::new()
            .with_filename("docker/app.Dockerfile")
            .with_target("run")
            .with_platform("linux/amd64")
            .with_platform("linux/arm64")
            .with_build_arg("A", "1=2")
            .with_label("l", "")
            .without_cache()
            .with_resolve_mode(ResolveMode::Pull)
            .with_host("a", "10.0.0.1")
            .with_host("b", "::1")
            .with_ulimit("nofile", 1, 2)
            .with_shm_size(1 << 26);
        let request = definition.into_request("build", "session").unwrap();
        let expected = [
            ("filename", "docker/app.Dockerfile"),
            ("target", "run"),
            ("platform", "linux/amd64,linux/arm64"),
            ("build-arg:A", "1=2"),
            ("label:l", ""),
            ("no-cache", ""),
            ("image-resolve-mode", "pull"),
            ("add-hosts", "a=10.0.0.1,b=::1"),
            ("ulimit", "nofile=1:2"),
            ("shm-size", "67108864"),
        ];
        let expected: HashMap<_, _> = expected.map(|(name, value)| (name.into(), value.into())).into();
        assert_eq!(request.frontend_attrs, expected);
        assert_eq!(
            (request.r#ref.as_str(), request.session.as_str()),
            ("build", "session")
        );
    }

    #[test]
    fn nothing_is_said_where_nothing_is_asked() {
        let request = BuildDefinition::new().into_request("r", "s").unwrap();
        assert!(request.frontend_attrs.is_empty() && request.exporters.is_empty());
        assert_eq!(request.frontend, "dockerfile.v0");
    }

    #[test]
    fn the_hosts_network_asks_for_its_permission() {
        let definition = BuildDefinition::new().with_network(NetworkMode::Host);
        let request = definition.clone().into_request("r", "s").unwrap();
        assert_eq!(request.entitlements, ["network.host"]);
        assert_eq!(
            attribute(definition, "force-network-mode").as_deref(),
            Some("host")
        );
    }

    #[test]
    fn caches_are_named_for_the_frontend_and_the_solver() {
        let definition = BuildDefinition::new()
            .with_cache_import(CacheEntry::registry("r.example/app:cache"))
            .with_cache_export(CacheEntry::inline());
        let request = definition.clone().into_request("r", "s").unwrap();
        let cache = request.cache.unwrap();
        assert_eq!(cache.exports[0].r#type, "inline");
        assert_eq!(cache.imports[0].attrs["ref"], "r.example/app:cache");
        let json = r#"[{"Type":"registry","Attrs":{"ref":"r.example/app:cache"}}]"#;
        assert_eq!(attribute(definition, "cache-imports").as_deref(), Some(json));
    }

    #[test]
    fn an_exporter_is_named_for_old_and_new_daemons() {
        let definition = BuildDefinition::new().with_export(Exporter::image(["a:1", "b:1"]).with_push());
        let request = definition.into_request("r", "s").unwrap();
        assert_eq!(request.exporter_deprecated, "image");
        assert_eq!(request.exporter_attrs_deprecated["name"], "a:1,b:1");
        assert_eq!(request.exporters[0].attrs["push"], "true");
    }
}
