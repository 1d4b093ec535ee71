//! `wharf pipeline build`: builds the images of a pipeline, or reuses those there are.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use wharf::pipeline::records::{BuildRecord, BuildRecords};
use wharf::pipeline::{ImageOrder, ImageRequest, PipelineFile, PipelinePlan};
use wharf_core::Error;
use wharf_core::event::{EventSink, Warning};

use super::plan::{self, Workplace};
use crate::args::GlobalArgs;
use crate::args::pipeline::PipelineBuildArgs;
use crate::display;
use crate::dockerfile::Dockerfile;
use crate::exit_code;
use crate::failure::Failure;
use crate::output::{self, Shown};
use crate::signals::{self, Signals};

pub(super) async fn run(global: &GlobalArgs, args: &PipelineBuildArgs) -> Result<u8, Failure> {
    let progress = global.progress.for_stderr()?;
    let file = plan::read(&args.plan)?;
    let named = args.build.as_ref().or(file.build.as_ref());
    if let Some(id) = named.filter(|_| !args.no_reuse) {
        return use_build(global, args, &file, id).await;
    }
    let place = Workplace::new(global, &args.plan)?;
    let mut order = ImageOrder {
        jobs: args.jobs,
        reuse: !args.no_reuse,
        ..place.order(&file, &args.plan)
    };
    order.probe().await?;
    let plan = plan::plan_of(&file, &order)?;
    let (sink, stream) = EventSink::channel();
    let notices = sink.clone();
    let signals = Signals::listen(move || notices.warn(Warning::new(signals::NOTICE)))?;
    order.cancel = signals.token();
    let display = display::Running::start(stream, progress);
    let delivered = order.deliver_plan(&plan, &sink).await;
    drop(sink);
    let model = display.finish().await;
    let delivery = delivered.map_err(|error| Failure {
        code: signals.code().unwrap_or(exit_code::of(error.kind())),
        dockerfile: dockerfile_of(&plan, &error),
        error,
        model: Some(Box::new(model)),
    })?;
    output::print(global.output, &Built::of(&delivery.record))?;
    Ok(exit_code::OK)
}

/// The Dockerfile of the image that an error is about.
fn dockerfile_of(plan: &PipelinePlan, error: &Error) -> Option<Dockerfile> {
    let (_, name) = error.context().find(|(fact, _)| *fact == "image")?;
    let image = plan.images.iter().find(|image| image.image == name)?;
    Some(Dockerfile {
        name: format!("the Dockerfile of {name}"),
        content: image.dockerfile.clone()?,
    })
}

/// Answers with the images of a build that was. Nothing is planned: the settings do not matter.
async fn use_build(
    global: &GlobalArgs,
    args: &PipelineBuildArgs,
    file: &PipelineFile,
    id: &str,
) -> Result<u8, Failure> {
    let place = Workplace::new(global, &args.plan)?;
    let record = place.records.get(id)?;
    let keys: Vec<String> = file.images().iter().map(ImageRequest::full_key).collect();
    let images = record.images_for(&keys, place.stack.container_registry).await?;
    file.warnings.iter().for_each(|warning| plan::warn(warning));
    if keys.iter().any(|key| record.images[key].contains_code) {
        plan::warn("the images of this build contain code: that code runs, not the local one");
    }
    output::print(
        global.output,
        &Built {
            build: record.id,
            images,
        },
    )?;
    Ok(exit_code::OK)
}

/// The images by key.
#[derive(Serialize)]
struct Built {
    build: String,
    images: BTreeMap<String, String>,
}

impl Built {
    fn of(record: &BuildRecord) -> Self {
        let images = record.images.iter();
        Self {
            build: record.id.clone(),
            images: images
                .map(|(key, image)| (key.clone(), image.reference.clone()))
                .collect(),
        }
    }
}

impl Shown for Built {
    type Json = Self;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.images
            .iter()
            .try_for_each(|(key, reference)| writeln!(out, "{key}\t{reference}"))
    }

    fn json(&self) -> &Self {
        self
    }
}
