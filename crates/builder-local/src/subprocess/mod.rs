//! Builds with the command `docker`, or `podman` where there is no `docker`.

mod arguments;
mod directory;
mod output;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use wharf_core::event::{EventSink, Stream};
use wharf_core::registry::ContainerRegistry;
use wharf_core::{ArchiveFormat, BuildContext, Error, ErrorKind, ImageReference, Result};

use crate::credentials::Logins;
use crate::engine::EngineChoice;
use crate::plan::BuildPlan;

use self::output::Output;

/// The command that builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Which of the commands it is.
    pub(crate) kind: ToolKind,
}

/// What a command builds with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolKind {
    /// `docker` with buildx: BuildKit.
    Buildx,
    /// `docker` without buildx: the classic builder.
    DockerClassic,
    /// `podman`.
    Podman,
}

/// The command that is there: `docker`, else `podman`.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when there is neither.
pub(crate) async fn find_tool() -> Result<Tool> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| {
        std::env::split_paths(&path)
            .map(|directory| directory.join(name))
            .find(|file| file.is_file())
    };
    if let Some(path) = find("docker") {
        let kind = if has_buildx(&path).await {
            ToolKind::Buildx
        } else {
            ToolKind::DockerClassic
        };
        return Ok(Tool { path, kind });
    }
    let podman = find("podman").map(|path| Tool {
        path,
        kind: ToolKind::Podman,
    });
    podman.ok_or_else(|| {
        Error::new(
            ErrorKind::Unavailable,
            "there is no command `docker` and no command `podman`",
        )
        .with_hint(
            "Install one of them, or leave `use_subprocess_call` out to build through the engine's API.",
        )
    })
}

async fn has_buildx(docker: &Path) -> bool {
    let mut command = Command::new(docker);
    command
        .args(["buildx", "version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .kill_on_drop(true)
        .status()
        .await
        .is_ok_and(|status| status.success())
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
    let context = match tool.kind {
        // `podman build -` reads a Dockerfile, not an archive.
        ToolKind::Podman => Some(directory::write(&plan.context, &scratch.path().join("context")).await?),
        ToolKind::Buildx | ToolKind::DockerClassic => None,
    };
    let mut command = command(tool, choice);
    command.arg("build").arg("--iidfile").arg(&id_file);
    if tool.kind == ToolKind::DockerClassic {
        // Without it, the container of a step that failed stays.
        command.arg("--force-rm");
    }
    command.args(arguments::of(plan, scratch.path())?);
    match &context {
        Some(directory) => command
            .arg("--file")
            .arg(directory.join(&plan.dockerfile.name))
            .arg(directory),
        None => command.arg("--file").arg(&plan.dockerfile.name).arg("-"),
    };
    let archive = context.is_none().then(|| plan.context.clone());
    let output = Output::of_build(tool.kind, plan, events);
    run(command, archive, output).await?;
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
    run(command, None, Output::of_command("podman push", events)).await
}

fn command(tool: &Tool, choice: &EngineChoice) -> Command {
    let mut command = Command::new(&tool.path);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let podman = tool.kind == ToolKind::Podman;
    if let Some(host) = &choice.host {
        command.arg(if podman { "--url" } else { "--host" }).arg(host);
    } else if let (Some(context), false) = (&choice.context, podman) {
        command.arg("--context").arg(context);
    }
    command
}

async fn run(mut command: Command, archive: Option<BuildContext>, output: Output) -> Result<()> {
    let program = Path::new(command.as_std().get_program()).display().to_string();
    let child = command.spawn().map_err(|source| {
        Error::new(
            ErrorKind::Unavailable,
            format!("`{program}` could not be started"),
        )
        .with_source(source)
    })?;
    follow(child, archive, output)
        .await
        .map_err(|error| error.with_context("command", program))
}

async fn follow(mut child: Child, archive: Option<BuildContext>, output: Output) -> Result<()> {
    let (Some(input), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Error::new(
            ErrorKind::Unexpected,
            "the command has no standard streams",
        ));
    };
    let (sent, (), ()) = tokio::join!(
        send(input, archive),
        lines(stdout, |line| output.line(Stream::Stdout, line)),
        lines(stderr, |line| output.line(Stream::Stderr, line)),
    );
    let status = child.wait().await.map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the command could not be waited for").with_source(source)
    })?;
    if status.success() {
        output.succeeded();
        return sent;
    }
    let failure = output.failed(status);
    // A context that could not be read makes the command fail as well, and is the real reason.
    sent?;
    Err(failure)
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

/// Hands on every line of a stream. Bytes that are not UTF-8 are replaced.
async fn lines(stream: impl AsyncRead + Unpin, mut take: impl FnMut(&str)) {
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut bytes).await {
        take(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']));
        bytes.clear();
    }
}
