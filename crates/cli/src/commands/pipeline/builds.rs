//! `wharf pipeline builds`: what was built.

use std::io::{self, Write};
use std::path::Path;

use wharf::pipeline::gather::source_root;
use wharf::pipeline::records::{BuildRecord, BuildRecords, FileRecords};
use wharf_core::{Error, Result};

use crate::args::{BuildsCommand, GlobalArgs};
use crate::exit_code;
use crate::failure::Failure;
use crate::output::{self, Shown};

/// How many digits of an id are shown in a list.
const SHORT_ID: usize = 12;

pub(super) fn run(global: &GlobalArgs, command: &BuildsCommand) -> Result<u8, Failure> {
    let records = records_here()?;
    match command {
        BuildsCommand::List => output::print(global.output, &List(records.list()?))?,
        BuildsCommand::Describe(args) => output::print(global.output, &One(records.get(&args.id)?))?,
        BuildsCommand::Delete(args) => output::print(global.output, &Deleted(records.delete(&args.id)?))?,
    }
    Ok(exit_code::OK)
}

fn records_here() -> Result<FileRecords> {
    let current = std::env::current_dir()
        .map_err(|source| Error::io("there is no current directory", Path::new("."), source))?;
    let root = source_root::source_root(&current, Path::new("pipeline.yaml"))?;
    Ok(FileRecords::of_source_root(&root))
}

struct List(Vec<BuildRecord>);

impl Shown for List {
    type Json = [BuildRecord];

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.iter().try_for_each(|record| {
            let created = record.created.strftime("%Y-%m-%d %H:%M:%S UTC");
            let id = record.id.get(..SHORT_ID).unwrap_or(&record.id);
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
            writeln!(out, "{key}\t{}", image.reference)?;
        }
        Ok(())
    }

    fn json(&self) -> &BuildRecord {
        &self.0
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
