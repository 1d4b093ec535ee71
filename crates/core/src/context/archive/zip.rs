//! Zip, written from front to back: sizes and checksums of compressed files follow their data.
//!
//! Written here because names need not be UTF-8, and because the directory at the end, without which nothing
//! is an archive, must only follow a complete one.

use std::io;
use std::os::unix::ffi::OsStrExt;

use super::Layout;
use super::ordered::{Item, Ordered};
use super::output::Output;
use crate::context::entry::{ContextEntry, EntryKind};

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DATA_DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const ZIP64_END: u32 = 0x0606_4b50;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Sizes and checksum stand behind the data.
const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// The name is UTF-8.
const FLAG_UTF8: u16 = 1 << 11;

const VERSION: u16 = 20;
const VERSION_ZIP64: u16 = 45;
/// The attributes are those of Unix.
const MADE_BY_UNIX: u16 = 3 << 8;

/// 1980-01-01, the earliest date there is; the time is 0.
const DATE: u16 = (1 << 5) | 1;

/// Stands where the number is found in the zip64 field.
const IN_ZIP64: u32 = u32::MAX;

/// From this size on a file is announced as zip64: what does not compress gets a little larger.
const ZIP64_FILE: u64 = 0xf000_0000;

pub(super) struct Zip<W> {
    out: W,
    offset: u64,
    /// The piece of the current file that was given last: it is compressed when it is known whether it ends it.
    content: Vec<u8>,
    queue: Ordered<Mark>,
    /// The entry that is being written; others wait in the queue.
    current: Option<Record>,
    checksum: crc32fast::Hasher,
    records: Vec<Record>,
}

/// Where an entry begins and ends among the segments.
enum Mark {
    Begin(Box<Record>),
    End,
}

/// What the central directory says about an entry.
struct Record {
    name: Vec<u8>,
    /// Where a link points to; empty for others.
    target: Vec<u8>,
    attributes: u32,
    method: u16,
    checksum: u32,
    size: u64,
    compressed: u64,
    offset: u64,
    /// The local header announced sizes of eight bytes.
    zip64: bool,
}

impl<W: Output> Zip<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            offset: 0,
            content: Vec::new(),
            queue: Ordered::new(),
            current: None,
            checksum: crc32fast::Hasher::new(),
            records: Vec::new(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.offset += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn put_ready(&mut self) -> io::Result<()> {
        while let Some(item) = self.queue.ready()? {
            self.put_item(item)?;
        }
        Ok(())
    }

    fn put_item(&mut self, item: Item<Mark>) -> io::Result<()> {
        match item {
            Item::Mark(Mark::Begin(record)) => self.put_header(*record),
            Item::Mark(Mark::End) => self.put_descriptor(),
            Item::Segment(mut segment) => {
                let size = segment.compressed.len() as u64;
                if let Some(record) = &mut self.current {
                    record.compressed += size;
                }
                self.checksum.combine(&segment.checksum);
                self.offset += size;
                self.out.give(&mut segment.compressed)
            }
        }
    }

    fn put_header(&mut self, mut record: Record) -> io::Result<()> {
        record.offset = self.offset;
        self.put(&record.local_header())?;
        self.put(&record.target)?;
        self.current = Some(record);
        Ok(())
    }

    fn put_descriptor(&mut self) -> io::Result<()> {
        let Some(mut record) = self.current.take() else {
            return Ok(());
        };
        if record.method == DEFLATED {
            record.checksum = std::mem::take(&mut self.checksum).finalize();
            self.put(&record.descriptor())?;
        }
        self.records.push(record);
        Ok(())
    }
}

impl<W: Output> Layout for Zip<W> {
    fn begin(&mut self, entry: &ContextEntry) -> io::Result<()> {
        self.queue.mark(Mark::Begin(Box::new(Record::new(entry)?)));
        self.put_ready()
    }

    fn content(&mut self, piece: &mut Vec<u8>) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.content, std::mem::take(piece));
        if !before.is_empty() {
            self.queue.compress(before, false);
        }
        self.put_ready()
    }

    fn end(&mut self) -> io::Result<()> {
        if !self.content.is_empty() {
            self.queue.compress(std::mem::take(&mut self.content), true);
        }
        self.queue.mark(Mark::End);
        self.put_ready()
    }

    fn finish(&mut self) -> io::Result<()> {
        while let Some(item) = self.queue.rest()? {
            self.put_item(item)?;
        }
        let start = self.offset;
        let records = std::mem::take(&mut self.records);
        for record in &records {
            self.put(&record.central_header())?;
        }
        let end = end_of_archive(records.len() as u64, start, self.offset);
        self.put(&end)
    }
}

