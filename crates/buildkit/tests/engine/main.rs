//! Builds on a real Docker engine, named by `WHARF_TEST_ENGINE` (`unix:///var/run/docker.sock`).
//!
//! The engine runs on this machine: some tests look for a step's process.

mod failures;
mod files;
mod steps;
mod support;

use std::time::Duration;

use support::*;
use wharf_buildkit::{
    BuildDefinition, BuildFailure, CredentialSource, Exporter, MemorySource, RegistryCredentials,
    SecretBytes, Session,
};
use wharf_core::ErrorKind;
use wharf_core::event::{BuildEvent, EventSink, StepState, Stream};

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_session_can_travel_inside_of_a_control_call() {
    let name = unique("direct");
    let files = MemorySource::new().with_file("file", vec![b'x'; 3 << 20]);
    let dockerfile = format!(
        "FROM {}\nCOPY file /{name}\nRUN --mount=type=secret,id=s wc -c < /{name}; cat /run/secrets/s\n",
        busybox()
    );
    let session = session(&dockerfile, files).with_secret("s", SecretBytes::new(b"told".to_vec()));
    let (sink, mut stream) = EventSink::channel();
    let cancel = tokio_util::sync::CancellationToken::new();
    let outcome = direct_client()
        .build(BuildDefinition::new(), session, sink, &cancel)
        .await
        .unwrap();
    assert_eq!(outcome.transferred.bytes, 3 << 20);
    let events = stream.drain().into_iter().map(|event| event.event).collect();
    let built = Built {
        result: Ok(outcome),
        events,
    };
    assert_eq!(built.log(), "3145728\ntold");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn the_daemon_tells_about_itself() {
    let client = client();
    let workers = client.workers().await.unwrap();
    assert!(
        workers[0]
            .platforms
            .iter()
            .any(|platform| platform.starts_with("linux/")),
        "{workers:?}"
    );
    client.version().await.unwrap();
    let dockerfile = format!("FROM scratch\nCOPY Dockerfile /\n# {}\n", unique("usage"));
    let files = MemorySource::new().with_file("Dockerfile", dockerfile.clone());
    build(BuildDefinition::new(), session(&dockerfile, files))
        .await
        .result
        .unwrap();
    let records = client.disk_usage().await.unwrap();
    assert!(
        records.iter().any(|record| record.kind == "source.local"),
        "{records:?}"
    );
}

/// The same login for every registry, if there is one.
struct Login(Option<(String, String)>);

#[async_trait::async_trait]
impl CredentialSource for Login {
    async fn credentials(&self, _: &str) -> wharf_core::Result<Option<RegistryCredentials>> {
        Ok(self.0.clone().map(|(username, password)| RegistryCredentials {
            username,
            secret: password.into(),
        }))
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine and a registry with a password"]
async fn registry_credentials_open_private_parents() {
    let (user, password, host) = registry();
    let parent = format!("{host}/{}", unique("private"));
    Engine::new().push(&busybox(), &parent, &user, &password).await;
    let dockerfile = format!("FROM {parent}:1\nRUN true\n");
    let run = async |login: Option<&str>| {
        let login = Login(login.map(|password| (user.clone(), password.to_owned())));
        let session = session(&dockerfile, MemorySource::new()).with_credentials(login);
        build(BuildDefinition::new(), session).await.result
    };
    for wrong in [None, Some("wrong")] {
        let error = run(wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.report());
        assert!(error.hint().is_some());
        assert!(!error.report().contains(&password));
    }
    run(Some(&password)).await.unwrap();
}
