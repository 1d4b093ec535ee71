//! Stores that a context cannot go through; through which it can is shown by the tests with Amazon's services.

use std::sync::Arc;

use serde_json::json;
use wharf_core::ErrorKind;
use wharf_core::artifact_store::LocalArtifactStore;

use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_store_that_kaniko_cannot_read_is_refused() {
    let world = World::new().await;
    let subject = world.subject(json!({"store_context_in_artifact_store": true}));
    let directory = tempfile::tempdir().unwrap();
    let (mut request, _files) = subject.request("local-store", "FROM PARENT\n", &[]);
    request.artifact_store = Some(Arc::new(LocalArtifactStore::new(directory.path())));
    let built = subject.build(request).await;
    assert_eq!(built.error().kind(), ErrorKind::InvalidConfiguration);
    world.is_empty().await;
}