impl Record {
    fn new(entry: &ContextEntry) -> io::Result<Self> {
        let target = match &entry.kind {
            EntryKind::Symlink { target } => target.as_os_str().as_bytes(),
            _ => &[],
        };
        let (kind, slash, dos) = match entry.kind {
            EntryKind::File => (0o100_000, "", 0),
            EntryKind::Directory => (0o040_000, "/", 0x10),
            EntryKind::Symlink { .. } => (0o120_000, "", 0),
        };
        let name = [entry.name.as_os_str().as_bytes(), slash.as_bytes()].concat();
        if name.len() > usize::from(u16::MAX) {
            let message = "a name is longer than the 65535 bytes that a zip can hold";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(Self {
            name,
            attributes: ((kind | entry.mode) << 16) | dos,
            method: if entry.size == 0 { STORED } else { DEFLATED },
            checksum: crc32fast::hash(target),
            target: target.to_vec(),
            size: entry.size + target.len() as u64,
            compressed: target.len() as u64,
            offset: 0,
            zip64: entry.size >= ZIP64_FILE,
        })
    }

    /// Version, flags, method, time and date, as both headers have them.
    fn common(&self, zip64: bool) -> Bytes {
        let descriptor = if self.method == DEFLATED {
            FLAG_DESCRIPTOR
        } else {
            0
        };
        let utf8 = if std::str::from_utf8(&self.name).is_ok() {
            FLAG_UTF8
        } else {
            0
        };
        Bytes::default()
            .u16(if zip64 { VERSION_ZIP64 } else { VERSION })
            .u16(descriptor | utf8)
            .u16(self.method)
            .u16(0)
            .u16(DATE)
    }

    fn local_header(&self) -> Vec<u8> {
        let header = Bytes::default()
            .u32(LOCAL_HEADER)
            .bytes(&self.common(self.zip64).0);
        let extra = match self.zip64 {
            true => Bytes::default().u16(1).u16(16).u64(0).u64(0),
            false => Bytes::default(),
        };
        let header = match (self.method, self.zip64) {
            (DEFLATED, true) => header.u32(0).u32(IN_ZIP64).u32(IN_ZIP64),
            (DEFLATED, false) => header.u32(0).u32(0).u32(0),
            _ => header
                .u32(self.checksum)
                .u32(low(self.compressed))
                .u32(low(self.size)),
        };
        header
            .u16(length(&self.name))
            .u16(length(&extra.0))
            .bytes(&self.name)
            .bytes(&extra.0)
            .0
    }

    fn descriptor(&self) -> Vec<u8> {
        let start = Bytes::default().u32(DATA_DESCRIPTOR).u32(self.checksum);
        match self.zip64 {
            true => start.u64(self.compressed).u64(self.size).0,
            false => start.u32(low(self.compressed)).u32(low(self.size)).0,
        }
    }

    fn central_header(&self) -> Vec<u8> {
        let mut large = Bytes::default();
        for number in [self.size, self.compressed, self.offset] {
            if low(number) == IN_ZIP64 {
                large = large.u64(number);
            }
        }
        let extra = match large.0.is_empty() {
            true => large,
            false => Bytes::default().u16(1).u16(length(&large.0)).bytes(&large.0),
        };
        Bytes::default()
            .u32(CENTRAL_HEADER)
            .u16(MADE_BY_UNIX | VERSION_ZIP64)
            .bytes(&self.common(self.zip64 || !extra.0.is_empty()).0)
            .u32(self.checksum)
            .u32(low(self.compressed))
            .u32(low(self.size))
            .u16(length(&self.name))
            .u16(length(&extra.0))
            .u16(0)
            .u16(0)
            .u16(0)
            .u32(self.attributes)
            .u32(low(self.offset))
            .bytes(&self.name)
            .bytes(&extra.0)
            .0
    }
}

/// What follows the central directory, which lies between these two offsets.
fn end_of_archive(entries: u64, start: u64, end: u64) -> Vec<u8> {
    let size = end - start;
    let few = u16::try_from(entries).unwrap_or(u16::MAX);
    let mut out = Bytes::default();
    if few == u16::MAX || low(size) == IN_ZIP64 || low(start) == IN_ZIP64 {
        out = out
            .u32(ZIP64_END)
            .u64(44)
            .u16(MADE_BY_UNIX | VERSION_ZIP64)
            .u16(VERSION_ZIP64)
            .u32(0)
            .u32(0)
            .u64(entries)
            .u64(entries)
            .u64(size)
            .u64(start)
            .u32(ZIP64_LOCATOR)
            .u32(0)
            .u64(end)
            .u32(1);
    }
    out.u32(END)
        .u16(0)
        .u16(0)
        .u16(few)
        .u16(few)
        .u32(low(size))
        .u32(low(start))
        .u16(0)
        .0
}

/// A number for a field of four bytes, or the sign that it stands in the zip64 field.
fn low(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(IN_ZIP64)
}

/// A length that was checked, or is known, to fit.
fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

/// Bytes in little-endian order.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(self, number: u16) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    fn u32(self, number: u32) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    fn u64(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }
}
