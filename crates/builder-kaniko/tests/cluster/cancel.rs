//! Builds that are given up.

use std::time::Duration;

use serde_json::json;
use wharf_core::ErrorKind;
use wharf_core::event::{BuildEvent, EventSink};

use crate::support::{World, is_running};

const SLOW: &str = "FROM PARENT\nRUN echo begun && sleep 600\n";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_fired_token_leaves_nothing_whenever_it_fires() {
    let world = World::new().await;
    let subject = world.subject(json!({}));
    for milliseconds in [0, 40, 120, 300, 700, 1500, 3000] {
        let (request, _directory) = subject.request("cancel", SLOW, &[]);
        let cancel = request.cancel.clone();
        let fire = async {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            cancel.cancel();
        };
        let (built, ()) = tokio::join!(subject.build(request), fire);
        let error = built.error();
        assert_eq!(
            error.kind(),
            ErrorKind::Cancelled,
            "{milliseconds} ms: {}",
            error.report()
        );
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
