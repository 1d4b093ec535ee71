//! Builds with the engine's BuildKit.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use wharf_buildkit::{
    BuildDefinition, BuildkitClient, CacheEntry, Exporter, MemorySource, NetworkMode, ResolveMode, Session,
    SyncEntry, SyncKind, SyncSource, Transport,
};
use wharf_core::context::{ContextEntry, EntryKind};
use wharf_core::event::EventSink;
use wharf_core::{BuildContext, Error, ErrorKind, Result};

use crate::credentials::Logins;
use crate::engine::{Engine, dial};
use crate::plan::BuildPlan;

/// The name under which BuildKit asks for the build context.
const CONTEXT: &str = "context";

/// The name under which it asks for the Dockerfile.
const DOCKERFILE: &str = "dockerfile";

/// Builds into the engine's image store, and returns the image's id where BuildKit tells it.
pub(crate) async fn build(
    engine: &Engine,
    plan: &BuildPlan,
    secrets: Vec<(String, Vec<u8>)>,
    logins: &Logins,
    events: &EventSink,
    cancel: &CancellationToken,
) -> Result<Option<String>> {
    let endpoint = engine.endpoint().clone();
    let transport = Transport::engine(move || {
        let endpoint = endpoint.clone();
        async move { dial(&endpoint).await }
    });
    let session = session(plan, secrets, logins)?;
    let client = BuildkitClient::new(transport);
    let outcome = client
        .build(definition(plan)?, session, events.clone(), cancel)
        .await?;
    Ok(outcome.image_digest().map(str::to_owned))
}

fn session(plan: &BuildPlan, secrets: Vec<(String, Vec<u8>)>, logins: &Logins) -> Result<Session> {
    let name = plan.dockerfile_name()?;
    // wharf has applied the ignore rules itself. A file of rules that rules nothing, in the place that
    // BuildKit looks at first, keeps it from applying `.dockerignore` a second time.
    let dockerfile = MemorySource::new()
        .with_file(&name, plan.dockerfile.content.clone())
        .with_file(
            format!("{name}.dockerignore"),
            "# The client has applied the rules.\n",
        );
    let mut session = Session::new()
        .with_directory(CONTEXT, ContextSource::new(plan.context.clone()))
        .with_directory(DOCKERFILE, dockerfile)
        .with_credentials(logins.clone())
        .with_shared_key(shared_key(plan.context.root()));
    for (id, value) in secrets {
        session = session.with_secret(id, wharf_buildkit::SecretBytes::new(value));
    }
    for agent in &plan.options.ssh {
        session = session.with_ssh_agent(&agent.id, agent.resolve_socket()?);
    }
    Ok(session)
}

/// The same for the same directory of the same user on the same machine, and for nothing else: BuildKit keeps
/// what it was sent under this key, and asks only for what changed since.
fn shared_key(root: Option<&Path>) -> String {
    let mut hasher = Sha256::new();
    for part in [machine().as_str(), &std::env::var("HOME").unwrap_or_default()] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let root = root.map(|root| root.canonicalize().unwrap_or_else(|_| root.to_owned()));
    hasher.update(root.unwrap_or_default().as_os_str().as_encoded_bytes());
    let hex: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("wharf:{hex}")
}

fn machine() -> String {
    let id = |path: &str| {
        std::fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    id("/etc/machine-id")
        .or_else(|| id("/etc/hostname"))
        .unwrap_or_default()
}

fn definition(plan: &BuildPlan) -> Result<BuildDefinition> {
    let options = &plan.options;
    let mut definition = BuildDefinition::new()
        .with_filename(plan.dockerfile_name()?)
        .with_export(Exporter::engine(plan.names.iter().map(|name| name.to_string())));
    for (name, value) in &options.build_args {
        definition = definition.with_build_arg(name, value);
    }
    for (name, value) in &options.labels {
        definition = definition.with_label(name, value);
    }
    for (name, address) in &options.extra_hosts {
        definition = definition.with_host(name, address);
    }
    for image in &options.cache_from {
        definition = definition.with_cache_import(CacheEntry::registry(image));
    }
    if let Some(target) = &options.target {
        definition = definition.with_target(target);
    }
    if let Some(size) = options.shm_size {
        definition = definition.with_shm_size(size);
    }
    if let Some(network) = &options.network {
        definition = definition.with_network(network_mode(network)?);
    }
    if options.pull {
        definition = definition.with_resolve_mode(ResolveMode::Pull);
    }
    if options.no_cache {
        definition = definition.without_cache();
    }
    if let Some(platform) = options.platforms.first() {
        definition = definition.with_platform(platform.to_string());
    }
    Ok(definition)
}

fn network_mode(name: &str) -> Result<NetworkMode> {
    match name {
        "default" | "bridge" => Ok(NetworkMode::Default),
        "host" => Ok(NetworkMode::Host),
        "none" => Ok(NetworkMode::None),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            format!("BuildKit cannot honour the build option `network` with the value `{other}`"),
        )
        .with_hint("Use default, host or none; networks of the engine work with the classic builder (buildkit: false).")),
    }
}

/// The files of a build context, in the form BuildKit's file sync wants.
struct ContextSource {
    context: BuildContext,
    entries: Mutex<Arc<[ContextEntry]>>,
}

impl ContextSource {
    fn new(context: BuildContext) -> Self {
        Self {
            context,
            entries: Mutex::new(Arc::new([])),
        }
    }
}

fn sync_entry(entry: &ContextEntry) -> SyncEntry {
    SyncEntry {
        path: entry.name.clone(),
        kind: match &entry.kind {
            EntryKind::File => SyncKind::File,
            EntryKind::Directory => SyncKind::Directory,
            EntryKind::Symlink { target } => SyncKind::Symlink {
                target: target.clone(),
            },
        },
        mode: entry.mode,
        size: entry.size,
        modified: entry.modified,
    }
}

impl SyncSource for ContextSource {
    fn entries(&self) -> Result<Arc<[SyncEntry]>> {
        let entries: Arc<[ContextEntry]> = self.context.files()?.into();
        let synced = entries.iter().map(sync_entry).collect();
        *self.entries.lock().unwrap_or_else(PoisonError::into_inner) = entries;
        Ok(synced)
    }

    fn open(&self, index: usize) -> Result<Box<dyn Read + Send>> {
        let entries = self
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let entry = entries.get(index);
        entry
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Unexpected,
                    "BuildKit asked for a file that was not offered",
                )
            })?
            .open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_key_tells_directories_apart_and_is_stable() {
        let one = tempfile::tempdir().unwrap();
        let two = tempfile::tempdir().unwrap();
        assert_eq!(shared_key(Some(one.path())), shared_key(Some(one.path())));
        assert_ne!(shared_key(Some(one.path())), shared_key(Some(two.path())));
    }

    #[test]
    fn a_network_of_the_engine_is_refused_by_name() {
        assert!(network_mode("my-net").unwrap_err().message().contains("`my-net`"));
        assert_eq!(network_mode("host").unwrap(), NetworkMode::Host);
    }
}
