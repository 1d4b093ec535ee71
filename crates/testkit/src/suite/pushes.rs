//! What a build that succeeds leaves and tells.

use wharf_core::event::{BuildEvent, StepState};
use wharf_registry::RegistryClient;

use super::subject::Subject;

/// `repository@sha256:…` names what the registry has behind the tag.
pub async fn the_digest_is_the_one_the_registry_has(subject: &Subject) {
    let built = subject
        .build_files("digest", "FROM PARENT\nCOPY a /a\n", &[("a", "1")])
        .await;
    let outcome = built.outcome();
    let client = RegistryClient::new(subject.registry.clone()).expect("a client");
    let there = client
        .digest_of(&built.image)
        .await
        .expect("an answer")
        .expect("the image");
    assert_eq!(
        outcome.reference(),
        format!("{}@{there}", built.image.repository())
    );
    let told = built.events.iter().any(|event| match event {
        BuildEvent::Digest(digest) => digest.reference == outcome.reference(),
        _ => false,
    });
    assert!(told, "{:?}", built.events);
}

/// The image's other names are pushed too, and mean the same image.
pub async fn every_name_is_pushed(subject: &Subject) {
    let (mut request, _directory) = subject.request("names", "FROM PARENT\nLABEL x=1\n", &[]);
    let other = subject.new_image("other-name");
    request.tags.push(other.clone());
    let built = subject.build(request).await;
    let digest = built.outcome().digest.clone();
    let client = RegistryClient::new(subject.registry.clone()).expect("a client");
    for name in [&built.image, &other] {
        assert_eq!(client.digest_of(name).await.expect("an answer"), digest, "{name}");
    }
}

/// Every step that starts ends, output belongs to a step, and the first word is that the build was accepted.
pub async fn steps_and_output_are_told(subject: &Subject) {
    let unique = format!("{:?}", std::time::SystemTime::now());
    let dockerfile = format!("FROM PARENT\nRUN echo hello-from-a-step # {unique}\n");
    let built = subject.build_files("events", &dockerfile, &[]).await;
    built.outcome();
    assert!(
        matches!(built.events.first(), Some(BuildEvent::Queued(_))),
        "{:?}",
        built.events.first()
    );
    let line = built.events.iter().find_map(|event| match event {
        BuildEvent::Log(line) if line.line.trim() == "hello-from-a-step" => Some(line),
        _ => None,
    });
    assert!(line.expect("the step's output").step.is_some());
    let mut open = std::collections::BTreeSet::new();
    for event in &built.events {
        if let BuildEvent::Step(step) = event {
            match step.state {
                StepState::Pending | StepState::Started => open.insert(step.id.clone()),
                _ => open.remove(&step.id),
            };
        }
    }
    assert!(open.is_empty(), "steps that never ended: {open:?}");
}

/// Where the builder tells what came from its cache, an unchanged build does; with `no_cache`, nothing does.
pub async fn a_second_build_comes_from_the_cache(subject: &Subject) {
    let capabilities = subject.builder.probe().await.expect("an answer");
    let dockerfile = "FROM PARENT\nRUN echo cached > /x\n";
    let mut counts = Vec::new();
    for no_cache in [false, false, true] {
        let (mut request, _directory) = subject.request("cache", dockerfile, &[]);
        request.options.no_cache = no_cache;
        let built = subject.build(request).await;
        built.outcome();
        let cached = |event: &&BuildEvent| matches!(event, BuildEvent::Step(step) if step.state == StepState::Cached && step.name.contains("RUN"));
        counts.push(built.events.iter().filter(cached).count());
    }
    let expected = usize::from(capabilities.reports_cache);
    assert_eq!(counts[1..], [expected, 0], "{counts:?}");
}
