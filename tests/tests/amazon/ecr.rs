//! ECR: tokens, repositories, immutable tags. The registry takes the password that the played service gives out.

use std::sync::Arc;

use serde_json::{Value, json};
use wharf::aws::{AwsConnector, EcrRegistry};
use wharf::core::flavor::read_config;
use wharf::core::registry::{ContainerRegistry, ServiceConnector};
use wharf::core::{ErrorKind, ImageReference};
use wharf::registry::RegistryClient;
use wharf_testkit::codebuild::Fault;
use wharf_testkit::{immutable_tags, services};

use super::setup::{Setup, object, unique};

fn registry(setup: &Setup, settings: Value) -> Arc<EcrRegistry> {
    let mut config = object(json!({"uri": services::ecr_host(), "credentials": setup.credentials()}));
    config.extend(object(settings));
    Arc::new(EcrRegistry::new(read_config(config).unwrap()).unwrap())
}

fn image(registry: &EcrRegistry) -> ImageReference {
    registry.target_image(Some(&unique("amazon/ecr")), "1").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_missing_repository_is_told_or_made() {
    let setup = Setup::new().await;
    let strict = registry(&setup, json!({}));
    let image = image(&strict);
    let error = strict.prepare_push(&image).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint().unwrap().contains("create_repository"));
    let making = registry(&setup, json!({"create_repository": true, "immutable_tags": true}));
    for operation in [
        "DescribeRepositories",
        "CreateRepository",
        "GetAuthorizationToken",
    ] {
        setup.service.fail(operation, Fault::Throttled, 1);
        setup.service.fail(operation, Fault::ServerError, 1);
    }
    making.prepare_push(&image).await.unwrap();
    let client = RegistryClient::new(making).unwrap();
    client.check_push(&image).await.unwrap();
    strict.prepare_push(&image).await.unwrap();
    let call = json!({"repositoryNames": [image.path()]});
    let made = setup
        .service
        .behind("AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", &call)
        .await;
    assert_eq!(made["repositories"][0]["imageTagMutability"], "IMMUTABLE");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_the_project_s_role_logs_in_and_pushes() {
    let setup = Setup::new().await;
    let registry = registry(&setup, json!({"create_repository": true}));
    let (mut request, _directory) = setup.request("FROM PARENT\nRUN echo ecr\n", &[]);
    request.image = image(&registry);
    request.registry = Some(registry.clone());
    let image = request.image.clone();
    let ended = setup
        .build(
            &setup.builder(json!({"implicit_container_registry_auth": true})),
            request,
        )
        .await;
    let digest = ended.outcome().digest.clone();
    let client = RegistryClient::new(registry).unwrap();
    assert_eq!(client.digest_of(&image).await.unwrap(), digest);
    let call = setup.service.started_with().remove(0).to_string();
    assert!(!call.contains("auth-token"), "the role has a token of its own");
    assert!(
        setup.count("GetAuthorizationToken") >= 2,
        "wharf's and the build's"
    );
}

/// A tag that cannot be moved is no failure if it means the same image already, and one if it means another.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_an_immutable_tag_is_kept() {
    let setup = Setup::new().await;
    let host = immutable_tags(services::ecr_host()).await;
    let registry = registry(&setup, json!({"uri": host, "create_repository": true}));
    let image = image(&registry);
    let build = async |dockerfile: &str| {
        let (mut request, _directory) = setup.request(dockerfile, &[]);
        request.image = image.clone();
        request.registry = Some(registry.clone());
        let builder = setup.builder(json!({"implicit_container_registry_auth": true}));
        setup.build(&builder, request).await
    };
    let dockerfile = format!("FROM PARENT\nRUN echo {}\n", image.path());
    let first = build(&dockerfile).await.outcome().digest.clone();
    assert!(first.is_some());
    assert_eq!(build(&dockerfile).await.outcome().digest, first);
    let other = build(&format!("{dockerfile}RUN echo other\n")).await;
    assert_eq!(
        other.error().kind(),
        ErrorKind::Conflict,
        "{}",
        other.error().report()
    );
    assert!(other.error().report().contains("immutable"));
    let client = RegistryClient::new(registry.clone()).unwrap();
    assert_eq!(client.digest_of(&image).await.unwrap(), first);
    setup.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services and a Docker engine"]
async fn amazon_engine_a_connector_knows_who_it_is_and_logs_in_at_ecr_alone() {
    let setup = Setup::new().await;
    let config = serde_json::from_value(setup.credentials()).unwrap();
    let connector = AwsConnector::new("mine", config).unwrap();
    assert_eq!(connector.verify().await.unwrap().account, "123456789012");
    let uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let found = connector.registry_credentials(uri).await.unwrap().unwrap();
    assert_eq!(found.source.to_string(), "the service connector mine");
    assert!(!format!("{found:?}").contains("auth-token"));
    assert!(
        connector
            .registry_credentials("registry.example.com")
            .await
            .unwrap()
            .is_none()
    );
}
