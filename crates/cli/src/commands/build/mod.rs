//! `wharf build`: from arguments to a request, through a builder, to one line.

pub mod resolve;
pub mod target;

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};
use wharf_core::builder::{BuildOutcome, BuildRequest};
use wharf_core::context::DEFAULT_DOCKERFILE;
use wharf_core::event::{EventSink, Warning};
use wharf_core::{BuildContext, Error, ErrorKind, Result};

use crate::args::{BuildArgs, GlobalArgs};
use crate::atomic_file::AtomicFile;
use crate::display::{self, ProgressMode};
use crate::dockerfile::Dockerfile;
use crate::failure::Failure;
use crate::output::{self, Shown};
use crate::signals::{self, Signals};
use crate::{exit_code, wiring};
use target::Target;

/// Everything that is known before anything is sent.
struct Job {
    request: BuildRequest,
    target: Target,
    dockerfile: Dockerfile,
    metadata: Option<AtomicFile>,
}

/// Builds the image and prints its name.
///
/// # Errors
/// Whatever stood in the way. When a signal stopped the build, the exit code is the signal's.
pub async fn run(global: &GlobalArgs, args: &BuildArgs) -> Result<u8, Failure> {
    let progress = global.progress.for_stderr()?;
    let mut job = prepare(global, args)?;
    let metadata = job.metadata.take();
    let outcome = build(job, progress).await?;
    let result = Outcome::new(&outcome)?;
    if let Some(file) = metadata {
        write_metadata(file, &result.json)?;
    }
    output::print(global.output, &result)?;
    Ok(exit_code::OK)
}

fn prepare(global: &GlobalArgs, args: &BuildArgs) -> Result<Job> {
    resolve::refuse_remote_context(&args.context)?;
    resolve::refuse_what_needs_the_catalog(&args.target)?;
    let (image, tags) = resolve::names(&args.tags)?;
    let options = resolve::options(&args.options, |name| std::env::var(name).ok())?;
    let target = target::target(&args.target, global.host.as_deref(), &image, &wiring::flavors())?;
    let context = super::context::open(&args.context, &args.files);
    // Builders find these out, too, but perhaps only after they have asked an engine.
    let dockerfile = dockerfile(args, &context)?;
    context.ignore_rules()?;
    let metadata = args
        .target
        .metadata_file
        .as_deref()
        .map(AtomicFile::create)
        .transpose()?;
    let request = BuildRequest {
        tags,
        options,
        registry: target.registry.clone(),
        artifact_store: target.stack.artifact_store.clone(),
        ..BuildRequest::new(image, context)
    };
    request.check_names()?;
    Ok(Job {
        request,
        target,
        dockerfile,
        metadata,
    })
}

fn dockerfile(args: &BuildArgs, context: &BuildContext) -> Result<Dockerfile> {
    let default = || args.context.join(DEFAULT_DOCKERFILE);
    let path = args.files.dockerfile.clone().unwrap_or_else(default);
    Ok(Dockerfile {
        name: path.strip_prefix(".").unwrap_or(&path).display().to_string(),
        content: String::from_utf8_lossy(&context.dockerfile()?.content).into_owned(),
    })
}

async fn build(job: Job, progress: ProgressMode) -> Result<BuildOutcome, Failure> {
    let (sink, stream) = EventSink::channel();
    let notices = sink.clone();
    let signals = Signals::listen(move || notices.warn(Warning::new(signals::NOTICE)))?;
    let display = display::Running::start(stream, progress);
    let Job {
        mut request, target, ..
    } = job;
    request.cancel = signals.token();
    let built = build_with(&target, request, sink).await;
    let model = display.finish().await;
    built.map_err(|error| Failure {
        code: signals.code().unwrap_or(exit_code::of(error.kind())),
        error,
        model: Some(Box::new(model)),
        dockerfile: Some(job.dockerfile),
    })
}

async fn build_with(target: &Target, mut request: BuildRequest, sink: EventSink) -> Result<BuildOutcome> {
    request.context = target.builder.adapt_context(request.context)?;
    target.builder.build(request, sink).await
}

/// What is printed: one line, or the outcome with that line in it.
struct Outcome {
    reference: String,
    json: Value,
}

impl Outcome {
    fn new(outcome: &BuildOutcome) -> Result<Self> {
        let reference = outcome.reference();
        let fields = serde_json::to_value(outcome).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "the outcome cannot be written as JSON").with_source(error)
        })?;
        let mut json = json!({ "reference": reference });
        if let (Value::Object(all), Value::Object(fields)) = (&mut json, fields) {
            all.extend(fields);
        }
        Ok(Self { reference, json })
    }
}

impl Shown for Outcome {
    type Json = Value;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.reference)
    }

    fn json(&self) -> &Value {
        &self.json
    }
}

fn write_metadata(mut file: AtomicFile, json: &Value) -> Result<()> {
    let path = Path::new("--metadata-file");
    let text = format!("{json:#}\n");
    let written = file.write_all(text.as_bytes());
    written.map_err(|error| Error::io("could not write the outcome", path, error))?;
    file.keep()
}
