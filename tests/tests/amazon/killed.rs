//! Processes that are killed: between the upload and the start of a build, and while it runs.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf::aws::S3ArtifactStore;
use wharf::codebuild::AwsImageBuilder;
use wharf::core::artifact_store::ArtifactStore;
use wharf::core::builder::{BuildRequest, GarbagePolicy, ImageBuilder, Leftover};
use wharf::core::event::EventSink;
use wharf::core::flavor::read_config;
use wharf::core::stack::Stack;
use wharf::core::{BuildContext, ErrorKind};
use wharf_testkit::codebuild::Fault;
use wharf_testkit::services;

use super::setup::{Setup, object, unique};

/// Names this very test to the process that is to be killed.
const CHILD: &str = "amazon::killed::by_hand_the_process_that_is_killed";
const JOB: &str = "WHARF_TEST_KILLED_JOB";

/// A process that builds.
struct Victim(Child);

impl Victim {
    /// Starts a build of this request in another process. `protected` says whether the registry wants a password.
    fn start(setup: &Setup, request: &BuildRequest, context: &Path, protected: bool) -> Self {
        let job = json!({
            "builder": builder(setup),
            "store": {"path": format!("s3://{}/store", setup.name), "credentials": setup.credentials()},
            "image": request.image.to_string(),
            "context": context,
            "protected": protected,
        });
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--ignored"])
            .env(JOB, job.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Kills it when this has come.
    async fn kill_after(mut self, moment: impl Future<Output = ()>) {
        tokio::time::timeout(Duration::from_secs(60), moment)
            .await
            .expect("the moment to kill the process");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn builder(setup: &Setup) -> Value {
    json!({
        "code_build_project": setup.name, "build_image": services::codebuild_image(),
        "implicit_container_registry_auth": false, "credentials": setup.credentials(),
        "registry_password_store": "secrets_manager",
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_what_a_killed_process_left_is_used_and_removed() {
    let setup = Setup::new().await;
    setup.service.fail("StartBuild", Fault::Throttled, 1000);
    let (request, directory) = setup.request("FROM PARENT\nRUN echo killed\n", &[]);
    let victim = Victim::start(&setup, &request, directory.path(), false);
    victim.kill_after(setup.service.called("StartBuild")).await;
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

/// Three builds: one whose process was killed, one whose process waits for it, and one that has ended. The context of the
/// second was uploaded by a process that was killed before it could start a build.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_garbage_is_what_a_killed_process_left() {
    let setup = Setup::new().await;
    let (awaited, awaited_directory) = setup.request("FROM PARENT\nRUN sleep 500\n", &[]);
    setup.service.fail("StartBuild", Fault::Throttled, 1000);
    let victim = Victim::start(&setup, &awaited, awaited_directory.path(), false);
    victim.kill_after(setup.service.called("StartBuild")).await;
    setup.service.heal();

    setup.build_file(json!({}), "FROM PARENT\n").await.outcome();
    let (mut request, directory) = setup.request("FROM PARENT\nRUN sleep 600\n", &[]);
    let registry = services::registry_with_password(None);
    request.image = registry.target_image(Some(&unique("amazon/app")), "1").unwrap();
    let runs = async |number: usize| {
        let reached = async || {
            let builds = setup.service.builds();
            builds
                .get(number)
                .is_some_and(|build| build["currentPhase"] == "BUILD")
        };
        setup.service.until(reached).await;
    };
    let victim = Victim::start(&setup, &request, directory.path(), true);
    victim.kill_after(runs(1)).await;

    let cancel = awaited.cancel.clone();
    let waiting = setup.builder(json!({}));
    let waits = waiting.build(awaited, EventSink::discard());
    let collects = async {
        runs(2).await;
        collect(&setup).await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(waits, collects);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
}

async fn collect(setup: &Setup) {
    let builder = AwsImageBuilder::new(read_config(object(builder(setup))).unwrap()).unwrap();
    let store = setup.store(json!({}));
    let stack = Stack {
        artifact_store: Some(Arc::clone(&store) as _),
        ..Stack::default()
    };
    let ids: Vec<Value> = setup
        .service
        .builds()
        .iter()
        .map(|build| build["id"].clone())
        .collect();
    let mine = |leftovers: Vec<Leftover>| -> Vec<Leftover> {
        // Secrets belong to the account, where other tests have some too.
        leftovers
            .into_iter()
            .filter(|found| found.reason.contains("has ended"))
            .collect()
    };
    let mut policy = GarbagePolicy {
        dry_run: true,
        older_than: None,
    };
    let deleted = setup.count("s3:DELETE");
    let seen = mine(builder.collect_garbage(&stack, &policy).await.unwrap());
    assert_eq!((setup.count("StopBuild"), setup.count("s3:DELETE")), (0, deleted));
    policy.dry_run = false;
    let removed = mine(builder.collect_garbage(&stack, &policy).await.unwrap());
    assert!(removed.iter().all(|found| found.removed) && !seen.iter().any(|found| found.removed));
    assert_eq!(removed[0].what, format!("build {}", ids[1].as_str().unwrap()));
    assert!(
        removed[1].what.starts_with("secret wharf/registry-password/"),
        "{removed:?}"
    );
    assert!(removed[2].what.starts_with("build context s3://"), "{removed:?}");
    let left = store.list("").await.unwrap();
    assert_eq!(left.len(), 1, "what the waiting build needs stays: {left:?}");
    let origin = store.origin(&left[0].name).await.unwrap().unwrap();
    assert!(origin.owner.has_ended(), "and not for who uploaded it");
    let whats = |found: &[Leftover]| found.iter().map(|found| found.what.clone()).collect::<Vec<_>>();
    assert_eq!(whats(&seen), whats(&removed));
    setup
        .service
        .until(async || setup.service.builds()[1]["buildStatus"] == "STOPPED")
        .await;
    assert_eq!(setup.service.builds()[2]["buildStatus"], "IN_PROGRESS");
    assert_eq!(mine(builder.collect_garbage(&stack, &policy).await.unwrap()), []);
}

/// Not a test of its own: the process that the tests above kill.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started by another test"]
async fn by_hand_the_process_that_is_killed() {
    let job: Value = serde_json::from_str(&std::env::var(JOB).unwrap()).unwrap();
    let builder = AwsImageBuilder::new(read_config(object(job["builder"].clone())).unwrap()).unwrap();
    let context = BuildContext::new(Path::new(job["context"].as_str().unwrap()));
    let mut request = BuildRequest::new(job["image"].as_str().unwrap().parse().unwrap(), context);
    request.registry = Some(match job["protected"] == true {
        true => services::registry_with_password(None),
        false => services::open_registry(),
    });
    let store = S3ArtifactStore::new(read_config(object(job["store"].clone())).unwrap()).unwrap();
    request.artifact_store = Some(Arc::new(store));
    let outcome = builder.build(request, EventSink::discard()).await;
    panic!("it was not killed: {outcome:?}");
}
