//! Archives of a context: the same files give the same bytes.
//!
//! Entries are sorted, times are the epoch (1980-01-01 in a zip, which knows nothing earlier), owner and
//! group are 0 and have no names, and nothing of the machine gets in. Modes are kept as they are: a
//! set-user-id bit or a missing read permission is part of what the files are. Two clones of a repository
//! therefore have the same archive if they were made under the same umask, because git itself only keeps
//! whether a file is executable.

mod compress;
mod gzip;
mod huffman;
mod ordered;
mod output;
mod tar;
mod zip;

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(super) use self::output::Sink;

use self::compress::SEGMENT;
use self::output::Chunks;
use super::BuildContext;
use super::entry::{ContextEntry, EntryKind};
use super::scan::ContextTotals;
use crate::event::{ContextProgress, Warning};
use crate::{Error, ErrorKind, Result};

/// How many bytes of content lie between two reports of progress, at least.
const PROGRESS_STEP: u64 = 1 << 20;

/// The format of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ArchiveFormat {
    /// POSIX tar, with PAX records where a value does not fit the header.
    #[serde(rename = "tar")]
    Tar,
    /// The same as gzip: at level 6, but for what gets no smaller by looking for repetitions.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// Zip with Unix modes and links, compressed as a `tar.gz` is, zip64 where it is needed.
    #[serde(rename = "zip")]
    Zip,
}

impl ArchiveFormat {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Tar, Self::TarGz, Self::Zip];

    /// The name, which is also the usual end of a file name: `tar`, `tar.gz`, `zip`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
            Self::Zip => "zip",
        }
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Tar => "application/x-tar",
            Self::TarGz => "application/gzip",
            Self::Zip => "application/zip",
        }
    }
}

impl fmt::Display for ArchiveFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ArchiveFormat {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for anything that is not the [`name`](ArchiveFormat::name) of a format.
    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("{name} is no archive format"))
                .with_hint("The formats are tar, tar.gz and zip.")
        })
    }
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveSummary {
    /// Files, directories and links.
    pub entries: u64,
    /// Files.
    pub files: u64,
    /// The sizes of all files in bytes.
    pub content_bytes: u64,
    /// The size of the archive in bytes.
    pub archive_bytes: u64,
    /// What is odd about the context, as in [`ContextScan::warnings`](super::ContextScan::warnings).
    pub warnings: Vec<Warning>,
}

impl BuildContext {
    /// Writes an archive of [`archive_entries`](Self::archive_entries), reading the files as it goes: memory is
    /// needed for the list of entries, not for what is in them.
    ///
    /// Compressed formats use as many threads as there are cores, 16 at most, and a few MiB of memory for each; the
    /// bytes do not depend on their number.
    ///
    /// `progress` is told the bytes of content that are in the archive so far and the sum they will come to,
    /// whatever the format: at the start, then every MiB or so, and at the end.
    ///
    /// # Errors
    ///
    /// * Those of [`archive_entries`](Self::archive_entries).
    /// * [`ErrorKind::Conflict`] if a file changes, grows, shrinks or vanishes, [`ErrorKind::Io`] if it cannot
    ///   be read; the path is named.
    /// * [`ErrorKind::Io`] or [`ErrorKind::ResourceExhausted`] if `out` fails.
    ///
    /// After an error `out` holds a part of an archive that no program takes for a complete one.
    pub fn write_archive(
        &self,
        format: ArchiveFormat,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(ContextProgress),
    ) -> Result<ArchiveSummary> {
        let (entries, warnings) = self.archive_scan_until(&|| false)?;
        let mut out = out;
        let summary = write(&entries, format, &mut out, progress)?;
        out.flush().map_err(write_failed)?;
        Ok(ArchiveSummary { warnings, ..summary })
    }
}

/// How a format lays out its entries.
trait Layout {
    /// Called for each entry first.
    fn begin(&mut self, entry: &ContextEntry) -> io::Result<()>;

    /// Called for the content of a file, in pieces, exactly [`ContextEntry::size`] bytes in all. Each but the last is
    /// as large as a segment. It may take the memory, too; what it leaves there is used again.
    fn content(&mut self, piece: &mut Vec<u8>) -> io::Result<()>;

    /// Called for each entry last.
    fn end(&mut self) -> io::Result<()>;

    /// Called once, after all entries; without it the archive is incomplete.
    fn finish(&mut self) -> io::Result<()>;
}

