//! Deflate without a search for repetitions: each byte gets a code that is the shorter the more often it occurs.
//!
//! Written here because libraries that offer this do it a symbol at a time, on the way made for repetitions, and it is the
//! part of an archive that takes longest when its content is weights.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// All bytes, and the end of a block.
const SYMBOLS: usize = 257;
const END: usize = 256;

/// The longest code. Deflate allows 15; this way four codes and the bits before them fit eight bytes.
const LONGEST: usize = 12;
const CODES_AT_ONCE: usize = 4;

/// Content whose codes are put together before they go to the others; a multiple of the codes at once.
const PIECE: usize = 256;

/// Of so much content at a time, in bytes, the first piece is counted. It is a prime number, so that what is counted
/// does not fall in step with what is in the content.
const COUNTED_IN: usize = 2039;
/// About so many times as much content there is as is counted.
const NOT_COUNTED: u32 = 8;
/// Below this everything is counted.
const SMALLEST_SAMPLED: usize = 64 << 10;
/// With more bytes than this that do not occur, codes for them would cost more than to count everything.
const MOST_UNSEEN: usize = 32;

const DYNAMIC_CODES: u64 = 2;

/// The order in which RFC 1951 wants the lengths of the codes for lengths: 16, 17 and 18 come first, which are not used.
const UNUSED_LENGTH_CODES: u32 = 3;
const LENGTH_CODES: u32 = 19;
/// What the codes themselves take at the beginning of a block, in bytes.
const DESCRIPTION: usize = 140;

/// A code for each byte that content holds.
pub(super) struct Codes {
    lengths: [u8; SYMBOLS],
    frequencies: [u32; SYMBOLS],
}

impl Codes {
    pub(super) fn of(content: &[u8]) -> Self {
        let frequencies = frequencies(content);
        let lengths = code_lengths(&frequencies);
        Self { lengths, frequencies }
    }

    /// About how long content of this length gets, in bytes.
    pub(super) fn expected_size(&self, length: usize) -> usize {
        let counted: u64 = self.frequencies.iter().copied().map(u64::from).sum();
        let bits: u64 = self
            .frequencies
            .iter()
            .zip(&self.lengths)
            .map(|(frequency, length)| u64::from(*frequency) * u64::from(*length))
            .sum();
        // Each byte takes twelve bits at most: never more than fits.
        DESCRIPTION + (length as u64 * bits / counted.max(1) / 8) as usize
    }

    /// The content these are the codes of, as deflate, up to the boundary of a byte; `last` ends the stream.
    pub(super) fn encode(&self, content: &[u8], last: bool) -> Vec<u8> {
        let codes = codes(&self.lengths);
        let mut out = Bits::with_capacity(self.expected_size(content.len()));
        out.put(u64::from(last) | DYNAMIC_CODES << 1, 3);
        write_lengths(&mut out, &self.lengths);
        out.put_codes(content, &codes, &self.lengths);
        out.put(u64::from(codes[END]), u32::from(self.lengths[END]));
        if last {
            out.finish()
        } else {
            out.finish_with_empty_block()
        }
    }
}

/// How often each byte occurs, in proportion. Much content is not counted wholly; then a byte that was not seen may be
/// there all the same.
fn frequencies(content: &[u8]) -> [u32; SYMBOLS] {
    let mut sums = if content.len() < SMALLEST_SAMPLED {
        count(content.chunks(PIECE))
    } else {
        let sample = content
            .chunks(COUNTED_IN)
            .map(|part| &part[..part.len().min(PIECE)]);
        let sums = count(sample);
        match sums.iter().filter(|sum| **sum == 0).count() {
            0..MOST_UNSEEN => sums.map(|sum| sum * NOT_COUNTED + 1),
            _ => count(content.chunks(PIECE)),
        }
    };
    sums[END] = 1;
    sums
}

