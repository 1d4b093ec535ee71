//! Deflate without a search for repetitions: each byte gets a code that is the shorter the more often it occurs.
//!
//! Written here because libraries that offer this do it a symbol at a time, on the way made for repetitions, and it is the
//! part of an archive that takes longest when its content is weights.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How much content shares its codes, in bytes: their description is about 150 bytes.
const BLOCK: usize = 128 << 10;

/// All bytes, and the end of a block.
const SYMBOLS: usize = 257;
const END: usize = 256;

/// The longest code. Deflate allows 15; this way four codes and the bits before them fit eight bytes.
const LONGEST: usize = 12;
const CODES_AT_ONCE: usize = 4;

const DYNAMIC_CODES: u64 = 2;

/// The order in which RFC 1951 wants the lengths of the codes for lengths: 16, 17 and 18 come first, which are not used.
const UNUSED_LENGTH_CODES: u32 = 3;
const LENGTH_CODES: u32 = 19;

/// Content as deflate, up to the boundary of a byte; `last` ends the stream.
pub(super) fn compress(content: &[u8], last: bool) -> Vec<u8> {
    let mut out = Bits::with_capacity(content.len());
    let mut blocks = content.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        write_block(&mut out, block, last && blocks.peek().is_none());
    }
    if last {
        out.finish()
    } else {
        out.finish_with_empty_block()
    }
}

fn write_block(out: &mut Bits, block: &[u8], last: bool) {
    let lengths = code_lengths(&frequencies(block));
    let codes = codes(&lengths);
    out.put(u64::from(last) | DYNAMIC_CODES << 1, 3);
    write_lengths(out, &lengths);
    out.put_codes(block, &codes);
    out.put_code(codes[END]);
}

/// Several counters, so that equal neighbours do not wait for each other.
fn frequencies(block: &[u8]) -> [u32; SYMBOLS] {
    let mut lanes = [[0_u32; 256]; 4];
    let mut groups = block.chunks_exact(4);
    for group in &mut groups {
        for (lane, byte) in lanes.iter_mut().zip(group) {
            lane[usize::from(*byte)] += 1;
        }
    }
    for byte in groups.remainder() {
        lanes[0][usize::from(*byte)] += 1;
    }
    let mut sums = [0; SYMBOLS];
    for (at, sum) in sums[..END].iter_mut().enumerate() {
        *sum = lanes.iter().map(|lane| lane[at]).sum();
    }
    sums[END] = 1;
    sums
}

/// How long each symbol's code is; 0 for those that do not occur. At least two do: a byte, and the end.
fn code_lengths(frequencies: &[u32; SYMBOLS]) -> [u8; SYMBOLS] {
    let mut symbols: Vec<usize> = (0..SYMBOLS).filter(|symbol| frequencies[*symbol] > 0).collect();
    symbols.sort_by_key(|symbol| Reverse((frequencies[*symbol], *symbol)));
    let weights: Vec<u32> = symbols.iter().map(|symbol| frequencies[*symbol]).collect();
    let counts = limited(&depths(&weights));
    let mut lengths = [0; SYMBOLS];
    let by_length = counts
        .iter()
        .enumerate()
        .flat_map(|(length, count)| vec![length as u8; *count]);
    for (symbol, length) in symbols.into_iter().zip(by_length) {
        lengths[symbol] = length;
    }
    lengths
}

