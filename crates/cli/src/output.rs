//! Standard output: the result and nothing else. A reader that went away is no failure.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write};

use serde::Serialize;
use wharf_core::{Error, Result};

/// How a result is written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people and shells
    #[default]
    Text,
    /// One JSON value
    Json,
}

/// A result that can be shown both ways.
pub trait Shown {
    /// What it is in JSON.
    type Json: Serialize + ?Sized;

    /// Writes it for people.
    ///
    /// # Errors
    /// Whatever writing gives.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;

    /// What it is in JSON.
    fn json(&self) -> &Self::Json;
}

/// Writes a result to standard output.
///
/// # Errors
/// [`Io`](wharf_core::ErrorKind::Io) when standard output cannot be written, for example as the disk is full.
/// A closed pipe is no error: whoever reads has seen enough.
pub fn print(format: Format, result: &impl Shown) -> Result<()> {
    write(|out| match format {
        Format::Text => result.text(out),
        Format::Json => json_line(out, result.json()),
    })
}

/// Writes one line to standard output.
///
/// # Errors
/// As [`print()`].
pub fn line(text: impl Display) -> Result<()> {
    write(|out| writeln!(out, "{text}"))
}

/// Writes to standard output, through a buffer.
///
/// # Errors
/// As [`print()`].
pub fn write(content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = content(&mut out).and_then(|()| out.flush());
    // What is left in the buffer must not be tried again on drop.
    let _ = out.into_parts();
    or_closed(written)
}

/// Writes one JSON value: in lines for a terminal's reader, as all of wharf's JSON results are.
fn json_line(out: &mut dyn Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// What writing to standard output gave, where a closed pipe is no failure.
///
/// # Errors
/// As [`print()`].
pub fn or_closed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::new(
            wharf_core::ErrorKind::Io,
            "could not write to standard output",
        )
        .with_source(error)),
        _ => Ok(()),
    }
}

/// Writes a text to standard error. That nobody reads it is no reason to fail.
pub fn to_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
