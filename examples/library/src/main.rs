//! Builds the image of a directory and prints its name: `wharf-example-library DIRECTORY NAME [--push]`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use wharf::core::builder::BuildRequest;
use wharf::core::event::{BuildEvent, EventSink};
use wharf::core::{BuildContext, Error, ErrorKind, Result};

#[tokio::main]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("error: {}", error.report());
        std::process::exit(1);
    }
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, name, rest @ ..] = arguments.as_slice() else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "the directory and the image's name are missing",
        ));
    };
    let mut request = BuildRequest::new(name.parse()?, BuildContext::new(directory));
    if rest.iter().any(|argument| argument == "--push") {
        request.registry = Some(wharf::registry_of(&request.image)?);
    }
    let builder = wharf::default_image_builder()?;
    let (sink, mut events) = EventSink::channel();
    let show = async {
        while let Some(event) = events.next().await {
            if let BuildEvent::Step(step) = event.event {
                eprintln!("{} {:?}", step.name, step.state);
            }
        }
    };
    let (outcome, ()) = tokio::join!(builder.build(request, sink), show);
    println!("{}", outcome?.reference());
    Ok(())
}