/// Several counters, so that equal neighbours do not wait for each other.
fn count<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> [u32; SYMBOLS] {
    let mut lanes = [[0_u32; 256]; 4];
    for piece in pieces {
        let mut groups = piece.chunks_exact(4);
        for group in &mut groups {
            for (lane, byte) in lanes.iter_mut().zip(group) {
                lane[usize::from(*byte)] += 1;
            }
        }
        for byte in groups.remainder() {
            lanes[0][usize::from(*byte)] += 1;
        }
    }
    let mut sums = [0; SYMBOLS];
    for (at, sum) in sums[..END].iter_mut().enumerate() {
        *sum = lanes.iter().map(|lane| lane[at]).sum();
    }
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

/// The codes that follow from the lengths (RFC 1951, 3.2.2), in the order in which they are written: the first bit is the
/// lowest.
fn codes(lengths: &[u8; SYMBOLS]) -> [u16; SYMBOLS] {
    let mut next = [0_u16; LONGEST + 2];
    for length in lengths.iter().filter(|length| **length > 0) {
        next[usize::from(*length) + 1] += 1;
    }
    for length in 1..next.len() {
        next[length] = (next[length] + next[length - 1]) << 1;
    }
    let mut codes = [0; SYMBOLS];
    for (code, length) in codes.iter_mut().zip(lengths).filter(|(_, length)| **length > 0) {
        let place = &mut next[usize::from(*length)];
        *code = place.reverse_bits() >> (16 - length);
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
            bytes: Vec::with_capacity(bytes + bytes / 32 + 2 * PIECE),
            waiting: 0,
            count: 0,
        }
    }

    /// Adds the codes of bytes. The state stands in variables of its own, so that it stays in registers.
    fn put_codes(&mut self, content: &[u8], codes: &[u16; SYMBOLS], lengths: &[u8; SYMBOLS]) {
        let code = |byte: u8| u64::from(codes[usize::from(byte)]);
        let length = |byte: u8| u32::from(lengths[usize::from(byte)]);
        let (mut waiting, mut count) = (self.waiting, self.count);
        let mut buffer = [0; PIECE * LONGEST / 8 + 8];
        let mut pieces = content.chunks_exact(PIECE);
        for piece in &mut pieces {
            let mut written = 0;
            for group in piece.chunks_exact(CODES_AT_ONCE) {
                let (one, two, three, four) = (group[0], group[1], group[2], group[3]);
                let front = code(one) | code(two) << (length(one) & 63);
                let back = code(three) | code(four) << (length(three) & 63);
                let front_length = length(one) + length(two);
                // With at most 7 bits from before these are 55: never the whole word.
                waiting |= (front | back << (front_length & 63)) << (count & 63);
                count += front_length + length(three) + length(four);
                buffer[written..written + 8].copy_from_slice(&waiting.to_le_bytes());
                written += (count / 8) as usize;
                waiting >>= count & 0x38;
                count &= 7;
            }
            self.bytes.extend_from_slice(&buffer[..written]);
        }
        (self.waiting, self.count) = (waiting, count);
        for byte in pieces.remainder() {
            self.put(code(*byte), length(*byte));
        }
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
    use super::super::tests::inflate;
    use super::*;

    /// Each byte twice as often as the one before: a tree as deep as can be.
    fn steep(length: usize) -> Vec<u8> {
        let mut content = Vec::new();
        for byte in 0..=40_u8 {
            let count = 1_usize.checked_shl(u32::from(byte)).unwrap_or(usize::MAX);
            content.extend(std::iter::repeat_n(byte, count.min(length - content.len())));
        }
        content
    }

    fn compress(content: &[u8], last: bool) -> Vec<u8> {
        Codes::of(content).encode(content, last)
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let contents = [
            b"a".to_vec(),
            b"aaaaaaa".to_vec(),
            b"ab".repeat(1000),
            all.repeat(3),
            steep(SMALLEST_SAMPLED - 1),
            steep(1 << 19),
            [all.repeat(700), vec![7; PIECE + 1]].concat(),
            seen_only_where_nobody_looks(),
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

    /// Bytes that are not counted, in front of many that are.
    fn seen_only_where_nobody_looks() -> Vec<u8> {
        let counted: Vec<u8> = (0..=255).filter(|byte| byte % 16 != 3).collect();
        let mut content = counted.repeat(1000);
        for at in (PIECE..content.len()).step_by(COUNTED_IN) {
            content[at] = 3;
        }
        assert_eq!(frequencies(&content)[3], 1);
        content
    }

    #[test]
    fn the_expected_size_is_about_what_it_gets() {
        for content in [steep(1 << 19), (0..=255).collect::<Vec<u8>>().repeat(2000)] {
            let expected = Codes::of(&content).expected_size(content.len());
            let size = compress(&content, true).len();
            assert!(expected.abs_diff(size) * 50 < size, "{expected} for {size}");
        }
    }

    #[test]
    fn codes_are_complete_and_no_longer_than_allowed() {
        for content in [steep(1 << 19), b"a".to_vec(), (0..=255).collect()] {
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