/// How deep each of these lies in a Huffman tree.
fn depths(weights: &[u32]) -> Vec<usize> {
    let mut heap: BinaryHeap<_> = weights
        .iter()
        .enumerate()
        .map(|(node, weight)| Reverse((*weight, node)))
        .collect();
    let mut parents = vec![0; 2 * weights.len() - 1];
    let mut next = weights.len();
    while let (Some(Reverse(one)), Some(Reverse(other))) = (heap.pop(), heap.pop()) {
        parents[one.1] = next;
        parents[other.1] = next;
        heap.push(Reverse((one.0 + other.0, next)));
        next += 1;
        if heap.len() == 1 {
            break;
        }
    }
    let mut depths = vec![0; parents.len()];
    for node in (0..parents.len() - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    depths.truncate(weights.len());
    depths
}

/// How many codes there are of each length when none is longer than the longest.
///
/// Codes that were cut take more room than there is; each step takes one code of the longest away, makes one shorter code
/// one bit longer, and puts the first beside it. (The way of zlib and others.)
fn limited(depths: &[usize]) -> [usize; LONGEST + 1] {
    let mut counts = [0; LONGEST + 1];
    for depth in depths {
        counts[(*depth).min(LONGEST)] += 1;
    }
    let room = |counts: &[usize]| -> usize {
        counts
            .iter()
            .enumerate()
            .skip(1)
            .map(|(length, count)| count << (LONGEST - length))
            .sum()
    };
    let mut too_much = room(&counts).saturating_sub(1 << LONGEST);
    while too_much > 0 {
        counts[LONGEST] -= 1;
        if let Some(length) = (1..LONGEST).rev().find(|length| counts[*length] > 0) {
            counts[length] -= 1;
            counts[length + 1] += 2;
        }
        too_much -= 1;
    }
    counts
}

#[derive(Clone, Copy, Default)]
struct Code {
    /// In the order in which they are written: the first is the lowest.
    bits: u16,
    length: u8,
}

/// The codes that follow from the lengths: RFC 1951, 3.2.2.
fn codes(lengths: &[u8; SYMBOLS]) -> [Code; SYMBOLS] {
    let mut next = [0_u16; LONGEST + 2];
    for length in lengths.iter().filter(|length| **length > 0) {
        next[usize::from(*length) + 1] += 1;
    }
    for length in 1..next.len() {
        next[length] = (next[length] + next[length - 1]) << 1;
    }
    let mut codes = [Code::default(); SYMBOLS];
    for (code, length) in codes.iter_mut().zip(lengths).filter(|(_, length)| **length > 0) {
        let place = &mut next[usize::from(*length)];
        code.bits = place.reverse_bits() >> (16 - length);
        code.length = *length;
        *place += 1;
    }
    codes
}

/// Each length in four bits, which is what a code of its own would come to.
fn write_lengths(out: &mut Bits, lengths: &[u8; SYMBOLS]) {
    const LENGTH_BITS: u32 = 4;
    /// Two for distances, which do not occur: some programs want a complete code there.
    const DISTANCES: [u8; 2] = [1, 1];
    out.put(0, 5);
    out.put(DISTANCES.len() as u64 - 1, 5);
    out.put(u64::from(LENGTH_CODES - 4), 4);
    for number in 0..LENGTH_CODES {
        out.put(
            if number < UNUSED_LENGTH_CODES {
                0
            } else {
                u64::from(LENGTH_BITS)
            },
            3,
        );
    }
    for length in lengths.iter().chain(&DISTANCES) {
        out.put(u64::from(length.reverse_bits() >> (8 - LENGTH_BITS)), LENGTH_BITS);
    }
}

/// Bits, the first one lowest, as RFC 1951, 3.1.1 has them.
struct Bits {
    bytes: Vec<u8>,
    /// What is not written yet: less than eight bits between two calls.
    waiting: u64,
    count: u32,
}

impl Bits {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes + 64),
            waiting: 0,
            count: 0,
        }
    }

    /// Adds the codes of bytes. The state stands in variables of its own, so that it stays in registers.
    fn put_codes(&mut self, content: &[u8], codes: &[Code; SYMBOLS]) {
        let (mut waiting, mut count, mut length) = (self.waiting, self.count, self.bytes.len());
        self.bytes.resize(length + content.len() * LONGEST / 8 + 16, 0);
        let mut groups = content.chunks_exact(CODES_AT_ONCE);
        for group in &mut groups {
            for byte in group {
                let code = codes[usize::from(*byte)];
                waiting |= u64::from(code.bits) << count;
                count += u32::from(code.length);
            }
            self.bytes[length..length + 8].copy_from_slice(&waiting.to_le_bytes());
            length += (count / 8) as usize;
            // At most 55 bits were there: never the whole word.
            waiting >>= count & !7;
            count &= 7;
        }
        self.bytes.truncate(length);
        (self.waiting, self.count) = (waiting, count);
        for byte in groups.remainder() {
            self.put_code(codes[usize::from(*byte)]);
        }
    }

    fn put_code(&mut self, code: Code) {
        self.put(u64::from(code.bits), u32::from(code.length));
    }

    /// Adds up to 55 bits.
    fn put(&mut self, bits: u64, count: u32) {
        self.waiting |= bits << self.count;
        self.count += count;
        let whole = (self.count / 8) as usize;
        self.bytes.extend_from_slice(&self.waiting.to_le_bytes()[..whole]);
        self.waiting >>= whole * 8;
        self.count %= 8;
    }

    /// Fills the last byte with zeros.
    fn finish(mut self) -> Vec<u8> {
        self.put(0, (8 - self.count) % 8);
        self.bytes
    }

    /// Ends on the boundary of a byte in the middle of a stream, as zlib's flush does it.
    fn finish_with_empty_block(mut self) -> Vec<u8> {
        self.put(0, 3);
        let mut bytes = self.finish();
        bytes.extend_from_slice(&[0, 0, 0xff, 0xff]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Each byte twice as often as the one before: a tree as deep as can be.
    fn steep(length: usize) -> Vec<u8> {
        let mut content = Vec::new();
        for byte in 0..=40_u8 {
            let count = 1_usize.checked_shl(u32::from(byte)).unwrap_or(usize::MAX);
            content.extend(std::iter::repeat_n(byte, count.min(length - content.len())));
        }
        content
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let contents = [
            b"a".to_vec(),
            b"aaaaaaa".to_vec(),
            b"ab".repeat(1000),
            all.repeat(3),
            steep(BLOCK),
            steep(3 * BLOCK + 5),
            [all.repeat(700), vec![7; BLOCK - 1]].concat(),
        ];
        for content in contents {
            let whole = compress(&content, true);
            assert!(
                inflate(&whole, content.len()) == content,
                "{} bytes",
                content.len()
            );
            let twice = [compress(&content, false), whole].concat();
            assert!(inflate(&twice, 2 * content.len()) == content.repeat(2));
        }
    }

    #[test]
    fn codes_are_complete_and_no_longer_than_allowed() {
        for content in [steep(BLOCK), b"a".to_vec(), (0..=255).collect()] {
            let lengths = code_lengths(&frequencies(&content));
            let used = lengths.iter().filter(|length| **length > 0);
            assert_eq!(
                used.clone()
                    .map(|length| 1 << (LONGEST - usize::from(*length)))
                    .sum::<usize>(),
                1 << LONGEST
            );
            assert!(used.max().is_some_and(|length| usize::from(*length) <= LONGEST));
        }
    }

    #[test]
    fn what_is_frequent_is_short() {
        let content = [vec![0_u8; 900], (1..=255).collect()].concat();
        assert!(compress(&content, true).len() < 600);
    }
}
