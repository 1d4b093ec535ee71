//! How builds end.

use super::*;

#[tokio::test]
async fn a_cancelled_build_ends_even_if_the_daemon_hangs() {
    let (begun, wait) = oneshot::channel();
    let begun = Mutex::new(Some(begun));
    let client = client(move |peer, _| {
        let begun = begun.lock().unwrap().take().unwrap();
        async move {
            begun.send(()).unwrap();
            // It neither answers nor stops telling news.
            std::mem::forget(peer.news.clone());
            std::future::pending().await
        }
    });
    let client = client.with_cancel_limit(Duration::from_millis(200));
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        wait.await.unwrap();
        stop.cancel();
    });
    let build = client.build(
        BuildDefinition::new(),
        Session::new(),
        EventSink::discard(),
        &cancel,
    );
    let error = tokio::time::timeout(Duration::from_secs(10), build)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_build_can_be_cancelled_before_the_daemon_answers_at_all() {
    let client = BuildkitClient::new(wharf_buildkit::Transport::engine(std::future::pending));
    let cancel = CancellationToken::new();
    cancel.cancel();
    let build = client.build(
        BuildDefinition::new(),
        Session::new(),
        EventSink::discard(),
        &cancel,
    );
    let error = tokio::time::timeout(Duration::from_secs(10), build)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// Tells when the daemon's work on a build is stopped.
struct Stopped(Option<oneshot::Sender<()>>);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.take().map(|sender| sender.send(()));
    }
}

#[tokio::test]
async fn a_dropped_build_stops_the_work_and_closes_the_session() {
    let (stopped, wait) = oneshot::channel();
    let (sessions, mut session) = mpsc::unbounded_channel();
    let stopped = Mutex::new(Some(stopped));
    let client = client(move |peer, _| {
        let stopped = Stopped(stopped.lock().unwrap().take());
        sessions.send(peer.session.closed.clone()).unwrap();
        async move {
            let _stopped = stopped;
            std::future::pending().await
        }
    });
    let build = tokio::spawn(run(client, Session::new()));
    let mut closed = session.recv().await.unwrap();
    build.abort();
    let both = async {
        wait.await.unwrap();
        closed.wait_for(|closed| *closed).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .expect("the daemon notices");
}

#[tokio::test]
async fn news_that_come_after_the_answer_are_told() {
    let client = client(|peer, _| async move {
        let log = |text: &str| StatusResponse {
            logs: vec![VertexLog {
                vertex: "v".into(),
                stream: 1,
                msg: text.into(),
                ..VertexLog::default()
            }],
            ..StatusResponse::default()
        };
        peer.news.send(log("one\ntw")).unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            peer.news.send(log("o")).unwrap();
        });
        done()
    });
    let (sink, mut stream) = EventSink::channel();
    let cancel = CancellationToken::new();
    client
        .build(BuildDefinition::new(), Session::new(), sink, &cancel)
        .await
        .unwrap();
    let lines = stream.drain().into_iter().filter_map(|event| match event.event {
        BuildEvent::Log(log) => Some(log.line),
        _ => None,
    });
    assert_eq!(lines.collect::<Vec<_>>(), ["one", "two"]);
}

#[tokio::test]
async fn a_failure_is_told_with_all_its_details() {
    let (dockerfile, digest) = (
        format!("FROM a\nRUN b\n{}", "# long\n".repeat(20_000)),
        "sha256:1",
    );
    let text = dockerfile.clone();
    let client = client(move |peer, _| {
        let source = serde_json::json!({
            "info": {"filename": "Dockerfile", "data": STANDARD.encode(&text)},
            "ranges": [{"start": {"line": 2}, "end": {"line": 2}}],
        });
        async move {
            let vertex = Vertex {
                digest: digest.into(),
                name: "[2/2] RUN b".into(),
                ..Vertex::default()
            };
            let news = StatusResponse {
                vertexes: vec![vertex],
                ..StatusResponse::default()
            };
            peer.news.send(news).unwrap();
            Err(fake::failure(
                "process \"b\" did not complete successfully: exit code: 7",
                &[
                    ("errdefs.Vertex+json", serde_json::json!({"digest": digest})),
                    ("errdefs.Source+json", source),
                ],
            ))
        }
    });
    let error = run(client, Session::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BuildFailed, "{}", error.report());
    let failure = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<BuildFailure>());
    let failure = failure.expect("what failed");
    assert_eq!(failure.step.as_ref().map(|step| step.0.as_str()), Some(digest));
    assert_eq!(
        (failure.name.as_deref(), failure.exit_code),
        (Some("[2/2] RUN b"), Some(7))
    );
    let location = failure.location.as_ref().expect("a place");
    assert_eq!(
        (location.first_line, location.text.as_ref()),
        (2, Some(&dockerfile))
    );
}

#[tokio::test]
async fn a_build_the_daemon_never_began_fails_at_once() {
    let client = client(|peer, _| async move {
        std::mem::forget(peer.news.clone());
        Err(Status::unknown("exporter \"x\" could not be found"))
    });
    let build = tokio::time::timeout(Duration::from_secs(3), run(client, Session::new()));
    assert!(build.await.expect("in time").is_err());
}

#[tokio::test]
async fn a_lost_connection_is_told_as_one() {
    let client = BuildkitClient::new(wharf_buildkit::Transport::buildkitd(|| async {
        let (ours, theirs) = tokio::io::duplex(1024);
        drop(theirs);
        Ok(Box::new(ours) as wharf_buildkit::BoxedStream)
    }));
    let error = run(client, Session::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.report());
    assert!(error.is_retryable());
}

/// An engine that answers every request with this.
fn engine(answer: &'static str) -> BuildkitClient {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    BuildkitClient::new(wharf_buildkit::Transport::engine(move || async move {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let mut request = [0; 1024];
            let _ = theirs.read(&mut request).await;
            let _ = theirs.write_all(answer.as_bytes()).await;
        });
        Ok(Box::new(ours) as wharf_buildkit::BoxedStream)
    }))
}

#[tokio::test]
async fn an_engine_without_buildkit_is_told_apart_from_one_that_fails() {
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 29\r\n\r\n{\"message\":\"page not found\"}\n";
    let failing = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops";
    let cases = [
        (missing, ErrorKind::Unsupported, "page not found"),
        (failing, ErrorKind::Unexpected, "oops"),
    ];
    for (answer, kind, text) in cases {
        let error = run(engine(answer), Session::new()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{}", error.report());
        assert!(error.report().contains(text), "{}", error.report());
    }
}

#[tokio::test]
async fn a_daemon_that_cannot_say_its_version_has_none() {
    let client = client(|_, _| async { done() });
    assert_eq!(client.version().await.unwrap(), None);
    assert_eq!(client.workers().await.unwrap_err().kind(), ErrorKind::Unavailable);
}
