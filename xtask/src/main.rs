//! Repository tasks: `cargo xtask help` lists them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task talks to the person who started it"
)]

mod bench;
mod cli;
mod features;
mod lint;
mod metadata;
mod process;
mod quickstart;
mod sdk;
mod services;
mod summary;
mod target_dir;
mod test;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words = std::env::args().skip(1).collect::<Vec<_>>();
    match cli::parse(&words).and_then(cli::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
