//! Builds the images of a pipeline on the local engine and runs its steps there, one after the other:
//! `wharf-example-orchestrator RUN.yaml`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::path::Path;
use std::process::Command;

use wharf::core::event::{BuildEvent, EventSink, StepState};
use wharf::core::stack::Stack;
use wharf::core::{Error, ErrorKind, Result};
use wharf::pipeline::PipelineFile;
use wharf::pipeline::gather::{StopSignal, surroundings_of_process};
use wharf::pipeline::records::FileRecords;
use wharf_example_orchestrator::{Orchestrator, StepRun};

#[tokio::main]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("error: {}", error.report());
        std::process::exit(1);
    }
}

async fn run() -> Result<()> {
    let file = std::env::args().nth(1).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "the pipeline's file is missing")
            .with_hint("Try examples/orchestrator/pipeline/run.yaml.")
    })?;
    let path = Path::new(&file);
    let pipeline = PipelineFile::read(path, &|name| std::env::var(name).ok())?;
    let surroundings = surroundings_of_process(path, StopSignal::default())?;
    let records = FileRecords::of_source_root(&surroundings.source_root);
    let stack = Stack {
        name: "local".to_owned(),
        image_builder: Some(wharf::default_image_builder()?),
        ..Stack::default()
    };
    let (sink, mut events) = EventSink::channel();
    let show = async {
        while let Some(event) = events.next().await {
            match event.event {
                BuildEvent::Step(step) if step.state != StepState::Started => {
                    eprintln!("{} {:?}", step.name, step.state);
                }
                BuildEvent::Warning(warning) => eprintln!("warning: {}", warning.message),
                _ => {}
            }
        }
    };
    let orchestrator = Orchestrator::new(stack)?;
    let prepare = async move {
        orchestrator
            .prepare(&pipeline, &surroundings, &records, &sink)
            .await
    };
    let (steps, ()) = tokio::join!(prepare, show);
    steps?.iter().try_for_each(run_step)
}

fn run_step(run: &StepRun) -> Result<()> {
    println!("{} runs in {}", run.step, run.image);
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", &run.image]).args(&run.arguments);
    let status = docker
        .status()
        .map_err(|source| Error::new(ErrorKind::NotFound, "docker cannot be started").with_source(source))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::BuildFailed,
            format!("the step `{}` failed: {status}", run.step),
        )),
    }
}
