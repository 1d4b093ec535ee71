//! Builds on a daemon that the test plays itself: what the session answers, and how builds end.

#![allow(
    clippy::unwrap_used,
    reason = "the daemon's part is played outside of the test functions"
)]

mod fake;

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::health::HealthCheckRequest;
use bollard_buildkit_proto::health::health_client::HealthClient;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::GetSecretRequest;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_client::SecretsClient;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};
use bollard_buildkit_proto::moby::filesync::v1::auth_client::AuthClient;
use bollard_buildkit_proto::moby::filesync::v1::file_sync_client::FileSyncClient;
use bollard_buildkit_proto::moby::filesync::v1::{CredentialsRequest, GetTokenAuthorityRequest};
use fake::{Answer, Peer, client, origin};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status, Streaming};
use wharf_buildkit::{
    BuildDefinition, BuildFailure, BuildkitClient, CredentialSource, MemorySource, RegistryCredentials,
    SecretBytes, Session, SolveOutcome, SyncEntry, SyncKind, SyncSource,
};
use wharf_core::event::{BuildEvent, EventSink};
use wharf_core::{Error, ErrorKind, Result, Secret};

async fn run(client: BuildkitClient, session: Session) -> Result<SolveOutcome> {
    let cancel = CancellationToken::new();
    client
        .build(BuildDefinition::new(), session, EventSink::discard(), &cancel)
        .await
}

/// A file transfer, seen from the daemon.
struct Download {
    requests: mpsc::UnboundedSender<Packet>,
    packets: Streaming<Packet>,
}

impl Download {
    async fn open(peer: &Peer, headers: &[(&'static str, &str)]) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::unbounded_channel();
        let mut request = Request::new(UnboundedReceiverStream::new(receiver));
        for (name, value) in headers {
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        let mut client = FileSyncClient::with_origin(peer.session.clone(), origin());
        let packets = client.diff_copy(request).await?.into_inner();
        Ok(Self { requests, packets })
    }

    fn send(&self, kind: PacketType, id: u32) {
        let packet = Packet {
            r#type: kind.into(),
            id,
            ..Packet::default()
        };
        self.requests.send(packet).unwrap();
    }

    async fn next(&mut self) -> Result<Packet, Status> {
        let packet = self
            .packets
            .message()
            .await?
            .ok_or_else(|| Status::aborted("ended early"))?;
        match packet.r#type() {
            PacketType::PacketErr => Err(Status::unknown(format!(
                "error from sender: {}",
                String::from_utf8_lossy(&packet.data)
            ))),
            _ => Ok(packet),
        }
    }

    /// The paths, in the order in which they come.
    async fn list(&mut self) -> Result<Vec<String>, Status> {
        let mut paths = Vec::new();
        loop {
            match self.next().await?.stat {
                Some(stat) => paths.push(stat.path),
                None => return Ok(paths),
            }
        }
    }

    /// The content of all these files, which may come in any order.
    async fn files(&mut self, ids: &[u32]) -> Result<HashMap<u32, Vec<u8>>, Status> {
        ids.iter().for_each(|id| self.send(PacketType::PacketReq, *id));
        let mut contents: HashMap<u32, Vec<u8>> = HashMap::new();
        let mut open = ids.len();
        while open > 0 {
            let packet = self.next().await?;
            open -= usize::from(packet.data.is_empty());
            contents.entry(packet.id).or_default().extend(packet.data);
        }
        Ok(contents)
    }

    async fn finish(mut self) -> Result<(), Status> {
        self.send(PacketType::PacketFin, 0);
        while self.next().await?.r#type() != PacketType::PacketFin {}
        assert!(
            self.packets.message().await?.is_none(),
            "nothing comes after the end"
        );
        Ok(())
    }
}

/// Files of which the n-th has the byte n in it; it knows how much of them was read.
#[derive(Clone, Default)]
struct Counting {
    sizes: Vec<u64>,
    listed: Arc<AtomicU64>,
    opened: Arc<Mutex<Vec<usize>>>,
    read: Arc<AtomicU64>,
}

impl Counting {
    fn new(sizes: &[u64]) -> Self {
        Self {
            sizes: sizes.to_vec(),
            ..Self::default()
        }
    }

    fn opened(&self) -> Vec<usize> {
        self.opened.lock().unwrap().clone()
    }
}

impl SyncSource for Counting {
    fn entries(&self) -> Result<Arc<[SyncEntry]>> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        let entry = |(number, size): (usize, &u64)| SyncEntry {
            path: format!("file{number:03}").into(),
            kind: SyncKind::File,
            mode: 0o644,
            size: *size,
            modified: std::time::SystemTime::UNIX_EPOCH,
        };
        Ok(self.sizes.iter().enumerate().map(entry).collect())
    }

    fn open(&self, index: usize) -> Result<Box<dyn Read + Send>> {
        self.opened.lock().unwrap().push(index);
        let content = CountingReader(std::io::repeat(index as u8), Arc::clone(&self.read));
        Ok(Box::new(content.take(self.sizes[index])))
    }
}

struct CountingReader(std::io::Repeat, Arc<AtomicU64>);

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.0.read(buffer)
    }
}

