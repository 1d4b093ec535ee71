//! What the tests against a real engine share.

#![allow(clippy::unwrap_used, reason = "a test's preparations may fail the test")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use sha2::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wharf_buildkit::{
    BoxedStream, BuildDefinition, BuildkitClient, MemorySource, Session, SolveOutcome, SyncEntry, SyncKind,
    SyncSource, Transport,
};
use wharf_core::event::{BuildEvent, EventSink, EventStream, Step, Stream};
use wharf_core::{Error, ErrorKind, Result};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `cargo xtask services up` prints it"))
}

fn socket() -> PathBuf {
    let address = variable("WHARF_TEST_ENGINE");
    let path = address
        .strip_prefix("unix://")
        .expect("the engine listens on a Unix socket");
    path.into()
}

async fn dial() -> Result<BoxedStream> {
    let path = socket();
    let stream = UnixStream::connect(&path).await;
    let stream = stream.map_err(|error| Error::io("no engine", &path, error))?;
    Ok(Box::new(stream))
}

/// The engine's BuildKit as if it were a `buildkitd` that is dialled directly.
pub(crate) fn direct_client() -> BuildkitClient {
    BuildkitClient::new(Transport::buildkitd(|| async {
        let mut stream = dial().await?;
        let request = "POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"));
        Ok(stream)
    }))
}

pub(crate) fn client() -> BuildkitClient {
    BuildkitClient::new(Transport::engine(dial))
}

/// A name no other test and no other run has.
pub(crate) fn unique(what: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("wharf-test-{what}-{now:x}-{count}")
}

/// A number of seconds to sleep by which a process can be found.
pub(crate) fn marker() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("9{}", now.as_nanos() % 1_000_000_000)
}

pub(crate) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_600_000_000 + seconds)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn session(dockerfile: &str, context: impl SyncSource) -> Session {
    let dockerfile = MemorySource::new().with_file("Dockerfile", dockerfile.to_owned());
    Session::new()
        .with_directory("context", context)
        .with_directory("dockerfile", dockerfile)
}

/// An image in which steps can run BusyBox.
pub(crate) fn busybox() -> String {
    variable("WHARF_TEST_BUSYBOX_IMAGE")
}

/// An image in which steps can run Python.
pub(crate) fn python() -> String {
    variable("WHARF_TEST_PARENT_IMAGE")
}

/// User, password and host of a registry.
pub(crate) fn registry() -> (String, String, String) {
    let login = variable("WHARF_TEST_REGISTRY_AUTH");
    let (user, rest) = login.split_once(':').unwrap();
    let (password, host) = rest.rsplit_once('@').unwrap();
    (user.into(), password.into(), host.into())
}

/// A build that has ended.
pub(crate) struct Built {
    pub(crate) result: Result<SolveOutcome>,
    pub(crate) events: Vec<BuildEvent>,
}

impl Built {
    /// The last state of the step whose name ends with this, or has it behind its bracket.
    pub(crate) fn step(&self, name: &str) -> Step {
        self.find(name)
            .unwrap_or_else(|| panic!("no step {name} in {:#?}", self.events))
    }

    pub(crate) fn has_step(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<Step> {
        let steps = self.events.iter().rev().filter_map(|event| match event {
            BuildEvent::Step(step) => Some(step),
            _ => None,
        });
        steps.into_iter().find(|step| step.name.contains(name)).cloned()
    }

    /// All lines of a stream.
    pub(crate) fn lines(&self, stream: Stream) -> Vec<&str> {
        let logs = self.events.iter().filter_map(|event| match event {
            BuildEvent::Log(log) => Some(log),
            _ => None,
        });
        logs.filter(|log| log.stream == stream)
            .map(|log| log.line.as_str())
            .collect()
    }

    /// What the steps wrote to standard output.
    pub(crate) fn log(&self) -> String {
        self.lines(Stream::Stdout).join("\n")
    }
}

/// A build under way.
pub(crate) struct Running {
    task: JoinHandle<Result<SolveOutcome>>,
    stream: EventStream,
    events: Vec<BuildEvent>,
}

impl Running {
    pub(crate) fn start(definition: BuildDefinition, session: Session, cancel: &CancellationToken) -> Self {
        let (sink, stream) = EventSink::channel();
        let cancel = cancel.clone();
        let task = tokio::spawn(async move { client().build(definition, session, sink, &cancel).await });
        Self {
            task,
            stream,
            events: Vec::new(),
        }
    }

