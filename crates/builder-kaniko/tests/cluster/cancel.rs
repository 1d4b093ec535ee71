//! Builds that are given up.

use serde_json::json;
use wharf_core::ErrorKind;
use wharf_core::event::{BuildEvent, EventSink, StepId, StepState};

use crate::support::{World, is_running};

const SLOW: &str = "FROM PARENT\nRUN echo begun && sleep 600\n";

/// A moment of a build, by the event that tells it.
type Moment = (&'static str, fn(&BuildEvent) -> bool);

const MOMENTS: [Moment; 6] = [
    ("accepted", |event| matches!(event, BuildEvent::Queued(_))),
    ("the job is made", |event| is_start(event, &StepState::Started)),
    ("the pod runs", |event| is_start(event, &StepState::Done)),
    ("the context begins", |event| {
        matches!(event, BuildEvent::Context(_))
    }),
    (
        "the context is sent",
        |event| matches!(event, BuildEvent::Context(progress) if progress.done),
    ),
    (
        "a step runs",
        |event| matches!(event, BuildEvent::Log(line) if line.line == "begun"),
    ),
];

fn is_start(event: &BuildEvent, state: &StepState) -> bool {
    matches!(event, BuildEvent::Step(step) if step.id == StepId::new("kaniko start") && step.state == *state)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_fired_token_leaves_nothing_whenever_it_fires() {
    let world = World::new().await;
    let subject = world.subject(json!({}));
    for (moment, is_now) in MOMENTS {
        let (request, _directory) = subject.request("cancel", SLOW, &[]);
        let cancel = request.cancel.clone();
        let (sink, mut stream) = EventSink::channel();
        let build = subject.builder.build(request, sink);
        let fire = async {
            while let Some(event) = stream.next().await {
                if is_now(&event.event) {
                    cancel.cancel();
                    return true;
                }
            }
            false
        };
        let (result, fired) = tokio::join!(build, fire);
        assert!(fired, "{moment}: that never came");
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{moment}: {}", error.report());
    }
    world.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_dropped_build_leaves_nothing() {
    let world = World::new().await;
    let subject = world.subject(json!({}));
    let (request, _directory) = subject.request("dropped", SLOW, &[]);
    let (sink, mut stream) = EventSink::channel();
    let build = subject.builder.build(request, sink);
    let begun = async {
        while let Some(event) = stream.next().await {
            if matches!(&event.event, BuildEvent::Log(line) if line.line == "begun") {
                return;
            }
        }
    };
    tokio::select! {
        result = build => panic!("it ended: {result:?}"),
        () = begun => {}
    }
    world.pod(is_running).await;
    // The future is gone now.
    world.is_empty().await;
}
