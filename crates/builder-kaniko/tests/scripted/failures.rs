//! Servers that fail for a while do not fail a build.

use serde_json::json;
use wharf_core::ErrorKind;

use crate::server::{Part, Script, Server, event, lines, pod};

fn script() -> Script {
    Script {
        protocol: "v4.channel.k8s.io",
        ..Script::default()
    }
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_dropped_is_taken_up_again() {
    let server = Server::start(Script {
        watches: [vec![event("ADDED", &pod("Pending")), Part::Break], vec![]].into(),
        ..script()
    })
    .await;
    server.build().await.0.unwrap();
    assert!(
        server.asked("watch=true") >= 3,
        "{:?}",
        server.script.lock().unwrap().asked
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_version_that_is_too_old_starts_a_new_list() {
    let gone = json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"});
    let server = Server::start(Script {
        watches: [vec![event("ADDED", &pod("Pending")), event("ERROR", &gone)]].into(),
        phase: "Pending",
        ..script()
    })
    .await;
    server.build().await.0.unwrap();
    // The list for cleaning up has no limit.
    let lists = server.asked("&limit=500");
    assert!(lists >= 2, "{:?}", server.script.lock().unwrap().asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_too_often_or_stumbles_is_asked_again() {
    let server = Server::start(Script {
        refusals: [
            ("POST", "/jobs", 429),
            ("POST", "/jobs", 503),
            ("GET", "limit", 500),
            ("GET", "watch=true", 500),
            ("DELETE", "/jobs", 500),
        ]
        .into(),
        ..script()
    })
    .await;
    server.build().await.0.unwrap();
    assert!(server.script.lock().unwrap().refusals.is_empty());
    assert_eq!(server.asked("jobs/wharf-"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_early_is_read_on_without_loss_or_repeat() {
    let server = Server::start(Script {
        logs: [
            vec![text(
                "2026-01-01T00:00:00Z one\n2026-01-01T00:00:01Z two\n2026-01-01T00:0",
            )],
            vec![
                text("2026-01-01T00:00:01Z two\n2026-01-01T00:00:02Z three\n"),
                Part::Break,
            ],
            vec![
                text("2026-01-01T00:00:02Z three\n2026-01-01T00:00:03Z four\n"),
                Part::Now("Succeeded"),
            ],
            vec![text("2026-01-01T00:00:03Z four\n2026-01-01T00:00:04Z five\n")],
        ]
        .into(),
        goes_on: true,
        ..script()
    })
    .await;
    let (result, events) = server.build().await;
    result.unwrap();
    assert_eq!(lines(&events), ["one", "two", "three", "four", "five"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_refused_is_an_error_and_cleaned_up_all_the_same() {
    let server = Server::start(Script {
        refusals: [("POST", "/jobs", 500)].into(),
        ..script()
    })
    .await;
    let error = server.build().await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.is_retryable() && error.report().contains("scripted 500"),
        "{}",
        error.report()
    );
    assert_eq!(server.asked("DELETE"), 1);
}
