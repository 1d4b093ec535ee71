//! The S3 artifact store.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use wharf::core::artifact_store::{ArtifactStore, ArtifactStream};
use wharf::core::builder::Owner;
use wharf::core::{Error, ErrorKind, Result};
use wharf_testkit::codebuild::Fault;

use super::setup::Setup;

const MIB: usize = 1 << 20;

/// Content of so many MiB that is nowhere the same.
fn content(size: usize) -> Vec<Bytes> {
    let piece = |number: usize| {
        (0..MIB)
            .map(|at| (at * 31 + at / 251 + number * 7) as u8)
            .collect::<Vec<u8>>()
            .into()
    };
    (0..size).map(piece).collect()
}

fn whole(chunks: Vec<Bytes>) -> ArtifactStream {
    Box::pin(stream::iter(chunks.into_iter().map(Ok)))
}

async fn read(store: &dyn ArtifactStore, name: &str) -> Vec<u8> {
    let chunks: Vec<Bytes> = store.get(name).await.unwrap().try_collect().await.unwrap();
    chunks.concat()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services and a Docker engine"]
async fn amazon_engine_small_and_large_objects_come_back_as_they_were() {
    let setup = Setup::new().await;
    let store = setup.store(json!({"server_side_encryption": "AES256"}));
    for (name, size) in [("a/empty", 0), ("a/small", 1), ("b/large", 21)] {
        let chunks = content(size);
        let stored = store.put(name, whole(chunks.clone())).await.unwrap();
        assert_eq!((stored.size, stored.name.as_str()), ((size * MIB) as u64, name));
        assert_eq!(stored.uri, format!("s3://{}/store/{name}", setup.name));
        assert!(read(store.as_ref(), name).await == chunks.concat(), "{name}");
        let origin = store.origin(name).await.unwrap().unwrap();
        assert_eq!(origin.owner, Owner::this_process());
    }
    assert_eq!(
        setup.count("s3:POST"),
        2,
        "one upload in parts, begun and completed"
    );
    let names: Vec<String> = store
        .list("a/")
        .await
        .unwrap()
        .into_iter()
        .map(|info| info.name)
        .collect();
    assert_eq!(names, ["a/empty", "a/small"]);
    store.delete("a/small").await.unwrap();
    store.delete("a/small").await.unwrap();
    assert!(store.info("a/small").await.unwrap().is_none());
    assert!(store.origin("a/small").await.unwrap().is_none());
    assert_eq!(
        store.get("a/small").await.err().unwrap().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services and a Docker engine"]
async fn amazon_engine_an_upload_that_fails_or_is_dropped_leaves_nothing() {
    let setup = Setup::new().await;
    let store = setup.store(json!({}));
    let broken = stream::iter(content(20).into_iter().map(Ok)).chain(stream::iter([Err(Error::new(
        ErrorKind::Conflict,
        "a file changed",
    ))]));
    let error = store.put("x", Box::pin(broken)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    setup.assert_nothing_is_left().await;

    let endless = stream::iter(content(20).into_iter().map(Ok)).chain(stream::pending::<Result<Bytes>>());
    let upload = store.put("x", Box::pin(endless));
    assert!(
        tokio::time::timeout(Duration::from_secs(3), upload)
            .await
            .is_err()
    );
    let gone = setup
        .service
        .until(async || setup.service.unfinished_uploads(&setup.name).await == 0);
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .expect("the parts to be removed");
    assert!(setup.count("s3:DELETE") >= 2);
    setup.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services and a Docker engine"]
async fn amazon_engine_a_busy_server_is_asked_again() {
    let setup = Setup::new().await;
    let store = setup.store(json!({}));
    for (operation, fault) in [
        ("s3:PUT", Fault::Throttled),
        ("s3:PUT", Fault::ServerError),
        ("s3:POST", Fault::ServerError),
        ("s3:HEAD", Fault::ServerError),
        ("s3:GET", Fault::Throttled),
    ] {
        setup.service.fail(operation, fault, 1);
    }
    let chunks = content(17);
    store.put("x", whole(chunks.clone())).await.unwrap();
    assert!(read(store.as_ref(), "x").await == chunks.concat());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services and a Docker engine"]
async fn amazon_engine_what_is_refused_says_what_to_allow() {
    let setup = Setup::new().await;
    let store = setup.store(json!({}));
    setup.service.fail("s3:PUT", Fault::Denied, 1);
    let error = store.put("x", whole(content(1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(
        error.report().contains("s3:PutObject") && error.report().contains("/store/x"),
        "{}",
        error.report()
    );
    setup.service.fail("s3:PUT", Fault::ExpiredToken, 1);
    let error = store.put("x", whole(content(1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    let elsewhere = setup.store(json!({"path": "s3://wharf-no-such-bucket/x"}));
    let error = elsewhere.put("x", whole(content(1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.report());
}
