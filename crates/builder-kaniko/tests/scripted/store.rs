//! What the executor is told when the context goes through a store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;
use wharf_core::artifact_store::{ArtifactInfo, ArtifactStore, ArtifactStream};
use wharf_core::{Error, ErrorKind, Result};

use crate::server::{Part, Script, Server, event, pod};

/// A bucket of Cloud Storage, of which only the sizes are kept.
#[derive(Debug, Default)]
struct Bucket(Mutex<BTreeMap<String, u64>>);

impl Bucket {
    fn describe(&self, name: &str, size: u64) -> ArtifactInfo {
        ArtifactInfo {
            name: name.to_owned(),
            uri: format!("{}/{name}", self.uri()),
            size,
        }
    }
}

#[async_trait]
impl ArtifactStore for Bucket {
    fn flavor(&self) -> &str {
        "gcp"
    }

    fn uri(&self) -> &str {
        "gs://bucket/wharf"
    }

    fn is_local(&self) -> bool {
        false
    }

    async fn put(&self, name: &str, mut content: ArtifactStream) -> Result<ArtifactInfo> {
        let mut size = 0;
        while let Some(chunk) = content.next().await {
            size += chunk?.len() as u64;
        }
        self.0.lock().unwrap().insert(name.to_owned(), size);
        Ok(self.describe(name, size))
    }

    async fn info(&self, name: &str) -> Result<Option<ArtifactInfo>> {
        let size = self.0.lock().unwrap().get(name).copied();
        Ok(size.map(|size| self.describe(name, size)))
    }

    async fn get(&self, _: &str) -> Result<ArtifactStream> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "the executor reads, not wharf",
        ))
    }

    async fn delete(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn list(&self, _: &str) -> Result<Vec<ArtifactInfo>> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_executor_gets_the_address_in_cloud_storage_and_no_input() {
    let bucket = Arc::new(Bucket::default());
    let mut told = Vec::new();
    for _ in 0..2 {
        let server = Server::start(Script {
            watches: [vec![
                event("ADDED", &pod("Running")),
                event("MODIFIED", &pod("Succeeded")),
                Part::Now("Succeeded"),
            ]]
            .into(),
            ..Script::default()
        })
        .await;
        server.build_through(Some(bucket.clone())).await.0.unwrap();
        assert_eq!(server.asked("/attach"), 0);
        let job = server.script.lock().unwrap().job.clone();
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert!(container["stdin"].as_bool() != Some(true), "{container}");
        let arguments = container["args"].as_array().unwrap().iter();
        let arguments: Vec<&str> = arguments.map(|argument| argument.as_str().unwrap()).collect();
        told.extend(
            arguments
                .iter()
                .filter_map(|argument| argument.strip_prefix("--context=").map(str::to_owned)),
        );
    }
    let stored = bucket.0.lock().unwrap();
    assert_eq!(stored.len(), 1, "{stored:?}");
    let (name, size) = stored.first_key_value().unwrap();
    let digest = name
        .strip_prefix("kaniko-build-contexts/")
        .and_then(|name| name.strip_suffix(".tar.gz"));
    assert!(
        *size > 0 && digest.is_some_and(|digest| digest.len() == 64),
        "{stored:?}"
    );
    let address = format!("gs://bucket/wharf/{name}");
    assert_eq!(told, [address.clone(), address]);
}
