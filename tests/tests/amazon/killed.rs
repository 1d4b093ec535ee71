//! A process that is killed between the upload and the start of the build.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wharf::aws::S3ArtifactStore;
use wharf::codebuild::AwsImageBuilder;
use wharf::core::BuildContext;
use wharf::core::builder::{BuildRequest, ImageBuilder};
use wharf::core::event::EventSink;
use wharf::core::flavor::read_config;
use wharf_testkit::codebuild::Fault;
use wharf_testkit::services;

use super::setup::{Setup, object};

/// Names this very test to the process that is to be killed.
const CHILD: &str = "amazon::killed::by_hand_the_process_that_is_killed";
const JOB: &str = "WHARF_TEST_KILLED_JOB";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_what_a_killed_process_left_is_used_and_removed() {
    let setup = Setup::new().await;
    setup.service.fail("StartBuild", Fault::Throttled, 1000);
    let (request, directory) = setup.request("FROM PARENT\nRUN echo killed\n", &[]);
    let job = json!({
        "builder": {
            "code_build_project": setup.name, "build_image": services::codebuild_image(),
            "implicit_container_registry_auth": false, "credentials": setup.credentials(),
        },
        "store": {"path": format!("s3://{}/store", setup.name), "credentials": setup.credentials()},
        "image": request.image.to_string(),
        "context": directory.path(),
    });
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored"])
        .env(JOB, job.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let starting = async {
        while setup.count("StartBuild") == 0 {
            assert!(child.try_wait().unwrap().is_none(), "the process ended by itself");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), starting)
        .await
        .expect("the call that starts a build");
    child.kill().unwrap();
    child.wait().unwrap();
    setup.service.heal();
    assert_eq!(
        setup.service.objects(&setup.name).await.len(),
        1,
        "the upload is left"
    );
    assert_eq!(setup.service.builds().len(), 0);

    let uploads = setup.count("s3:PUT");
    setup.build(&setup.builder(json!({})), request).await.outcome();
    assert_eq!(
        setup.count("s3:PUT"),
        uploads,
        "what is there is not uploaded again"
    );
    setup.assert_nothing_is_left().await;
}

/// Not a test of its own: the process that the test above kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started by another test"]
async fn by_hand_the_process_that_is_killed() {
    let job: serde_json::Value = serde_json::from_str(&std::env::var(JOB).unwrap()).unwrap();
    let builder = AwsImageBuilder::new(read_config(object(job["builder"].clone())).unwrap()).unwrap();
    let context = BuildContext::new(Path::new(job["context"].as_str().unwrap()));
    let mut request = BuildRequest::new(job["image"].as_str().unwrap().parse().unwrap(), context);
    request.registry = Some(services::open_registry());
    let store = S3ArtifactStore::new(read_config(object(job["store"].clone())).unwrap()).unwrap();
    request.artifact_store = Some(Arc::new(store));
    let outcome = builder.build(request, EventSink::discard()).await;
    panic!("it was not killed: {outcome:?}");
}
