//! One build, from the connection to the result.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::{
    SolveRequest, SolveResponse, StatusRequest, StatusResponse,
};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use wharf_core::event::EventSink;
use wharf_core::{Error, Result, random_name};

use crate::control::{self, CacheRecord, Worker};
use crate::error::{self, Dockerfile};
use crate::session::serve::{Server, Serving};
use crate::session::{Session, Transferred};
use crate::solve::BuildDefinition;
use crate::status::Translator;
use crate::transport::{Channel, Transport};

/// How long the daemon may take to stop a build, unless told otherwise.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait for more news about a build that has ended.
const NEWS_LIMIT: Duration = Duration::from_secs(5);
/// The same for a build that failed before there was any news: perhaps the daemon never began it.
const NO_NEWS_LIMIT: Duration = Duration::from_millis(500);
/// How the daemon says that it knows no such build, after some seconds of waiting for it.
const NOT_BEGUN: &str = "no such job";
/// A Dockerfile longer than this is not read to find a step in it.
const MAX_DOCKERFILE: u64 = 4 << 20;

/// Builds on a daemon. Cloning is cheap; each call opens connections of its own.
#[derive(Debug, Clone)]
pub struct BuildkitClient {
    transport: Transport,
    cancel_limit: Duration,
}

/// What a build gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SolveOutcome {
    /// What the exporters say about the result.
    pub exporter_response: BTreeMap<String, String>,
    /// What was sent from the build context.
    pub transferred: Transferred,
}

impl SolveOutcome {
    /// The digest of the image's manifest or index. The `moby` exporter of Docker Engine up to 20.10 says the
    /// image's id (the digest of its configuration) here instead.
    #[must_use]
    pub fn image_digest(&self) -> Option<&str> {
        self.exporter_response
            .get("containerimage.digest")
            .map(String::as_str)
    }

    /// The digest of the image's configuration; daemons before BuildKit 0.9 do not say it.
    #[must_use]
    pub fn config_digest(&self) -> Option<&str> {
        self.exporter_response
            .get("containerimage.config.digest")
            .map(String::as_str)
    }
}

impl BuildkitClient {
    /// A client of the daemon at the end of a transport. Nothing is opened yet.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            cancel_limit: CANCEL_LIMIT,
        }
    }

    /// How long a cancelled build waits for the daemon to say that its work has stopped. Default: 10 s.
    #[must_use]
    pub fn with_cancel_limit(mut self, limit: Duration) -> Self {
        self.cancel_limit = limit;
        self
    }

    /// Runs a build to its end and writes what happens into `events`.
    ///
    /// When `cancel` fires the daemon is told to stop, and the call returns as soon as it has, or after the
    /// cancel limit. Dropping the future closes the connections at once, which stops the daemon's work too.
    ///
    /// # Errors
    /// - [`BuildFailed`](wharf_core::ErrorKind::BuildFailed) when an instruction fails; the error's source is a
    ///   [`BuildFailure`](crate::BuildFailure) with the step and its place in the Dockerfile.
    /// - [`Unsupported`](wharf_core::ErrorKind::Unsupported) when the engine has no BuildKit.
    /// - [`Cancelled`](wharf_core::ErrorKind::Cancelled) when `cancel` fired.
    /// - Whatever the session's sources answer, and what the daemon says in other words.
    pub async fn build(
        &self,
        definition: BuildDefinition,
        session: Session,
        events: EventSink,
        cancel: &CancellationToken,
    ) -> Result<SolveOutcome> {
        session.check()?;
        let files = session.clone();
        let name = definition.filename().to_owned();
        let opening = Build::open(&self.transport, definition, session, events.clone());
        let build = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(error::cancelled()),
            build = opening => build?,
        };
        let mut story = Translator::new(events);
        match build.run(&mut story, cancel, self.cancel_limit).await? {
            Ended::Well(outcome) => Ok(outcome),
            Ended::Badly(status) => {
                let read = move || {
                    files
                        .read("dockerfile", &name, MAX_DOCKERFILE)
                        .map(|text| Dockerfile { name, text })
                };
                let dockerfile = tokio::task::spawn_blocking(read).await.ok().flatten();
                Err(error::from_solve(&status, &story, dockerfile))
            }
        }
    }

    /// What runs the daemon's steps.
    ///
    /// # Errors
    /// When the daemon cannot be reached or has no BuildKit.
    pub async fn workers(&self) -> Result<Vec<Worker>> {
        control::workers(&self.transport).await
    }

    /// The version of BuildKit; none from daemons that cannot say it (before BuildKit 0.11).
    ///
    /// # Errors
    /// When the daemon cannot be reached or has no BuildKit.
    pub async fn version(&self) -> Result<Option<String>> {
        control::version(&self.transport).await
    }

    /// What is in the daemon's cache.
    ///
    /// # Errors
    /// When the daemon cannot be reached or has no BuildKit.
    pub async fn disk_usage(&self) -> Result<Vec<CacheRecord>> {
        control::disk_usage(&self.transport).await
    }

    /// Removes what no build uses from the daemon's cache and returns it. `all`: also what belongs to images and
    /// frontends.
    ///
    /// # Errors
    /// When the daemon cannot be reached or has no BuildKit.
    pub async fn prune(&self, all: bool) -> Result<Vec<CacheRecord>> {
        control::prune(&self.transport, all).await
    }
}

