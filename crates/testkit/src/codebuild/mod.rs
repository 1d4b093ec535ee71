//! A CodeBuild that really builds, in front of a server that plays the rest of AWS.
//!
//! It answers `StartBuild`, `BatchGetBuilds` and `StopBuild`, and runs what was submitted in a container with a Docker
//! client: it fetches the zip, runs the phases with a POSIX shell, sets `CODEBUILD_*`, collects exported variables.
//! Everything else is handed on to the server behind it, logs among it. It behaves like the real one where that hurts:
//! names of the log are unknown at first, the log comes late, in small pages and with empty ones between, `post_build`
//! runs after a failed `build`, and any call can be made to fail.

mod api;
mod faults;
mod record;
mod runner;
mod server;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

pub use self::faults::Fault;
use self::faults::Faults;
use self::record::Record;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// How long a minute of `timeoutInMinutesOverride` is.
    pub minute: Duration,
    /// Whether `on-failure: ABORT` is known; if not, `post_build` runs after every `build`.
    pub knows_on_failure: bool,
    /// Whether modes and links of the source are kept.
    pub keeps_modes: bool,
    /// The build ends with the status `FAULT`.
    pub has_a_fault: bool,
    /// The source of the first build is deleted before it is fetched.
    pub loses_the_source_once: bool,
    /// How long a log line waits before it can be read.
    pub log_delay: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            minute: Duration::from_secs(60),
            knows_on_failure: true,
            keeps_modes: true,
            has_a_fault: false,
            loses_the_source_once: false,
            log_delay: Duration::from_millis(300),
        }
    }
}

/// The service. It ends with the value; containers of builds that run are removed.
#[derive(Debug)]
pub struct CodeBuild {
    url: String,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

/// What the service's parts share.
#[derive(Debug)]
struct Shared {
    /// The server behind, `http://127.0.0.1:PORT`.
    behind: String,
    /// The service's own address.
    url: Mutex<String>,
    /// The engine that runs the containers, in the form of `DOCKER_HOST`.
    engine: String,
    behaviour: Behaviour,
    faults: Faults,
    builds: Mutex<BTreeMap<String, Record>>,
    /// Every call, by its operation, in order.
    calls: Mutex<Vec<String>>,
    /// How many builds each `BatchGetBuilds` asked for.
    polled: Mutex<Vec<usize>>,
    /// Counts what happens: calls that were answered, changes of builds.
    news: watch::Sender<u64>,
    http: reqwest::Client,
}

impl Shared {
    fn change(&self, build: &str, change: impl FnOnce(&mut Record)) {
        if let Some(record) = lock(&self.builds).get_mut(build) {
            change(record);
        }
        self.tell();
    }

