//! Deflate, a segment of the content at a time, each as much as it is worth.
//!
//! Segments know nothing of each other: so they can be compressed at the same time on several threads, and the bytes are
//! the same whatever the number of threads. It costs less than one per cent of the size.
//!
//! Most bytes of a machine-learning project are weights and compressed data. Looking for repetitions in them takes nearly
//! all the time and finds nothing; what can be saved, if anything, is in how often each byte occurs. A sample tells.

use std::io;

use zlib_rs::{Deflate, DeflateFlush};

use super::huffman::Codes;

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
enum Method {
    /// By repetitions and by how often each byte occurs: text, programs.
    Repetitions,
    /// Only by how often each byte occurs: weights. As small as with repetitions, and many times as fast.
    Frequencies(Box<Codes>),
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
            Method::Frequencies(codes) => code(&codes, content, last),
            Method::Stored => stored(content, last),
        };
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(content);
        Ok(Segment { compressed, checksum })
    }

    /// Repetitions must save a sixteenth more than frequencies do, and frequencies one thirty-second: what is
    /// less is not worth the time of the machines at both ends.
    fn method(&mut self, content: &[u8]) -> io::Result<Method> {
        if content.len() < SMALLEST_SAMPLED || self.repetitions_are_worth_it(&sample(content))? {
            return Ok(Method::Repetitions);
        }
        let codes = Box::new(Codes::of(content));
        Ok(if codes.expected_size(content.len()) * 32 < content.len() * 31 {
            Method::Frequencies(codes)
        } else {
            Method::Stored
        })
    }

    fn repetitions_are_worth_it(&mut self, sample: &[u8]) -> io::Result<bool> {
        if !repeats(sample) {
            return Ok(false);
        }
        let frequencies = Codes::of(sample).expected_size(sample.len());
        Ok(self.deflate(sample, true)?.len() * 16 < frequencies * 15)
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

/// What was counted may mislead, for not everything is: then the content is stored after all.
fn code(codes: &Codes, content: &[u8], last: bool) -> Vec<u8> {
    let coded = codes.encode(content, last);
    if coded.len() < content.len() {
        coded
    } else {
        stored(content, last)
    }
}

fn sample(content: &[u8]) -> Vec<u8> {
    let step = (content.len() - SAMPLE_PIECE) / (SAMPLE_PIECES - 1);
    (0..SAMPLE_PIECES)
        .flat_map(|number| &content[number * step..][..SAMPLE_PIECE])
        .copied()
        .collect()
}

/// Whether something in the sample may be a repetition that saves enough: where hardly any four bytes come again, zlib
/// finds nothing, and takes ten times as long to say so.
fn repeats(sample: &[u8]) -> bool {
    /// One of so many places must repeat something.
    const PLACES: usize = 64;
    const SLOTS: u32 = 12;
    let mut slots = [0_u32; 1 << SLOTS];
    let mut repeated = 0;
    for four in sample.windows(4) {
        let value = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        // Knuth's multiplicative hash.
        let slot = value.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOTS);
        let before = std::mem::replace(&mut slots[slot as usize], value);
        repeated += usize::from(before == value);
    }
    repeated * PLACES > sample.len()
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
    use super::super::tests::inflate;
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

    fn name(method: &Method) -> &'static str {
        match method {
            Method::Repetitions => "repetitions",
            Method::Frequencies(_) => "frequencies",
            Method::Stored => "stored",
        }
    }

    #[test]
    fn each_content_is_compressed_as_it_is_worth() {
        let mut compressor = Compressor::new();
        let expected = [
            (text(SEGMENT), "repetitions", 40),
            (weights(SEGMENT), "frequencies", 76),
            (noise(SEGMENT), "stored", 101),
            (noise(100), "repetitions", 110),
        ];
        for (content, method, per_cent) in expected {
            assert_eq!(name(&compressor.method(&content).unwrap()), method);
            let size = compressor.compress(&content, true).unwrap().compressed.len();
            assert!(
                size * 100 <= content.len() * per_cent,
                "{method}: {size} of {}",
                content.len()
            );
        }
    }

    /// What is counted is nearly all the same, and the rest is noise.
    #[test]
    fn no_content_gets_larger_than_stored() {
        let mut content = noise(SEGMENT);
        for counted in content.chunks_mut(2039) {
            let length = counted.len().min(256);
            let most = counted[..length]
                .iter_mut()
                .enumerate()
                .filter(|(at, _)| at % 8 > 0);
            most.for_each(|(_, byte)| *byte = 0);
        }
        let mut compressor = Compressor::new();
        assert_eq!(name(&compressor.method(&content).unwrap()), "frequencies");
        let compressed = compressor.compress(&content, true).unwrap().compressed;
        assert!(compressed.len() <= content.len() + 5 * (SEGMENT / STORED_BLOCK + 1));
        assert!(inflate(&compressed, content.len()) == content);
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