const CONTEXT: [(&str, &str); 1] = [("dir-name", "context")];

fn done() -> Answer {
    Ok(HashMap::new())
}

#[tokio::test]
async fn what_is_asked_for_is_sent_and_nothing_else_is_opened() {
    let sizes = [10, 100_000, 0, 32 * 1024, 7, 65_537];
    let source = Counting::new(&sizes);
    let client = client(move |peer, _| async move {
        Download::open(&peer, &CONTEXT).await?.finish().await?;
        let mut download = Download::open(&peer, &CONTEXT).await?;
        assert_eq!(download.list().await?.len(), 6);
        let contents = download.files(&[1, 2, 3, 5]).await?;
        for (id, content) in contents {
            assert_eq!(content.len() as u64, sizes[id as usize]);
            assert!(content.iter().all(|byte| u32::from(*byte) == id));
        }
        download.finish().await?;
        done()
    });
    let outcome = run(client, Session::new().with_directory("context", source.clone()))
        .await
        .unwrap();
    assert_eq!(outcome.transferred.files, 4);
    assert_eq!(outcome.transferred.bytes, 100_000 + 32 * 1024 + 65_537);
    let mut opened = source.opened();
    opened.sort_unstable();
    assert_eq!(opened, [1, 2, 3, 5]);
    assert_eq!(
        source.listed.load(Ordering::Relaxed),
        1,
        "two transfers, one list"
    );
}

