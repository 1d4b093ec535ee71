//! `wharf pipeline builds`: what was built.

use std::io::{self, Write};
use std::path::Path;

use wharf::pipeline::gather::source_root::source_root_of_process;
use wharf::pipeline::history::short_id;
use wharf::pipeline::records::{BuildRecord, BuildRecords, FileRecords, ImageRecord};

use crate::args::{BuildsCommand, GlobalArgs};
use crate::exit_code;
use crate::failure::Failure;
use crate::output::{self, Shown};

pub(super) fn run(global: &GlobalArgs, command: &BuildsCommand) -> Result<u8, Failure> {
    let records = FileRecords::of_source_root(&source_root_of_process(Path::new("pipeline.yaml"))?);
    match command {
        BuildsCommand::List(args) => {
            let is_wanted = |record: &BuildRecord| {
                let wanted = args.pipeline.as_ref();
                wanted.is_none_or(|name| record.pipeline == *name)
            };
            let list = records.list()?.into_iter().filter(is_wanted).collect();
            output::print(global.output, &List(list))?;
        }
        BuildsCommand::Describe(args) => output::print(global.output, &One(records.get(&args.id)?))?,
        BuildsCommand::Delete(args) => output::print(global.output, &Deleted(records.delete(&args.id)?))?,
    }
    Ok(exit_code::OK)
}

struct List(Vec<BuildRecord>);

impl Shown for List {
    type Json = [BuildRecord];

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.iter().try_for_each(|record| {
            let created = record.created.strftime("%Y-%m-%d %H:%M:%S UTC");
            let id = short_id(&record.id);
            writeln!(
                out,
                "{id}  {created}  {}  {} images, {}",
                record.pipeline,
                record.images.len(),
                record.builder
            )
        })
    }

    fn json(&self) -> &[BuildRecord] {
        &self.0
    }
}

struct One(BuildRecord);

impl Shown for One {
    type Json = BuildRecord;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let record = &self.0;
        writeln!(out, "id        {}", record.id)?;
        writeln!(out, "pipeline  {}", record.pipeline)?;
        writeln!(
            out,
            "created   {}",
            record.created.strftime("%Y-%m-%d %H:%M:%S UTC")
        )?;
        writeln!(out, "took      {} s", record.duration_seconds)?;
        writeln!(out, "builder   {}", record.builder)?;
        let facts = [
            ("stack", &record.stack),
            ("commit", &record.commit),
            ("code", &record.code_archive),
        ];
        for (name, value) in facts {
            value
                .iter()
                .try_for_each(|value| writeln!(out, "{name:9} {value}"))?;
        }
        for (key, image) in &record.images {
            writeln!(out, "\n{key}\t{}", image.reference)?;
            describe(image, out)?;
        }
        Ok(())
    }

    fn json(&self) -> &BuildRecord {
        &self.0
    }
}

/// What is known about an image, below its key.
fn describe(image: &ImageRecord, out: &mut dyn Write) -> io::Result<()> {
    let requirements = image.requirements.as_deref().unwrap_or_default();
    let facts = [
        ("steps", image.steps.join(", ")),
        ("name", image.image.clone()),
        ("parent", image.parent_image.clone().unwrap_or_default()),
        ("key", image.content_key.clone().unwrap_or_default()),
        (
            "packages",
            requirements.lines().map(str::trim).collect::<Vec<_>>().join(", "),
        ),
        ("apt", image.apt_packages.join(", ")),
    ];
    let known = facts.iter().filter(|(_, value)| !value.is_empty());
    known
        .into_iter()
        .try_for_each(|(name, value)| writeln!(out, "  {name:9} {value}"))?;
    match image.contains_code {
        true => writeln!(out, "  contains the code"),
        false => Ok(()),
    }
}

struct Deleted(BuildRecord);

impl Shown for Deleted {
    type Json = BuildRecord;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.0.id)
    }

    fn json(&self) -> &BuildRecord {
        &self.0
    }
}
