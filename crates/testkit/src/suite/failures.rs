//! What fails says why, and leaves nothing.

use std::time::Duration;

use wharf_core::event::{BuildEvent, StepState};
use wharf_core::{BuildContext, ErrorKind, Result};
use wharf_registry::RegistryClient;

use super::subject::{Subject, name};

/// A failing instruction: the error's kind, the step, its output, and no image in the registry.
pub async fn a_failing_step_is_named_and_nothing_is_pushed(subject: &Subject) {
    let dockerfile = "FROM PARENT\nRUN echo last-words && exit 7\n";
    let built = subject.build_files("failing", dockerfile, &[]).await;
    let error = built.error();
    assert_eq!(error.kind(), ErrorKind::BuildFailed, "{}", error.report());
    assert!(!error.is_retryable());
    assert!(error.report().contains('7'), "{}", error.report());
    assert!(built.log().contains("last-words"));
    let failed = built.events.iter().find_map(|event| match event {
        BuildEvent::Step(step) if matches!(step.state, StepState::Failed { .. }) => Some(step),
        _ => None,
    });
    assert!(failed.expect("a failed step").name.contains("last-words"));
    let line = error
        .context()
        .find(|(key, _)| *key == "dockerfile_line")
        .map(|(_, line)| line.to_owned());
    assert_eq!(line.as_deref(), Some("2"), "{}", error.report());
    let client = RegistryClient::new(subject.registry.clone()).expect("a client");
    assert_eq!(client.digest_of(&built.image).await.expect("an answer"), None);
}

/// A stage that does not exist is a mistake of the caller, not of the build.
pub async fn an_unknown_stage_is_the_callers_mistake(subject: &Subject) {
    let (mut request, _directory) = subject.request("stage", "FROM PARENT AS one\n", &[]);
    request.options.target = Some("two".into());
    let built = subject.build(request).await;
    let error = built.error();
    assert!(
        matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput),
        "{}",
        error.report()
    );
    assert!(error.report().contains("two"), "{}", error.report());
}

/// Without a Dockerfile nothing is sent anywhere.
pub async fn a_missing_dockerfile_is_named(subject: &Subject) {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut request, _other) = subject.request("missing", "FROM PARENT\n", &[]);
    request.context = BuildContext::new(directory.path());
    let built = subject.build(request).await;
    assert_eq!(built.error().kind(), ErrorKind::NotFound);
    assert!(built.error().report().contains("Dockerfile"));
    assert!(built.events.is_empty(), "{:?}", built.events);
}

/// An image is refused when it does not belong to the registry it is to be pushed to.
pub async fn an_image_of_another_registry_is_refused(subject: &Subject) {
    let (mut request, _directory) = subject.request("foreign", "FROM PARENT\n", &[]);
    request.image = "registry.example.com/team/app:1".parse().expect("a name");
    let built = subject.build(request).await;
    assert_eq!(built.error().kind(), ErrorKind::InvalidInput);
    assert!(built.error().message().contains(subject.registry.uri()));
}

/// A wrong password is an error before the build begins.
pub async fn a_wrong_password_is_told_before_the_build(subject: &Subject) {
    let (mut request, _directory) = subject.request("password", "FROM PARENT\nRUN sleep 600\n", &[]);
    request.image = name(subject.closed_registry.as_ref(), "password");
    request.registry = Some(subject.closed_registry.clone());
    let built = within_a_minute(subject.build(request)).await;
    assert_eq!(
        built.error().kind(),
        ErrorKind::Unauthenticated,
        "{}",
        built.error().report()
    );
    assert!(built.error().hint().is_some());
}

/// A token that fires in the middle of a step ends the build.
pub async fn a_fired_token_ends_the_build(subject: &Subject) {
    let unique = format!("{:?}", std::time::SystemTime::now());
    let dockerfile = format!("FROM PARENT\nRUN echo begun {unique} && sleep 600\n");
    let (request, _directory) = subject.request("cancel", &dockerfile, &[]);
    let cancel = request.cancel.clone();
    let (sink, mut stream) = wharf_core::event::EventSink::channel();
    let build = subject.builder.build(request, sink);
    let fire_when_begun = async {
        while let Some(event) = stream.next().await {
            if matches!(&event.event, BuildEvent::Log(line) if line.line.trim().starts_with("begun")) {
                cancel.cancel();
            }
        }
    };
    let (result, ()): (Result<_>, ()) = within_a_minute(async { tokio::join!(build, fire_when_begun) }).await;
    let error = result.expect_err("the build was cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{}", error.report());
}

async fn within_a_minute<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("an end within a minute")
}