/// Writes an archive of these entries.
pub(super) fn write(
    entries: &[ContextEntry],
    format: ArchiveFormat,
    sink: &mut dyn Sink,
    progress: &mut dyn FnMut(ContextProgress),
) -> Result<ArchiveSummary> {
    let mut out = Chunks::new(sink);
    let totals = ContextTotals::of(entries);
    let mut meter = Meter::new(totals.bytes, progress);
    match format {
        ArchiveFormat::Tar => write_entries(entries, &mut tar::Tar::new(&mut out), &mut meter)?,
        ArchiveFormat::TarGz => {
            let mut gzip = gzip::Gzip::new(&mut out);
            write_entries(entries, &mut tar::Tar::new(&mut gzip), &mut meter)?;
            gzip.finish().map_err(write_failed)?;
        }
        ArchiveFormat::Zip => write_entries(entries, &mut zip::Zip::new(&mut out), &mut meter)?,
    }
    let archive_bytes = out.finish().map_err(write_failed)?;
    meter.done();
    Ok(ArchiveSummary {
        entries: entries.len() as u64,
        files: totals.files,
        content_bytes: totals.bytes,
        archive_bytes,
        warnings: Vec::new(),
    })
}

fn write_entries(entries: &[ContextEntry], layout: &mut dyn Layout, meter: &mut Meter<'_>) -> Result<()> {
    let mut piece = Vec::new();
    for entry in entries {
        layout.begin(entry).map_err(write_failed)?;
        if entry.kind == EntryKind::File {
            copy(entry, layout, &mut piece, meter)?;
        }
        layout.end().map_err(write_failed)?;
    }
    layout.finish().map_err(write_failed)
}

fn copy(
    entry: &ContextEntry,
    layout: &mut dyn Layout,
    piece: &mut Vec<u8>,
    meter: &mut Meter<'_>,
) -> Result<()> {
    let mut content = entry.open()?;
    let mut read = 0;
    loop {
        // One more than there should be, so that the end is met, and a file that has grown.
        let rest = usize::try_from(entry.size.saturating_sub(read)).unwrap_or(usize::MAX);
        let wanted = rest.saturating_add(1).min(SEGMENT);
        piece.resize(wanted, 0);
        let length = fill(&mut content, piece).map_err(read_error)?;
        piece.truncate(length);
        read += length as u64;
        layout.content(piece).map_err(write_failed)?;
        meter.advance(length as u64);
        if length < wanted {
            break;
        }
    }
    meter.files += 1;
    Ok(())
}

/// Fills the buffer unless the content ends: how a compressor sees it must not depend on what the system
/// gives at a time.
fn fill(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What [`ContextEntry::open`] put into the I/O error.
fn read_error(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(source) => {
            Error::new(ErrorKind::Io, "a part of the build context cannot be read").with_source(source)
        }
    }
}

fn write_failed(source: io::Error) -> Error {
    let (kind, hint) = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            ErrorKind::ResourceExhausted,
            "Make room where the archive is written to.",
        ),
        io::ErrorKind::BrokenPipe => (ErrorKind::Io, "Whoever reads the archive went away; see why."),
        _ => (
            ErrorKind::Io,
            "See whether the place where the archive goes can be written to.",
        ),
    };
    Error::new(kind, "the archive of the build context could not be written")
        .with_source(source)
        .with_hint(hint)
}

/// Reports progress, now and then.
struct Meter<'a> {
    progress: &'a mut dyn FnMut(ContextProgress),
    total: u64,
    bytes: u64,
    files: u64,
    reported: u64,
}

impl<'a> Meter<'a> {
    fn new(total: u64, progress: &'a mut dyn FnMut(ContextProgress)) -> Self {
        let mut meter = Self {
            progress,
            total,
            bytes: 0,
            files: 0,
            reported: 0,
        };
        meter.report(false);
        meter
    }

    fn advance(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes - self.reported >= PROGRESS_STEP {
            self.report(false);
        }
    }

    fn report(&mut self, done: bool) {
        self.reported = self.bytes;
        (self.progress)(ContextProgress {
            bytes: self.bytes,
            total_bytes: Some(self.total),
            files: self.files,
            done,
        });
    }

    fn done(&mut self) {
        self.report(true);
    }
}

#[cfg(test)]
mod tests;
