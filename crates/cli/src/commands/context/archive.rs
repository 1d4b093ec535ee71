//! `wharf context archive`: the context as a file, or on standard output.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wharf_core::context::ArchiveSummary;
use wharf_core::event::{BuildEvent, EventSink, Warning};
use wharf_core::{ArchiveFormat, BuildContext, Error, ErrorKind, Result};

use super::open;
use crate::args::GlobalArgs;
use crate::args::context::{ArchiveArgs, ArchiveKind};
use crate::atomic_file::AtomicFile;
use crate::display::Running;
use crate::exit_code;
use crate::failure::Failure;
use crate::output::{self, Format, Shown};
use crate::signals::{self, Signals};

/// How long a write that is under way may take once the command is to stop.
const GRACE: Duration = Duration::from_millis(500);

/// Writes the archive.
///
/// # Errors
/// Whatever stood in the way; nothing is left of a file that could not be finished.
pub(super) async fn run(global: &GlobalArgs, args: &ArchiveArgs) -> Result<u8, Failure> {
    let progress = global.progress.for_stderr()?;
    let out = Out::open(&args.out, global.output)?;
    let context = open(&args.context.root, &args.context.files);
    let (sink, stream) = EventSink::channel();
    let notices = sink.clone();
    let signals = Signals::listen(move || notices.warn(Warning::new(signals::NOTICE)))?;
    let display = Running::start(stream, progress);
    let (format, token) = (archive_format(args.format), signals.token());
    let stuck = stuck(token.clone());
    let writing = tokio::task::spawn_blocking(move || write(&context, format, out, &sink, &token));
    let written = tokio::select! {
        written = writing => written.unwrap_or_else(|error| Err(panicked(error))),
        () = stuck => Err(cancelled()),
    };
    display.finish().await;
    let summary = written.map_err(|error| Failure {
        code: signals.code().unwrap_or(exit_code::of(error.kind())),
        ..error.into()
    })?;
    match summary {
        Some(summary) if global.output == Format::Json => {
            output::print(global.output, &Written::new(args, &summary))?;
        }
        _ => {}
    }
    Ok(exit_code::OK)
}

/// Ends some time after the token fired: a pipe that nobody reads would hold up the end for ever.
async fn stuck(token: CancellationToken) {
    token.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

fn cancelled() -> Error {
    Error::cancelled("writing the archive")
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unexpected, "writing the archive went wrong").with_source(error)
}

fn archive_format(kind: ArchiveKind) -> ArchiveFormat {
    match kind {
        ArchiveKind::Tar => ArchiveFormat::Tar,
        ArchiveKind::TarGz => ArchiveFormat::TarGz,
        ArchiveKind::Zip => ArchiveFormat::Zip,
    }
}

/// Where the archive goes.
enum Out {
    File(AtomicFile),
    Stdout(File),
}

impl Out {
    fn open(path: &Path, format: Format) -> Result<Self> {
        if path != Path::new("-") {
            return AtomicFile::create(path).map(Self::File);
        }
        let refused =
            |message: &str, hint: &str| Err(Error::new(ErrorKind::InvalidInput, message).with_hint(hint));
        if format == Format::Json {
            return refused(
                "--output json and the archive cannot both have standard output",
                "Write the archive to a file, or leave --output json out.",
            );
        }
        if io::stdout().is_terminal() {
            return refused(
                "an archive is nothing for a terminal",
                "Write it to a file with -o FILE, or into a pipe.",
            );
        }
        // Not through the line buffer of the standard library, which would look for line ends in it.
        let stdout = io::stdout().as_fd().try_clone_to_owned();
        let stdout = stdout.map_err(|error| Error::io("standard output is closed", path, error))?;
        Ok(Self::Stdout(stdout.into()))
    }
}

/// Writes the archive; nothing comes back when whoever reads it from standard output went away.
fn write(
    context: &BuildContext,
    format: ArchiveFormat,
    out: Out,
    events: &EventSink,
    cancel: &CancellationToken,
) -> Result<Option<ArchiveSummary>> {
    let mut progress = |progress| events.send(BuildEvent::Context(progress));
    let mut closed = false;
    let mut into = |out: &mut dyn Write| {
        let mut out = Watched {
            out,
            cancel,
            closed: &mut closed,
        };
        context.write_archive(format, &mut out, &mut progress)
    };
    let (written, to_stdout) = match out {
        Out::Stdout(mut file) => (into(&mut file), true),
        Out::File(mut file) => {
            let written = into(&mut file);
            (written.and_then(|summary| file.keep().map(|()| summary)), false)
        }
    };
    match written {
        Ok(summary) => {
            let warnings = summary.warnings.iter().cloned();
            warnings.for_each(|warning| events.warn(warning));
            Ok(Some(summary))
        }
        Err(_) if closed && to_stdout => Ok(None),
        Err(error) if cancel.is_cancelled() => Err(cancelled().with_source(error)),
        Err(error) => Err(error),
    }
}

/// Ends writing with an error once the token fires, and notes when a reader went away.
struct Watched<'a> {
    out: &'a mut dyn Write,
    cancel: &'a CancellationToken,
    closed: &'a mut bool,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let written = self.out.write(bytes);
        let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        *self.closed |= written.as_ref().err().is_some_and(is_closed);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What was written, for `--output json`.
struct Written(Value);

impl Written {
    fn new(args: &ArchiveArgs, summary: &ArchiveSummary) -> Self {
        let format = match args.format {
            ArchiveKind::Tar => "tar",
            ArchiveKind::TarGz => "tar.gz",
            ArchiveKind::Zip => "zip",
        };
        let path = args.out.display().to_string();
        let mut value = json!({ "path": path, "format": format });
        value["bytes"] = summary.archive_bytes.into();
        value["files"] = summary.files.into();
        Self(value)
    }
}

impl Shown for Written {
    type Json = Value;

    fn text(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn json(&self) -> &Value {
        &self.0
    }
}
