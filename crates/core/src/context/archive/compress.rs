//! Deflate, a segment of the content at a time, each as much as it is worth.
//!
//! Segments know nothing of each other: so they can be compressed at the same time on several threads, and the bytes are
//! the same whatever the number of threads. It costs less than one per cent of the size.
//!
//! Most bytes of a machine-learning project are weights and compressed data. Looking for repetitions in them takes nearly
//! all the time and finds nothing; what can be saved, if anything, is in how often each byte occurs. A sample tells.

use std::io;

use zlib_rs::{Deflate, DeflateFlush};

use super::huffman;

/// How much content is compressed by itself, in bytes.
pub(super) const SEGMENT: usize = 512 << 10;

/// Level 6, the default of gzip itself.
const LEVEL: i32 = 6;
/// The largest window there is.
const WINDOW_BITS: u8 = 15;

/// The pieces that make a sample, evenly spread.
const SAMPLE_PIECES: usize = 4;
const SAMPLE_PIECE: usize = 2 << 10;
/// Below this the sample would be too large a part of the work.
const SMALLEST_SAMPLED: usize = 64 << 10;

/// The most that a stored block can hold.
const STORED_BLOCK: usize = u16::MAX as usize;

/// A part of a deflate stream that ends on the boundary of a byte.
pub(super) struct Segment {
    pub(super) compressed: Vec<u8>,
    /// Of the content, which is as long as the number of bytes that it has seen.
    pub(super) checksum: crc32fast::Hasher,
}

/// How a segment is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// By repetitions and by how often each byte occurs: text, programs.
    Repetitions,
    /// Only by how often each byte occurs: weights. As small as with repetitions, and many times as fast.
    Frequencies,
    /// Not at all: what is compressed or encrypted already.
    Stored,
}

/// What compressing takes, to be used again for the next segment.
pub(super) struct Compressor {
    repetitions: Deflate,
    buffer: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Self {
        Self {
            repetitions: Deflate::new(LEVEL, false, WINDOW_BITS),
            buffer: vec![0; 64 << 10],
        }
    }

    /// Compresses a segment; `last` ends the stream.
    pub(super) fn compress(&mut self, content: &[u8], last: bool) -> io::Result<Segment> {
        let compressed = match self.method(content)? {
            Method::Repetitions => self.deflate(content, last)?,
            Method::Frequencies => huffman::compress(content, last),
            Method::Stored => stored(content, last),
        };
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(content);
        Ok(Segment { compressed, checksum })
    }

    /// Repetitions must save a sixteenth more than frequencies do, and frequencies one thirty-second: what is
    /// less is not worth the time of the machines at both ends.
    fn method(&mut self, content: &[u8]) -> io::Result<Method> {
        if content.len() < SMALLEST_SAMPLED {
            return Ok(Method::Repetitions);
        }
        let sample = sample(content);
        let repetitions = self.deflate(&sample, true)?.len();
        let frequencies = huffman::compress(&sample, true).len();
        Ok(if repetitions * 16 < frequencies * 15 {
            Method::Repetitions
        } else if frequencies * 32 < sample.len() * 31 {
            Method::Frequencies
        } else {
            Method::Stored
        })
    }

    fn deflate(&mut self, content: &[u8], last: bool) -> io::Result<Vec<u8>> {
        let flush = match last {
            true => DeflateFlush::Finish,
            false => DeflateFlush::SyncFlush,
        };
        let deflate = &mut self.repetitions;
        deflate.reset();
        let mut compressed = Vec::new();
        loop {
            // Fewer bytes than there are, both ways: these are lengths of slices.
            let taken = deflate.total_in() as usize;
            let before = deflate.total_out();
            deflate
                .compress(&content[taken..], &mut self.buffer, flush)
                .map_err(|error| io::Error::other(error.as_str()))?;
            let given = (deflate.total_out() - before) as usize;
            compressed.extend_from_slice(&self.buffer[..given]);
            if given < self.buffer.len() {
                return Ok(compressed);
            }
        }
    }
}

fn sample(content: &[u8]) -> Vec<u8> {
    let step = (content.len() - SAMPLE_PIECE) / (SAMPLE_PIECES - 1);
    (0..SAMPLE_PIECES)
        .flat_map(|number| &content[number * step..][..SAMPLE_PIECE])
        .copied()
        .collect()
}

/// Stored blocks, RFC 1951, 3.2.4. They begin and end on the boundary of a byte when the segment before did.
fn stored(content: &[u8], last: bool) -> Vec<u8> {
    let mut blocks = content.chunks(STORED_BLOCK).peekable();
    let mut out = Vec::with_capacity(content.len() + 5 * (content.len() / STORED_BLOCK + 1));
    while let Some(block) = blocks.next() {
        // No block is longer than fits.
        let length = block.len() as u16;
        out.push(u8::from(last && blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Xorshift: the same noise everywhere.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn text(length: usize) -> Vec<u8> {
        let words = ["import", "tensor", "loss", "=", "(", ")", ":\n    "];
        let text = noise(length)
            .into_iter()
            .flat_map(|byte| words[usize::from(byte) % words.len()].bytes());
        text.take(length).collect()
    }

    fn weights(length: usize) -> Vec<u8> {
        let halves = noise(length).into_iter().enumerate();
        halves
            .map(|(at, byte)| if at % 2 == 0 { byte } else { 0x3c | (byte & 3) })
            .collect()
    }

    fn inflate(compressed: &[u8], size: usize) -> Vec<u8> {
        let mut content = vec![0; size + 1];
        let mut inflate = zlib_rs::Inflate::new(false, 15);
        let status = inflate
            .decompress(compressed, &mut content, zlib_rs::InflateFlush::Finish)
            .unwrap();
        assert_eq!(status, zlib_rs::Status::StreamEnd);
        assert_eq!(inflate.total_in(), compressed.len() as u64);
        content.truncate(inflate.total_out() as usize);
        content
    }

    #[test]
    fn each_content_is_compressed_as_it_is_worth() {
        let mut compressor = Compressor::new();
        let expected = [
            (text(SEGMENT), Method::Repetitions, 40),
            (weights(SEGMENT), Method::Frequencies, 76),
            (noise(SEGMENT), Method::Stored, 101),
            (noise(100), Method::Repetitions, 110),
        ];
        for (content, method, per_cent) in expected {
            assert_eq!(compressor.method(&content).unwrap(), method);
            let size = compressor.compress(&content, true).unwrap().compressed.len();
            assert!(
                size * 100 <= content.len() * per_cent,
                "{method:?}: {size} of {}",
                content.len()
            );
        }
    }

    #[test]
    fn segments_of_every_method_make_one_stream() {
        let mut compressor = Compressor::new();
        let parts = [
            noise(SEGMENT),
            text(SEGMENT),
            weights(SEGMENT),
            noise(3 * STORED_BLOCK),
            Vec::new(),
            text(10),
            noise(STORED_BLOCK),
        ];
        for end in 1..=parts.len() {
            let (mut stream, mut checksum) = (Vec::new(), crc32fast::Hasher::new());
            for (at, part) in parts[..end].iter().enumerate() {
                let segment = compressor.compress(part, at + 1 == end).unwrap();
                stream.extend(segment.compressed);
                checksum.combine(&segment.checksum);
            }
            let content = parts[..end].concat();
            assert!(inflate(&stream, content.len()) == content, "{end} parts");
            assert_eq!(checksum.finalize(), crc32fast::hash(&content));
        }
    }
}
