//! Artifact stores: where builders without a connection to the client get their context from.

mod local;

use std::fmt::Debug;
use std::pin::Pin;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

pub use self::local::{LocalArtifactStore, LocalArtifactStoreConfig};
use crate::builder::Owner;
use crate::{Error, ErrorKind, Result};

/// The content of an artifact while it moves. An `Err` in it means that the artifact must not be stored.
pub type ArtifactStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// What a store knows about an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactInfo {
    /// The artifact's name below the store's root.
    pub name: String,
    /// Where it is, for a builder: `s3://bucket/prefix/name`.
    pub uri: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Who stored an artifact, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactOrigin {
    /// The process that stored it.
    pub owner: Owner,
    /// When the store had all of it, by the store's clock.
    pub stored: SystemTime,
}

/// A place for files, such as a bucket.
///
/// Names are relative paths with `/` between their parts ([`check_name`] says which are allowed).
#[async_trait]
pub trait ArtifactStore: Debug + Send + Sync {
    /// The name of the flavor: `local`, `s3`.
    fn flavor(&self) -> &str;

    /// The root of the store: `s3://bucket/prefix`, or a path.
    fn uri(&self) -> &str;

    /// Whether the store can be reached from this machine only.
    fn is_local(&self) -> bool;

    /// Stores an artifact, replacing one of the same name. It appears whole or not at all: when the content
    /// ends with an error, or the future is dropped, what was stored before stays and nothing new is left.
    ///
    /// # Errors
    ///
    /// The content's own error, or whatever the store refused.
    async fn put(&self, name: &str, content: ArtifactStream) -> Result<ArtifactInfo>;

    /// What the store knows about an artifact; `None` when there is none of that name.
    ///
    /// # Errors
    ///
    /// When the store could not be asked.
    async fn info(&self, name: &str) -> Result<Option<ArtifactInfo>>;

    /// Who stored an artifact, and when: for finding what killed processes have left. `None` when there is none of
    /// that name, or the store does not know, which is the default.
    ///
    /// # Errors
    ///
    /// When the store could not be asked.
    async fn origin(&self, name: &str) -> Result<Option<ArtifactOrigin>> {
        let _ = name;
        Ok(None)
    }

    /// The content of an artifact.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is none of that name.
    async fn get(&self, name: &str) -> Result<ArtifactStream>;

    /// Removes an artifact. That there is none of that name is no error.
    ///
    /// # Errors
    ///
    /// When the store refused.
    async fn delete(&self, name: &str) -> Result<()>;

    /// The artifacts whose names begin with the prefix, sorted by name.
    ///
    /// # Errors
    ///
    /// When the store could not be asked.
    async fn list(&self, prefix: &str) -> Result<Vec<ArtifactInfo>>;
}

/// Refuses names that could leave the store: empty ones, absolute ones, ones with an empty part, `.` or `..`,
/// or a NUL byte.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] naming the name.
pub fn check_name(name: &str) -> Result<()> {
    let bad = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0');
    match name.split('/').any(bad) {
        true => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("`{name}` is not a name for an artifact"),
        )),
        false => Ok(()),
    }
}
