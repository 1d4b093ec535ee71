//! Builds with the command `docker`, or `podman` where there is no `docker`.

mod arguments;
mod directory;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use wharf_core::event::{BuildEvent, EventSink, LogLine, Step, StepId, StepState, Stream};
use wharf_core::registry::ContainerRegistry;
use wharf_core::{ArchiveFormat, BuildContext, Error, ErrorKind, ImageReference, Result};

use crate::credentials::Logins;
use crate::engine::EngineChoice;
use crate::plan::BuildPlan;

/// How many lines of output an error repeats.
const TAIL_LINES: usize = 20;

/// The command that builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whether it is Podman's.
    pub(crate) podman: bool,
}

/// The command that is there: `docker`, else `podman`.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when there is neither.
pub(crate) fn find_tool() -> Result<Tool> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| {
        std::env::split_paths(&path)
            .map(|directory| directory.join(name))
            .find(|file| file.is_file())
    };
    let docker = find("docker").map(|path| Tool { path, podman: false });
    docker
        .or_else(|| find("podman").map(|path| Tool { path, podman: true }))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "there is no command `docker` and no command `podman`",
            )
            .with_hint(
                "Install one of them, or leave `use_subprocess_call` out to build through the engine's API.",
            )
        })
}

/// Builds, and returns the image's id.
///
/// Dropping the future kills the command, at which the engine stops the build.
pub(crate) async fn build(
    tool: &Tool,
    choice: &EngineChoice,
    plan: &BuildPlan,
    events: &EventSink,
) -> Result<Option<String>> {
    let scratch = tempfile::tempdir()
        .map_err(|source| Error::io("could not make a directory", &std::env::temp_dir(), source))?;
    let id_file = scratch.path().join("image-id");
    let context = match tool.podman {
        // `podman build -` reads a Dockerfile, not an archive.
        true => Some(directory::write(&plan.context, &scratch.path().join("context")).await?),
        false => None,
    };
    let mut command = command(tool, choice);
    command.arg("build").arg("--iidfile").arg(&id_file);
    command.args(arguments::of(plan, scratch.path())?);
    match &context {
        Some(directory) => command
            .arg("--file")
            .arg(directory.join(&plan.dockerfile.name))
            .arg(directory),
        None => command.arg("--file").arg(&plan.dockerfile.name).arg("-"),
    };
    let archive = context.is_none().then(|| plan.context.clone());
    run(command, "build the image", archive, events).await?;
    Ok(std::fs::read_to_string(&id_file)
        .ok()
        .map(|id| id.trim().to_owned()))
}

/// Pushes with `podman push`. Credentials go through a file that only this user can read.
pub(crate) async fn podman_push(
    tool: &Tool,
    image: &ImageReference,
    registry: &dyn ContainerRegistry,
    logins: &Logins,
    events: &EventSink,
) -> Result<()> {
    let directory = tempfile::tempdir()
        .map_err(|source| Error::io("could not make a directory", &std::env::temp_dir(), source))?;
    let auth_file = directory.path().join("auth.json");
    tokio::fs::write(&auth_file, logins.auth_file(image).await?)
        .await
        .map_err(|source| Error::io("could not write credentials", &auth_file, source))?;
    let mut command = command(tool, &EngineChoice::default());
    command.arg("push").arg("--authfile").arg(&auth_file);
    if registry.plain_http() {
        command.arg("--tls-verify=false");
    }
    command.arg(image.familiar()).arg(image.to_string());
    run(command, "push the image", None, events).await
}

fn command(tool: &Tool, choice: &EngineChoice) -> Command {
    let mut command = Command::new(&tool.path);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(host) = &choice.host {
        command
            .arg(if tool.podman { "--url" } else { "--host" })
            .arg(host);
    } else if let (Some(context), false) = (&choice.context, tool.podman) {
        command.arg("--context").arg(context);
    }
    command
}

async fn run(
    mut command: Command,
    what: &str,
    archive: Option<BuildContext>,
    events: &EventSink,
) -> Result<()> {
    let program = Path::new(command.as_std().get_program()).display().to_string();
    let mut step = Step {
        id: StepId::new(what),
        name: format!("{program}: {what}"),
        state: StepState::Started,
        started: Some(Timestamp::now()),
        completed: None,
    };
    events.send(BuildEvent::Step(step.clone()));
    let child = command.spawn().map_err(|source| {
        Error::new(
            ErrorKind::Unavailable,
            format!("`{program}` could not be started"),
        )
        .with_source(source)
    })?;
    let result = follow(child, archive, &step.id, events).await;
    step.completed = Some(Timestamp::now());
    step.state = match &result {
        Ok(()) => StepState::Done,
        Err(error) => StepState::Failed {
            error: error.message().to_owned(),
        },
    };
    events.send(BuildEvent::Step(step));
    result.map_err(|error| error.with_context("command", program))
}

async fn follow(
    mut child: Child,
    archive: Option<BuildContext>,
    step: &StepId,
    events: &EventSink,
) -> Result<()> {
    let (Some(input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Error::new(
            ErrorKind::Unexpected,
            "the command has no standard streams",
        ));
    };
    let (sent, (), tail) = tokio::join!(
        send(input, archive),
        async { drop(lines(output, Stream::Stdout, step, events).await) },
        lines(errors, Stream::Stderr, step, events),
    );
    let status = child.wait().await.map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the command could not be waited for").with_source(source)
    })?;
    if status.success() {
        return sent;
    }
    // A context that could not be read makes the command fail as well, and is the real reason.
    sent?;
    let message = match tail.is_empty() {
        true => format!("the command ended with {status}"),
        false => format!("the command ended with {status}:\n{}", tail.join("\n")),
    };
    Err(crate::error::from_message(&message, ErrorKind::BuildFailed).with_context("step", step.0.clone()))
}

async fn send(mut input: ChildStdin, archive: Option<BuildContext>) -> Result<()> {
    let Some(context) = archive else { return Ok(()) };
    let mut chunks = std::pin::pin!(context.stream_archive(ArchiveFormat::Tar));
    while let Some(chunk) = chunks.next().await {
        // A command that reads no more has failed; it says itself why.
        if input.write_all(&chunk?).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Passes output on as events, and returns its last lines.
async fn lines(
    output: impl AsyncRead + Unpin,
    stream: Stream,
    step: &StepId,
    events: &EventSink,
) -> Vec<String> {
    let mut reader = BufReader::new(output);
    let mut tail = std::collections::VecDeque::new();
    let mut bytes = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut bytes).await {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line.clone());
        events.send(BuildEvent::Log(LogLine {
            step: Some(step.clone()),
            stream,
            line,
        }));
    }
    tail.into()
}