    /// Calls the server behind. It serves many threads with state that is not made for that: what it answers with an
    /// error of its own, or not at all, is asked again, as Amazon's clients do.
    async fn ask(&self, call: reqwest::RequestBuilder) -> reqwest::Result<(reqwest::StatusCode, String)> {
        const ATTEMPTS: usize = 4;
        for _ in 1..ATTEMPTS {
            let Some(attempt) = call.try_clone() else { break };
            if let Ok(answer) = attempt.send().await
                && !answer.status().is_server_error()
                && let (status, Ok(text)) = (answer.status(), answer.text().await)
            {
                return Ok((status, text));
            }
        }
        let answer = call.send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }
}

impl CodeBuild {
    /// Starts the service in front of the server at `behind`.
    ///
    /// # Panics
    ///
    /// When no port can be listened on.
    pub async fn start(behind: &str, engine: &str, behaviour: Behaviour) -> Self {
        // The HTTP client wants one, though it never speaks TLS. That there is one already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shared = Arc::new(Shared {
            behind: behind.trim_end_matches('/').to_owned(),
            url: Mutex::default(),
            engine: engine.to_owned(),
            behaviour,
            faults: Faults::default(),
            builds: Mutex::default(),
            calls: Mutex::default(),
            polled: Mutex::default(),
            news: watch::Sender::default(),
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("an HTTP client"),
        });
        let (url, server) = server::start(Arc::clone(&shared)).await;
        lock(&shared.url).clone_from(&url);
        Self { url, shared, server }
    }

    /// Where the service answers: for `endpoint_url`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes a bucket and a project of this name in the server behind.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub async fn make(&self, name: &str) {
        self.s3(reqwest::Method::PUT, name).await;
        let project = serde_json::json!({
            "name": name,
            "source": {"type": "S3", "location": format!("{name}/codebuild")},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {"type": "LINUX_CONTAINER", "image": "image", "computeType": "BUILD_GENERAL1_SMALL"},
            "serviceRole": "arn:aws:iam::123456789012:role/service-role/builds",
        });
        self.behind("CodeBuild_20161006.CreateProject", &project).await;
    }

    /// Calls the server behind, by the value of `x-amz-target`.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn behind(&self, target: &str, call: &Value) -> Value {
        let answer = api::behind(&self.shared, target, call).await;
        assert!(answer.get("__type").is_none(), "{target}: {answer}");
        answer
    }

    /// The keys of a bucket's objects.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub async fn objects(&self, bucket: &str) -> Vec<String> {
        let list = self
            .s3(reqwest::Method::GET, &format!("{bucket}?list-type=2"))
            .await;
        let keys = list
            .split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }

    /// The keys of a bucket's unfinished uploads.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub async fn unfinished_uploads(&self, bucket: &str) -> usize {
        self.s3(reqwest::Method::GET, &format!("{bucket}?uploads"))
            .await
            .matches("<UploadId>")
            .count()
    }

    async fn s3(&self, method: reqwest::Method, path: &str) -> String {
        let call = self
            .shared
            .http
            .request(method, format!("{}/{path}", self.shared.behind));
        let answer = self
            .shared
            .ask(call.header("authorization", api::signature("s3")))
            .await;
        let (status, text) = answer.expect("an answer");
        assert!(status.is_success(), "{path}: {status}: {text}");
        text
    }

    /// From now on, so many calls of an operation fail. Operations are named `StartBuild`, `GetLogEvents`, and for S3
    /// by their method: `s3:PUT`.
    pub fn fail(&self, operation: &str, fault: Fault, times: usize) {
        self.shared.faults.add(operation, fault, times);
    }

    /// From now on, no call fails on purpose.
    pub fn heal(&self) {
        self.shared.faults.clear();
    }

    /// From now on, calls signed with a key that is in use today are refused as expired.
    pub fn expire_keys(&self) {
        self.shared.faults.expire_keys();
    }

    /// The operations that were called, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        lock(&self.shared.calls).clone()
    }

    /// Waits until something holds. Looks again whenever a call was answered or a build changed.
    pub async fn until(&self, holds: impl AsyncFn() -> bool) {
        let mut news = self.shared.news.subscribe();
        while !holds().await {
            // The other end lives as long as this service.
            let _ = news.changed().await;
        }
    }

    /// Waits until an operation was called; see [`fail`](Self::fail) for the names.
    pub async fn called(&self, operation: &str) {
        self.until(async || self.calls().iter().any(|call| call == operation))
            .await;
    }

    /// How many builds each call of `BatchGetBuilds` asked for.
    #[must_use]
    pub fn polled(&self) -> Vec<usize> {
        lock(&self.shared.polled).clone()
    }

    /// The builds as `BatchGetBuilds` tells them, oldest first.
    #[must_use]
    pub fn builds(&self) -> Vec<Value> {
        self.records().iter().map(Record::to_json).collect()
    }

    /// The arguments with which each build was started, oldest first.
    #[must_use]
    pub fn started_with(&self) -> Vec<Value> {
        self.records().into_iter().map(|record| record.call).collect()
    }

    fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = lock(&self.shared.builds).values().cloned().collect();
        records.sort_by(|a, b| a.started.total_cmp(&b.started));
        records
    }
}

impl Drop for CodeBuild {
    fn drop(&mut self) {
        self.server.abort();
        for record in lock(&self.shared.builds).values() {
            runner::kill(&self.shared.engine, &record.container);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
