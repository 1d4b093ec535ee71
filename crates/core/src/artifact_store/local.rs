//! An artifact store in a directory.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ArtifactInfo, ArtifactStore, ArtifactStream, check_name};
use crate::{Error, ErrorKind, Result};

/// The configuration of the flavor `local`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalArtifactStoreConfig {
    /// The directory. It is made when something is stored.
    pub path: PathBuf,
}

/// Artifacts as files below a directory.
///
/// An artifact is written beside its place under a temporary name and renamed, so that a reader never sees a
/// part of it.
#[derive(Debug, Clone)]
pub struct LocalArtifactStore {
    root: PathBuf,
    uri: String,
}

/// How much is read from a file at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// How the names of files that are still being written begin.
const UNFINISHED: &str = ".wharf-upload-";

impl LocalArtifactStore {
    /// A store in a directory, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let uri = root.display().to_string();
        Self { root, uri }
    }

    fn place(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.root.join(name))
    }

    fn describe(&self, name: &str, size: u64) -> ArtifactInfo {
        let uri = self.root.join(name).display().to_string();
        ArtifactInfo {
            name: name.to_owned(),
            uri,
            size,
        }
    }
}

/// A file that is removed again unless it was renamed.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // Nothing can be done about a failure here; the name tells that the file is rubbish.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn write_all(path: &Path, mut content: ArtifactStream) -> Result<u64> {
    let failed = |source| Error::io("could not write an artifact", path, source);
    let mut file = tokio::fs::File::create_new(path).await.map_err(failed)?;
    let mut size = 0;
    while let Some(chunk) = content.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    file.sync_all().await.map_err(failed)?;
    Ok(size)
}

#[async_trait]
impl ArtifactStore for LocalArtifactStore {
    fn flavor(&self) -> &str {
        "local"
    }

    fn uri(&self) -> &str {
        &self.uri
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn put(&self, name: &str, content: ArtifactStream) -> Result<ArtifactInfo> {
        let place = self.place(name)?;
        let parent = place.parent().unwrap_or(&self.root);
        let failed = |source| Error::io("could not store an artifact", &place, source);
        tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        let temporary = parent.join(unfinished_name());
        let mut guard = Unfinished(Some(temporary.clone()));
        let size = write_all(&temporary, content).await?;
        tokio::fs::rename(&temporary, &place).await.map_err(failed)?;
        guard.0 = None;
        Ok(self.describe(name, size))
    }

    async fn info(&self, name: &str) -> Result<Option<ArtifactInfo>> {
        let place = self.place(name)?;
        match tokio::fs::metadata(&place).await {
            Ok(metadata) if metadata.is_file() => Ok(Some(self.describe(name, metadata.len()))),
            Ok(_) => Ok(None),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::io("could not look for an artifact", &place, source)),
        }
    }

    async fn get(&self, name: &str) -> Result<ArtifactStream> {
        let place = self.place(name)?;
        let file = tokio::fs::File::open(&place)
            .await
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::new(ErrorKind::NotFound, format!("there is no artifact `{name}`"))
                        .with_context("store", &self.uri)
                }
                _ => Error::io("could not open an artifact", &place, source),
            })?;
        Ok(Box::pin(stream::try_unfold(
            (file, place),
            |(mut file, place)| async move {
                let mut buffer = vec![0; READ_BYTES];
                let failed = |source| Error::io("could not read an artifact", &place, source);
                let read = file.read(&mut buffer).await.map_err(failed)?;
                buffer.truncate(read);
                Ok((read > 0).then(|| (Bytes::from(buffer), (file, place))))
            },
        )))
    }

    async fn delete(&self, name: &str) -> Result<()> {
        let place = self.place(name)?;
        match tokio::fs::remove_file(&place).await {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("could not delete an artifact", &place, source))
            }
            _ => Ok(()),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ArtifactInfo>> {
        let root = self.root.clone();
        let files = tokio::task::spawn_blocking(move || files_below(&root))
            .await
            .map_err(|error| {
                Error::new(ErrorKind::Unexpected, "listing a store stopped").with_source(error)
            })??;
        Ok(files
            .into_iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, size)| self.describe(&name, size))
            .collect())
    }
}

/// A name that no other process uses at the same time.
fn unfinished_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{UNFINISHED}{}-{count}", std::process::id())
}

fn files_below(root: &Path) -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::io("could not list a store", &directory, source)),
        };
        for entry in entries {
            let failed = |source| Error::io("could not list a store", &directory, source);
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else if let Some(name) = artifact_name(root, &entry.path()) {
                found.push((name, metadata.len()));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn artifact_name(root: &Path, path: &Path) -> Option<String> {
    let unfinished = path.file_name()?.to_str()?.starts_with(UNFINISHED);
    let name = path.strip_prefix(root).ok()?.to_str()?;
    (!unfinished).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    fn content(chunks: Vec<Result<Bytes>>) -> ArtifactStream {
        Box::pin(stream::iter(chunks))
    }

    #[tokio::test]
    async fn what_was_put_can_be_got_listed_and_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalArtifactStore::new(directory.path());
        let chunks = vec![Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"bc"))];
        let info = store.put("contexts/x.tar", content(chunks)).await.unwrap();
        assert_eq!(
            (info.size, store.info("contexts/x.tar").await.unwrap()),
            (3, Some(info.clone()))
        );
        let read: Vec<Bytes> = store
            .get("contexts/x.tar")
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(read.concat(), b"abc");
        assert_eq!(store.list("contexts/").await.unwrap(), [info]);
        store.delete("contexts/x.tar").await.unwrap();
        store.delete("contexts/x.tar").await.unwrap();
        assert_eq!(store.list("").await.unwrap(), []);
    }

    #[tokio::test]
    async fn content_that_fails_leaves_what_was_there_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalArtifactStore::new(directory.path());
        store
            .put("x", content(vec![Ok(Bytes::from_static(b"old"))]))
            .await
            .unwrap();
        let broken = vec![
            Ok(Bytes::from_static(b"new")),
            Err(Error::new(ErrorKind::Conflict, "changed")),
        ];
        assert_eq!(
            store.put("x", content(broken)).await.unwrap_err().kind(),
            ErrorKind::Conflict
        );
        let read: Vec<Bytes> = store.get("x").await.unwrap().try_collect().await.unwrap();
        assert_eq!(read.concat(), b"old");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_name_cannot_leave_the_store() {
        let store = LocalArtifactStore::new("/tmp/never-made");
        for name in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./x"] {
            assert_eq!(
                store.info(name).await.unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let store = LocalArtifactStore::new("/tmp/never-made");
        let error = store.get("x").await.err().unwrap();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::NotFound, "there is no artifact `x`")
        );
        assert!(store.info("x").await.unwrap().is_none());
    }
}
