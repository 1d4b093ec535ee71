//! POSIX tar (`ustar`) with PAX records for what its headers cannot hold: names of more than 100 bytes and
//! files of 8 GiB or more.
//!
//! Written here because the end-of-archive marker must only follow a complete archive, while writers that
//! close the archive when they are dropped also do so after an error.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Layout;
use super::output::Output;
use crate::context::entry::{ContextEntry, EntryKind};

const BLOCK: usize = 512;

/// The largest size that fits into the eleven octal digits of a header.
const MAX_SIZE: u64 = 0o777_7777_7777;

/// The longest name and link target that fit into a header.
const MAX_NAME: usize = 100;

pub(super) struct Tar<W> {
    out: W,
    /// Bytes that the last block of the current file still lacks.
    padding: usize,
}

impl<W: Output> Tar<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, padding: 0 }
    }

    fn records(&mut self, records: &[u8]) -> io::Result<()> {
        let mut header = Header::new(b"PaxHeaders/0", 0o644, records.len() as u64, b'x');
        self.out.write_all(&header.finish())?;
        self.out.write_all(records)?;
        self.out.write_all(&[0; BLOCK][..padding(records.len() as u64)])
    }
}

impl<W: Output> Layout for Tar<W> {
    fn begin(&mut self, entry: &ContextEntry) -> io::Result<()> {
        let name = name(entry);
        let (flag, target) = match &entry.kind {
            EntryKind::File => (b'0', OsStr::new("")),
            EntryKind::Symlink { target } => (b'2', target.as_os_str()),
            EntryKind::Directory => (b'5', OsStr::new("")),
        };
        let records = pax_records(&name, target.as_bytes(), entry.size);
        if !records.is_empty() {
            self.records(&records)?;
        }
        let mut header = Header::new(&name, entry.mode, entry.size, flag);
        header.put(157, MAX_NAME, target.as_bytes());
        self.padding = padding(entry.size);
        self.out.write_all(&header.finish())
    }

    fn content(&mut self, piece: &mut Vec<u8>) -> io::Result<()> {
        self.out.give(piece)
    }

    fn end(&mut self) -> io::Result<()> {
        self.out
            .write_all(&[0; BLOCK][..std::mem::take(&mut self.padding)])
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK])
    }
}

/// A directory's name has a slash behind it.
fn name(entry: &ContextEntry) -> Vec<u8> {
    let mut name = Path::as_os_str(&entry.name).as_bytes().to_vec();
    if entry.is_directory() {
        name.push(b'/');
    }
    name
}

/// How many bytes the last block lacks.
fn padding(size: u64) -> usize {
    let used = (size % BLOCK as u64) as usize;
    if used == 0 { 0 } else { BLOCK - used }
}

fn pax_records(name: &[u8], target: &[u8], size: u64) -> Vec<u8> {
    let mut records = Vec::new();
    if name.len() > MAX_NAME {
        records.extend(pax_record("path", name));
    }
    if target.len() > MAX_NAME {
        records.extend(pax_record("linkpath", target));
    }
    if size > MAX_SIZE {
        records.extend(pax_record("size", size.to_string().as_bytes()));
    }
    records
}

/// `length key=value\n`, where the length counts its own digits.
fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    length = rest + length.to_string().len();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// The header of one entry.
struct Header([u8; BLOCK]);

impl Header {
    fn new(name: &[u8], mode: u32, size: u64, flag: u8) -> Self {
        let mut header = Self([0; BLOCK]);
        header.put(0, MAX_NAME, name);
        header.number(100, 8, u64::from(mode));
        header.number(108, 8, 0);
        header.number(116, 8, 0);
        header.number(124, 12, if size > MAX_SIZE { 0 } else { size });
        header.number(136, 12, 0);
        header.0[156] = flag;
        header.put(257, 8, b"ustar\x0000");
        header.number(329, 8, 0);
        header.number(337, 8, 0);
        header
    }

    /// Writes bytes into a field; what does not fit is cut off and stands in a PAX record.
    fn put(&mut self, at: usize, width: usize, bytes: &[u8]) {
        let length = bytes.len().min(width);
        self.0[at..at + length].copy_from_slice(&bytes[..length]);
    }

    /// Writes an octal number with a zero byte behind it.
    fn number(&mut self, at: usize, width: usize, value: u64) {
        let digits = width - 1;
        self.put(at, digits, format!("{value:0digits$o}").as_bytes());
    }

    /// Fills in the checksum, which counts its own field as spaces.
    fn finish(&mut self) -> [u8; BLOCK] {
        self.put(148, 8, b"        ");
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.number(148, 7, sum);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for length in [1, 85, 86, 87, 88, 89, 90, 985, 986, 987, 988, 989, 990, 9990] {
            let record = pax_record("path", &vec![b'x'; length]);
            let (digits, _) = record.split_at(record.iter().position(|byte| *byte == b' ').unwrap());
            let said: usize = std::str::from_utf8(digits).unwrap().parse().unwrap();
            assert_eq!(said, record.len(), "{length}");
        }
    }

    #[test]
    fn a_size_that_does_not_fit_stands_in_a_record() {
        assert!(pax_records(b"a", b"", MAX_SIZE).is_empty());
        assert_eq!(pax_records(b"a", b"", MAX_SIZE + 1), b"19 size=8589934592\n");
    }
}
