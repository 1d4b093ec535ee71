//! Contexts that go through an artifact store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wharf_core::Result;
use wharf_core::artifact_store::{ArtifactInfo, ArtifactStore, ArtifactStream};

use crate::support::World;

/// A bucket that answers GET on loopback, as S3 does to whoever may read.
#[derive(Debug, Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Bytes>>,
    puts: Mutex<usize>,
}

#[async_trait]
impl ArtifactStore for Bucket {
    fn flavor(&self) -> &str {
        "s3"
    }

    fn uri(&self) -> &str {
        "s3://bucket/wharf"
    }

    fn is_local(&self) -> bool {
        false
    }

    async fn put(&self, name: &str, mut content: ArtifactStream) -> Result<ArtifactInfo> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = content.next().await {
            whole.extend_from_slice(&chunk?);
        }
        self.objects
            .lock()
            .unwrap()
            .insert(name.to_owned(), whole.freeze());
        *self.puts.lock().unwrap() += 1;
        Ok(self.info(name).await?.unwrap())
    }

    async fn info(&self, name: &str) -> Result<Option<ArtifactInfo>> {
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(name).map(|content| ArtifactInfo {
            name: name.to_owned(),
            uri: format!("{}/{name}", self.uri()),
            size: content.len() as u64,
        }))
    }

    async fn get(&self, _: &str) -> Result<ArtifactStream> {
        unreachable!("the executor reads, not wharf")
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.objects.lock().unwrap().remove(name);
        Ok(())
    }

    async fn list(&self, _: &str) -> Result<Vec<ArtifactInfo>> {
        Ok(Vec::new())
    }
}

async fn serve(bucket: Arc<Bucket>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 2048];
            let length = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let name = path.trim_start_matches("/bucket/wharf/");
            let content = bucket.objects.lock().unwrap().get(name).cloned();
            let (status, body) =
                content.map_or(("404 Not Found", Bytes::new()), |content| ("200 OK", content));
            let head = format!("HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_context_goes_through_the_store_once() {
    let world = World::new().await;
    let bucket = Arc::new(Bucket::default());
    let endpoint = serve(bucket.clone()).await;
    let subject = world.subject(json!({
        "store_context_in_artifact_store": true,
        "env": [{"name": "S3_ENDPOINT", "value": endpoint}],
    }));
    for _ in 0..2 {
        let files = [("a", "through the store")];
        let (mut request, _directory) =
            subject.request("store", "FROM PARENT\nCOPY a /a\nRUN cat /a\n", &files);
        request.artifact_store = Some(bucket.clone());
        let built = subject.build(request).await;
        built.outcome();
        assert!(built.log().contains("through the store"));
    }
    assert_eq!(*bucket.puts.lock().unwrap(), 1);
    let names: Vec<String> = bucket.objects.lock().unwrap().keys().cloned().collect();
    assert!(
        names[0].starts_with("kaniko-build-contexts/") && names[0].ends_with(".tar.gz"),
        "{names:?}"
    );
    world.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_store_that_kaniko_cannot_read_is_refused() {
    let world = World::new().await;
    let subject = world.subject(json!({"store_context_in_artifact_store": true}));
    let directory = tempfile::tempdir().unwrap();
    let (mut request, _files) = subject.request("local-store", "FROM PARENT\n", &[]);
    request.artifact_store = Some(Arc::new(wharf_core::artifact_store::LocalArtifactStore::new(
        directory.path(),
    )));
    let built = subject.build(request).await;
    assert_eq!(built.error().kind(), wharf_core::ErrorKind::InvalidConfiguration);
    world.is_empty().await;
}