    pub(crate) async fn wait_for_line(&mut self, wanted: &str) {
        loop {
            let event = self.stream.next().await.expect("the build goes on").event;
            self.events.push(event);
            if matches!(self.events.last(), Some(BuildEvent::Log(log)) if log.line == wanted) {
                return;
            }
        }
    }

    pub(crate) fn abort(&self) {
        self.task.abort();
    }

    pub(crate) async fn finish(mut self) -> Built {
        while let Some(event) = self.stream.next().await {
            self.events.push(event.event);
        }
        Built {
            result: self.task.await.unwrap(),
            events: self.events,
        }
    }
}

pub(crate) async fn build(definition: BuildDefinition, session: Session) -> Built {
    Running::start(definition, session, &CancellationToken::new())
        .finish()
        .await
}

/// Whether a process of this machine has the marker as an argument.
pub(crate) fn is_running(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.into_iter().any(|line| {
        line.split(|byte| *byte == 0)
            .any(|argument| argument == marker.as_bytes())
    })
}

/// Looks again and again, for half a minute at most.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let looking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while !condition() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking)
        .await
        .expect("it happens in time");
}

/// The engine's plain HTTP interface, for looking at results.
pub(crate) struct Engine;

impl Engine {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        self.call("GET", path, "").await
    }

    pub(crate) async fn remove(&self, image: &str) {
        self.call("DELETE", &format!("/images/{image}"), "").await;
    }

    /// Pushes a local image to a registry under another name, and keeps nothing of that name.
    pub(crate) async fn push(&self, image: &str, repository: &str, user: &str, password: &str) {
        let login = format!(r#"{{"username":"{user}","password":"{password}"}}"#);
        let header = format!("X-Registry-Auth: {}\r\n", URL_SAFE.encode(login));
        let tag = format!("/images/{image}/tag?repo={repository}&tag=1");
        self.call("POST", &tag, "").await;
        let pushed = self
            .call("POST", &format!("/images/{repository}/push?tag=1"), &header)
            .await;
        assert!(pushed.contains("sha256:"), "{pushed}");
        self.remove(&format!("{repository}:1")).await;
    }

    async fn call(&self, method: &str, path: &str, headers: &str) -> String {
        let mut stream = UnixStream::connect(socket()).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: docker\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// An SSH agent without keys that remembers what it is asked.
pub(crate) struct Agent {
    directory: tempfile::TempDir,
    asked: Arc<Mutex<Vec<u8>>>,
}

impl Agent {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("agent")).unwrap();
        let asked = Arc::default();
        let agent = Self {
            directory,
            asked: Arc::clone(&asked),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&asked)));
            }
        });
        agent
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("agent")
    }

    pub(crate) fn asked(&self) -> Vec<u8> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(mut stream: UnixStream, asked: Arc<Mutex<Vec<u8>>>) -> std::io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        let mut message = vec![0; length as usize];
        stream.read_exact(&mut message).await?;
        asked.lock().unwrap().push(message[0]);
        // No identities.
        stream.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]).await?;
    }
}

/// A directory listed by hand.
#[derive(Default)]
pub(crate) struct Listing {
    entries: Vec<SyncEntry>,
    contents: Vec<String>,
}

impl Listing {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn file(self, path: &str, content: &str, mode: u32) -> Self {
        self.with(path, SyncKind::File, mode, content, content.len())
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Self {
        self.with(path, SyncKind::Directory, mode, "", 0)
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        let target = Path::new(target).to_owned();
        self.with(path, SyncKind::Symlink { target }, 0o777, "", 0)
    }

    /// A file that has more in it than was listed.
    pub(crate) fn growing(self, path: &str) -> Self {
        self.with(path, SyncKind::File, 0o644, "12345", 4)
    }

    fn with(mut self, path: &str, kind: SyncKind, mode: u32, content: &str, size: usize) -> Self {
        self.entries.push(SyncEntry {
            path: path.into(),
            kind,
            mode,
            size: size as u64,
            modified: time(0),
        });
        self.contents.push(content.to_owned());
        self
    }
}

impl SyncSource for Listing {
    fn entries(&self) -> Result<Arc<[SyncEntry]>> {
        Ok(self.entries.clone().into())
    }

    fn open(&self, index: usize) -> Result<Box<dyn Read + Send>> {
        let content = self.contents.get(index).cloned();
        let content = content.ok_or_else(|| Error::new(ErrorKind::Unexpected, "no such file"))?;
        Ok(Box::new(std::io::Cursor::new(content.into_bytes())))
    }
}