type Answer = Result<Response<SolveResponse>, Status>;
type News = BoxStream<'static, Result<StatusResponse, Status>>;

/// A build whose connections are open.
struct Build {
    channel: Channel,
    serving: Serving,
    request: SolveRequest,
}

enum Ended {
    Well(SolveOutcome),
    Badly(Status),
}

impl Build {
    async fn open(
        transport: &Transport,
        definition: BuildDefinition,
        session: Session,
        events: EventSink,
    ) -> Result<Self> {
        let server = Server::new(session, events)?;
        let request = definition.into_request(&random_name(16)?, &server.headers.id)?;
        let channel = transport.control().await?;
        let stream = transport.session(&channel, &server.headers).await?;
        Ok(Self {
            channel,
            serving: server.serve(stream),
            request,
        })
    }

    async fn run(self, story: &mut Translator, cancel: &CancellationToken, limit: Duration) -> Result<Ended> {
        let mut news = news(&self.channel, &self.request.r#ref);
        let mut client = self.channel.client();
        let mut solving: Pin<Box<dyn Future<Output = Answer> + Send>> =
            Box::pin(async move { client.solve(self.request).await });
        let mut answer = None;
        while answer.is_none() {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(told) = news.next() => tell(story, told),
                ended = &mut solving => answer = Some(ended),
            }
        }
        // Without an answer, this is what tells the daemon to stop.
        drop(solving);
        let Some(answer) = answer else {
            let _ = tokio::time::timeout(limit, rest_of(&mut news, story, limit)).await;
            story.finish(true);
            return Err(error::cancelled());
        };
        let never_began = answer.is_err() && story.is_empty();
        let wait = if never_began { NO_NEWS_LIMIT } else { NEWS_LIMIT };
        rest_of(&mut news, story, wait).await;
        story.finish(false);
        conclude(answer, &self.serving)
    }
}

/// What the daemon tells about a build. It waits for the build to begin, but not for ever, so that a daemon with
/// much to do has to be asked again.
fn news(channel: &Channel, build: &str) -> News {
    let mut client = channel.client();
    let request = StatusRequest { r#ref: build.into() };
    let opening = async move {
        let mut answer = client.status(request.clone()).await;
        while answer
            .as_ref()
            .is_err_and(|status| status.message().contains(NOT_BEGUN))
        {
            answer = client.status(request.clone()).await;
        }
        answer.map(Response::into_inner)
    };
    stream::once(opening).try_flatten().fuse().boxed()
}

/// News that cannot be had are no reason to fail: the answer to the build says how it ended.
fn tell(story: &mut Translator, told: Result<StatusResponse, Status>) {
    if let Ok(response) = told {
        story.update(response);
    }
}

/// Tells the news until they end, or none come for a while.
async fn rest_of(news: &mut News, story: &mut Translator, limit: Duration) {
    while let Ok(Some(told)) = tokio::time::timeout(limit, news.next()).await {
        tell(story, told);
    }
}

fn conclude(answer: Answer, serving: &Serving) -> Result<Ended> {
    let status = match answer {
        Ok(response) => {
            return Ok(Ended::Well(SolveOutcome {
                exporter_response: response.into_inner().exporter_response.into_iter().collect(),
                transferred: serving.transferred(),
            }));
        }
        Err(status) => status,
    };
    // The daemon repeats the text of what failed on our side; the error itself knows more.
    match serving.failure() {
        Some(error) if repeats(&status, &error) => Err(error),
        _ => Ok(Ended::Badly(status)),
    }
}

fn repeats(status: &Status, error: &Error) -> bool {
    status.message().contains(error.message())
}
