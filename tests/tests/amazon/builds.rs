//! Builds that succeed, also when AWS makes it hard.

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use serde_json::json;
use wharf::core::builder::ImageBuilder;
use wharf::core::event::{BuildEvent, EventSink, StepState};
use wharf::core::flavor::known::{AwsAuthMethod, AwsCredentialsConfig};
use wharf_testkit::codebuild::{Behaviour, Fault};
use wharf_testkit::services;

use super::setup::Setup;

const DOCKERFILE: &str = "FROM PARENT\nRUN echo hello && echo one > /one\n";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_build_tells_its_phases_and_leaves_nothing() {
    let setup = Setup::new().await;
    let ended = setup
        .build_file(json!({"custom_env_vars": {"GREETING": "it's $(id)"}}), DOCKERFILE)
        .await;
    let outcome = ended.outcome();
    assert!(
        outcome
            .reference()
            .starts_with(&format!("{}/amazon/app", services::registry_host()))
    );
    let done = |name: &str| {
        ended.events.iter().any(|event| {
            matches!(event, BuildEvent::Step(step) if step.name == name && step.state == StepState::Done)
        })
    };
    for phase in ["queued", "download source", "pre build", "build", "post build"] {
        assert!(
            done(&format!("[codebuild] {phase}")),
            "{phase}: {:?}",
            ended.events
        );
    }
    assert!(
        ended
            .events
            .iter()
            .any(|event| matches!(event, BuildEvent::Context(progress) if progress.done))
    );
    let call = setup.service.started_with().remove(0);
    let variables = call["environmentVariablesOverride"].as_array().unwrap();
    assert!(variables.contains(&json!({"name": "GREETING", "value": "it's $(id)", "type": "PLAINTEXT"})));
    setup.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_large_context_keeps_modes_and_links() {
    let setup = Setup::new().await;
    let dockerfile = "FROM PARENT\nCOPY . /ctx/\nRUN test -x /ctx/run.sh && test ! -x /ctx/plain \\\n  \
        && test \"$(readlink /ctx/link)\" = run.sh && test \"$(cat /ctx/data/* | wc -c)\" = 314572800\n";
    let (request, directory) = setup.request(dockerfile, &[("run.sh", "#!/bin/sh\n"), ("plain", "x")]);
    let root = directory.path();
    std::fs::set_permissions(root.join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("run.sh", root.join("link")).unwrap();
    std::fs::create_dir(root.join("data")).unwrap();
    for number in 0..30 {
        let file = std::fs::File::create(root.join(format!("data/{number}"))).unwrap();
        file.set_len(10 << 20).unwrap();
        // Some that cannot be compressed, so that the upload takes several parts.
        if number % 8 == 0 {
            let mut noise = std::fs::File::open("/dev/urandom").unwrap().take(10 << 20);
            std::io::copy(&mut noise, &mut &file).unwrap();
        }
    }
    setup.build(&setup.builder(json!({})), request).await.outcome();
    assert!(setup.count("s3:PUT") >= 5, "in parts");
    setup.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_throttling_and_failures_of_every_call_are_survived() {
    let setup = Setup::new().await;
    for operation in [
        "s3:HEAD",
        "s3:PUT",
        "s3:DELETE",
        "StartBuild",
        "BatchGetBuilds",
        "GetLogEvents",
    ] {
        setup.service.fail(operation, Fault::Throttled, 1);
        setup.service.fail(operation, Fault::ServerError, 1);
    }
    setup.build_file(json!({}), DOCKERFILE).await.outcome();
    assert_eq!(setup.service.builds().len(), 1, "a build is started once");
    setup.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_keys_that_expire_in_the_middle_are_renewed() {
    let setup = Setup::new().await;
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "a token of an identity provider").unwrap();
    let credentials = AwsCredentialsConfig {
        auth_method: AwsAuthMethod::WebIdentity,
        role_arn: Some("arn:aws:iam::123456789012:role/caller".into()),
        web_identity_token_file: Some(token),
        region: Some("us-east-1".into()),
        endpoint_url: Some(setup.service.url().into()),
        ..AwsCredentialsConfig::default()
    };
    let mut config = wharf::core::flavor::read_config::<wharf::codebuild::AwsImageBuilderConfig>(
        super::setup::object(json!({
            "code_build_project": setup.name, "build_image": services::codebuild_image(),
            "implicit_container_registry_auth": false,
        })),
    )
    .unwrap();
    config.credentials = credentials;
    let builder = wharf::codebuild::AwsImageBuilder::new(config)
        .unwrap()
        .with_interval(std::time::Duration::from_millis(250));
    let (mut request, _directory) = setup.request("FROM PARENT\nRUN echo begun && sleep 4\n", &[]);
    request.options.no_cache = true;
    let (sink, mut stream) = EventSink::channel();
    let build = builder.build(request, sink);
    let expire = async {
        while let Some(event) = stream.next().await {
            if matches!(&event.event, BuildEvent::Log(line) if line.line.trim() == "begun") {
                setup.service.expire_keys();
            }
        }
    };
    let (result, ()) = tokio::join!(build, expire);
    result.unwrap_or_else(|error| panic!("{}", error.report()));
    assert!(setup.count("AssumeRoleWithWebIdentity") >= 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_many_builds_share_one_poller() {
    let setup = Setup::new().await;
    let builder = setup.builder(json!({}));
    let requests =
        [1, 2, 3].map(|number| setup.request(&format!("FROM PARENT\nRUN echo {number} && sleep 2\n"), &[]));
    let builds = requests.map(|(request, directory)| {
        let builder = builder.clone();
        tokio::spawn(async move {
            let result = builder.build(request, EventSink::discard()).await;
            drop(directory);
            result
        })
    });
    for build in builds {
        build
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{}", error.report()));
    }
    let together = setup.service.polled().into_iter().max();
    assert!(together.is_some_and(|together| together >= 2), "{together:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_full_account_is_waited_for() {
    let setup = Setup::new().await;
    setup.service.fail("StartBuild", Fault::AccountLimit, 1);
    let ended = setup.build_file(json!({}), DOCKERFILE).await;
    ended.outcome();
    assert!(
        ended.warnings().contains("waiting for a turn"),
        "{}",
        ended.warnings()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_context_that_is_kept_is_uploaded_once() {
    let setup = Setup::new().await;
    let builder = setup.builder(json!({"keep_context": true}));
    let (request, _directory) = setup.request(DOCKERFILE, &[]);
    for _ in 0..2 {
        setup.build(&builder, request.clone()).await.outcome();
    }
    assert_eq!(setup.count("s3:PUT"), 1);
    let objects = setup.service.objects(&setup.name).await;
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert!(
        objects[0].starts_with("store/code-build-contexts/"),
        "{objects:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_password_is_stored_for_the_build_only() {
    let setup = Setup::new().await;
    let registry = services::registry_with_password(None);
    let (_, password, _) = services::protected_registry();
    setup.service.fail("CreateSecret", Fault::Throttled, 1);
    setup.service.fail("DeleteSecret", Fault::ServerError, 1);
    for store in ["secrets_manager", "environment"] {
        let (mut request, _directory) = setup.request(DOCKERFILE, &[]);
        request.image = registry
            .target_image(Some(&super::setup::unique("amazon/closed")), "1")
            .unwrap();
        request.registry = Some(Arc::clone(&registry));
        let ended = setup
            .build(&setup.builder(json!({"registry_password_store": store})), request)
            .await;
        ended.outcome();
        let call = setup.service.started_with().pop().unwrap().to_string();
        assert_eq!(call.contains(&password), store == "environment");
        assert_eq!(
            ended.warnings().contains("password"),
            store == "environment",
            "{}",
            ended.warnings()
        );
        assert!(!format!("{:?}", ended.events).contains(&password));
    }
    let secrets = setup
        .service
        .behind("secretsmanager.ListSecrets", &json!({}))
        .await
        .to_string();
    let own = setup.service.started_with()[0]["idempotencyToken"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!secrets.contains(&own), "{secrets}");
    // One failed each time.
    assert_eq!((setup.count("CreateSecret"), setup.count("DeleteSecret")), (2, 2));
}

/// The context that another build of the same files deleted between our look and CodeBuild's.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_context_that_vanished_is_uploaded_again() {
    let setup = Setup::with(Behaviour {
        loses_the_source_once: true,
        ..Behaviour::default()
    })
    .await;
    let ended = setup.build_file(json!({}), DOCKERFILE).await;
    ended.outcome();
    assert_eq!(setup.service.builds().len(), 2);
    setup.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_stack_from_a_file_builds() {
    let setup = Setup::new().await;
    let spec = json!({
        "name": "s",
        "image_builder": {"flavor": "aws", "config": {
            "code_build_project": setup.name, "build_image": services::codebuild_image(),
            "implicit_container_registry_auth": false, "credentials": setup.credentials(),
        }},
        "container_registry": {"flavor": "default", "config": {"uri": services::registry_host()}},
        "artifact_store": {"flavor": "s3", "config": {
            "path": format!("s3://{}/store", setup.name), "credentials": setup.credentials(),
        }},
    });
    let stack = wharf::flavors()
        .stack(&serde_json::from_value(spec).unwrap())
        .unwrap();
    let problems = stack.problems();
    assert_eq!(
        problems.len(),
        1,
        "only that the registry is on this machine: {problems:?}"
    );
    let (mut request, _directory) = setup.request(DOCKERFILE, &[]);
    request.artifact_store = stack.artifact_store.clone();
    let outcome = stack
        .image_builder
        .unwrap()
        .build(request, EventSink::discard())
        .await
        .unwrap();
    assert!(outcome.digest.is_some());
}
