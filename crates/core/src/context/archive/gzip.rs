//! A gzip stream without time, name or system in its header.
//!
//! Only [`Gzip::finish`] writes the end: a stream that broke off stays broken.

use std::convert::Infallible;
use std::io::{self, Write};

use super::compress::SEGMENT;
use super::ordered::{Item, Ordered};
use super::output::Output;

/// Magic number, deflate, no flags, no time, no hint about the level, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

pub(super) struct Gzip<W> {
    out: W,
    content: Vec<u8>,
    segments: Ordered<Infallible>,
    checksum: crc32fast::Hasher,
    size: u64,
    started: bool,
}

impl<W: Output> Gzip<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            content: Vec::new(),
            segments: Ordered::new(),
            checksum: crc32fast::Hasher::new(),
            size: 0,
            started: false,
        }
    }

    fn start(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            self.out.write_all(&HEADER)?;
        }
        Ok(())
    }

    fn put(&mut self, item: Item<Infallible>) -> io::Result<()> {
        let Item::Segment(mut segment) = item;
        self.checksum.combine(&segment.checksum);
        self.out.give(&mut segment.compressed)
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.start()?;
        self.segments.compress(std::mem::take(&mut self.content), true);
        while let Some(item) = self.segments.rest()? {
            self.put(item)?;
        }
        let checksum = std::mem::take(&mut self.checksum).finalize();
        self.out.write_all(&checksum.to_le_bytes())?;
        // The lower four bytes, as RFC 1952 has it.
        self.out.write_all(&self.size.to_le_bytes()[..4])
    }
}

impl<W: Output> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.start()?;
        if self.content.len() == SEGMENT {
            self.segments.compress(std::mem::take(&mut self.content), false);
            while let Some(item) = self.segments.ready()? {
                self.put(item)?;
            }
        }
        let taken = bytes.len().min(SEGMENT - self.content.len());
        self.content.extend_from_slice(&bytes[..taken]);
        self.size += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Output> Output for Gzip<W> {}