#[tokio::test]
async fn a_small_file_does_not_wait_for_a_large_one() {
    let source = Counting::new(&[64 << 20, 10]);
    let client = client(|peer, _| async move {
        let mut download = Download::open(&peer, &CONTEXT).await?;
        download.list().await?;
        download.send(PacketType::PacketReq, 0);
        download.send(PacketType::PacketReq, 1);
        let mut large = 0;
        loop {
            let packet = download.next().await?;
            match (packet.id, packet.data.len()) {
                (1, 0) => break,
                (id, length) => large += length * usize::from(id == 0),
            }
        }
        assert!(large < 16 << 20, "{large} bytes of the large file came first");
        done()
    });
    run(client, Session::new().with_directory("context", source))
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_read_ahead_of_a_daemon_that_does_not_take_it() {
    let source = Counting::new(&[1 << 40]);
    let read = Arc::clone(&source.read);
    let client = client(move |peer, _| {
        let read = Arc::clone(&read);
        async move {
            let mut download = Download::open(&peer, &CONTEXT).await?;
            download.list().await?;
            download.send(PacketType::PacketReq, 0);
            let first = download.next().await?;
            assert_eq!(first.data.len(), 32 * 1024);
            // The session goes on answering while the file waits to be taken.
            let mut health = HealthClient::with_origin(peer.session.clone(), origin());
            for _ in 0..500 {
                health.check(HealthCheckRequest::default()).await?;
                let read = read.load(Ordering::Relaxed);
                assert!(read < 16 << 20, "{read} bytes were read");
            }
            done()
        }
    });
    let outcome = tokio::time::timeout(
        Duration::from_secs(20),
        run(client, Session::new().with_directory("context", source)),
    );
    outcome.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_transfer_that_is_broken_off_ends() {
    let source = Counting::new(&[1 << 40, 1 << 40]);
    let weak = Arc::downgrade(&source.opened);
    let client = client(|peer, _| async move {
        let mut download = Download::open(&peer, &CONTEXT).await?;
        download.list().await?;
        download.send(PacketType::PacketReq, 0);
        download.send(PacketType::PacketReq, 1);
        download.next().await?;
        drop(download);
        Err(Status::unknown("no space left on device"))
    });
    let error = run(client, Session::new().with_directory("context", source))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    let gone = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while weak.strong_count() > 0 {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("nothing holds the files any more");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_ends_the_transfer() {
    for ids in [&[7][..], &[0, 0]] {
        let client = client(move |peer, _| async move {
            let mut download = Download::open(&peer, &CONTEXT).await?;
            download.list().await?;
            ids.iter()
                .for_each(|id| download.send(PacketType::PacketReq, *id));
            loop {
                download.next().await?;
            }
        });
        let error = run(
            client,
            Session::new().with_directory("context", Counting::new(&[3])),
        )
        .await
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{}", error.report());
        assert!(error.report().contains("file number"), "{}", error.report());
    }
}

#[tokio::test]
async fn the_daemons_refusal_is_told() {
    let client = client(|peer, _| async move {
        let mut download = Download::open(&peer, &CONTEXT).await?;
        let mut packet = Packet {
            r#type: PacketType::PacketErr.into(),
            ..Packet::default()
        };
        packet.data = b"quota reached".to_vec();
        download.requests.send(packet).unwrap();
        loop {
            download.next().await?;
        }
    });
    let error = run(
        client,
        Session::new().with_directory("context", Counting::new(&[3])),
    )
    .await
    .unwrap_err();
    assert!(error.report().contains("quota reached"), "{}", error.report());
}

/// A directory that cannot be listed.
struct Unreadable;

impl SyncSource for Unreadable {
    fn entries(&self) -> Result<Arc<[SyncEntry]>> {
        Err(Error::new(ErrorKind::Io, "the directory cannot be read").with_context("path", "/private"))
    }

    fn open(&self, _: usize) -> Result<Box<dyn Read + Send>> {
        unreachable!("there is nothing to open")
    }
}

#[tokio::test]
async fn an_error_of_the_files_is_the_builds_error() {
    let client = client(|peer, _| async move {
        Download::open(&peer, &CONTEXT).await?.list().await?;
        done()
    });
    let error = run(client, Session::new().with_directory("context", Unreadable))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.report().contains("path: /private"), "{}", error.report());
}

#[tokio::test]
async fn only_what_matches_is_listed() {
    let client = client(|peer, _| async move {
        let headers = [
            ("dir-name", "context"),
            ("include-patterns", "a"),
            ("include-patterns", "d/e"),
            ("exclude-patterns", "a/x"),
            ("followpaths", "b/c"),
        ];
        let paths = Download::open(&peer, &headers).await?.list().await?;
        assert_eq!(paths, ["a", "a/y", "b", "b/c", "d", "d/e"]);
        let unknown = Download::open(&peer, &[("dir-name", "elsewhere")])
            .await
            .err()
            .unwrap();
        assert_eq!(unknown.code(), Code::NotFound);
        done()
    });
    let files = ["a/x", "a/y", "b/c", "b/d", "d/e", "d/f"];
    let files = files
        .iter()
        .fold(MemorySource::new(), |files, path| files.with_file(path, ""));
    run(client, Session::new().with_directory("context", files))
        .await
        .unwrap();
}

struct Passwords;

#[async_trait]
impl CredentialSource for Passwords {
    async fn credentials(&self, host: &str) -> Result<Option<RegistryCredentials>> {
        match host {
            "r.example:5000" => Ok(Some(RegistryCredentials {
                username: "me".into(),
                secret: Secret::new("pass"),
            })),
            "broken.example" => Err(
                Error::new(ErrorKind::Unauthenticated, "the credential helper failed")
                    .with_context("helper", "docker-credential-x"),
            ),
            _ => Ok(None),
        }
    }
}

#[tokio::test]
async fn credentials_go_only_to_who_they_are_for() {
    let client = client(|peer, _| async move {
        let mut auth = AuthClient::with_origin(peer.session.clone(), origin());
        for (host, expected) in [("r.example:5000", ("me", "pass")), ("other.example", ("", ""))] {
            let found = auth
                .credentials(CredentialsRequest { host: host.into() })
                .await?
                .into_inner();
            assert_eq!((found.username.as_str(), found.secret.as_str()), expected);
        }
        let tokens = auth
            .get_token_authority(GetTokenAuthorityRequest::default())
            .await;
        assert_eq!(tokens.unwrap_err().code(), Code::Unimplemented);
        let broken = CredentialsRequest {
            host: "broken.example".into(),
        };
        auth.credentials(broken).await?;
        done()
    });
    let error = run(client, Session::new().with_credentials(Passwords))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(
        error.report().contains("docker-credential-x"),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn secrets_and_health_are_answered_and_the_rest_is_not() {
    let client = client(|peer, _| async move {
        let mut secrets = SecretsClient::with_origin(peer.session.clone(), origin());
        let request = |id: &str| GetSecretRequest {
            id: id.into(),
            ..GetSecretRequest::default()
        };
        let found = secrets.get_secret(request("binary")).await?.into_inner();
        assert_eq!(found.data, [0, 255, 10]);
        let missing = secrets.get_secret(request("missing")).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
        let mut health = HealthClient::with_origin(peer.session.clone(), origin());
        assert_eq!(
            health
                .check(HealthCheckRequest::default())
                .await?
                .into_inner()
                .status,
            1
        );
        let mut auth = AuthClient::with_origin(peer.session.clone(), origin());
        let nobody = auth.credentials(CredentialsRequest::default()).await.unwrap_err();
        assert_eq!(nobody.code(), Code::Unimplemented);
        let name = |name| {
            peer.headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let methods: Vec<_> = name("x-docker-expose-session-grpc-method").collect();
        assert_eq!(
            methods,
            [
                "/grpc.health.v1.Health/Check",
                "/moby.buildkit.secrets.v1.Secrets/GetSecret"
            ]
        );
        assert_eq!(
            name("x-docker-expose-session-sharedkey").collect::<Vec<_>>(),
            ["the key"]
        );
        assert_eq!(name("x-docker-expose-session-uuid").next().unwrap().len(), 32);
        Ok(HashMap::from([(
            "containerimage.digest".into(),
            "sha256:1".into(),
        )]))
    });
    let session = Session::new()
        .with_secret("binary", SecretBytes::new(vec![0, 255, 10]))
        .with_shared_key("the key");
    let outcome = run(client, session).await.unwrap();
    assert_eq!(outcome.image_digest(), Some("sha256:1"));
    assert_eq!(outcome.config_digest(), None);
}

#[tokio::test]
async fn a_secret_that_is_too_long_is_refused_before_anything_is_opened() {
    let client = client(|_, _| async { unreachable!("the build must not begin") });
    let session = Session::new().with_secret("long", SecretBytes::new(vec![0; 600 * 1024]));
    assert_eq!(
        run(client, session).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

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
