//! A gzip stream without time, name or system in its header.
//!
//! Only [`Gzip::finish`] writes the end: a stream that broke off stays broken.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Level 6, the default of gzip itself.
const LEVEL: u32 = 6;

/// Magic number, deflate, no flags, no time, no hint about the level, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

pub(super) struct Gzip<W> {
    out: W,
    deflate: Deflate,
    crc: Crc,
    started: bool,
}

impl<W: Write> Gzip<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            deflate: Deflate::new(),
            crc: Crc::new(),
            started: false,
        }
    }

    fn start(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            self.out.write_all(&HEADER)?;
        }
        Ok(())
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.start()?;
        self.deflate.finish(&mut self.out)?;
        self.out.write_all(&self.crc.sum().to_le_bytes())?;
        self.out.write_all(&self.crc.amount().to_le_bytes())
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.start()?;
        self.crc.update(bytes);
        self.deflate.write(bytes, &mut self.out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Raw deflate, written to wherever it is told.
pub(super) struct Deflate {
    compress: Compress,
    buffer: Vec<u8>,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self {
            compress: Compress::new(Compression::new(LEVEL), false),
            buffer: vec![0; 64 << 10],
        }
    }

    /// Compresses; gives the number of bytes that were written.
    pub(super) fn write(&mut self, mut bytes: &[u8], out: &mut dyn Write) -> io::Result<u64> {
        let mut written = 0;
        while !bytes.is_empty() {
            let (taken, given, _) = self.step(bytes, FlushCompress::None)?;
            out.write_all(&self.buffer[..given])?;
            bytes = &bytes[taken..];
            written += given as u64;
        }
        Ok(written)
    }

    /// Ends the compressed data and gets ready for other data; gives the number of bytes that were written.
    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<u64> {
        let mut written = 0;
        loop {
            let (_, given, status) = self.step(&[], FlushCompress::Finish)?;
            out.write_all(&self.buffer[..given])?;
            written += given as u64;
            if status == Status::StreamEnd {
                self.compress.reset();
                return Ok(written);
            }
        }
    }

    fn step(&mut self, bytes: &[u8], flush: FlushCompress) -> io::Result<(usize, usize, Status)> {
        let (taken, given) = (self.compress.total_in(), self.compress.total_out());
        let status = self
            .compress
            .compress(bytes, &mut self.buffer, flush)
            .map_err(io::Error::other)?;
        // One step takes and gives no more than its two slices hold.
        let moved = |now: u64, before: u64| (now - before) as usize;
        Ok((
            moved(self.compress.total_in(), taken),
            moved(self.compress.total_out(), given),
            status,
        ))
    }
}
