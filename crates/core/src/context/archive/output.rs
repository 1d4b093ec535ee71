//! Where the bytes of an archive go: small writes are gathered, large buffers are handed on as they are.

use std::io::{self, Write};

/// Up to how many bytes are gathered.
const CHUNK: usize = 128 << 10;

/// Takes an archive, a chunk at a time.
pub(in crate::context) trait Sink {
    /// Takes a chunk. It may take the memory, too; what it leaves there is used again.
    fn chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()>;
}

impl<W: Write> Sink for W {
    fn chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        self.write_all(chunk)
    }
}

/// A writer that does without a copy of what is given to it.
pub(super) trait Output: Write {
    /// Writes what the buffer holds. It may take the memory, too; what it leaves there means nothing.
    fn give(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.write_all(buffer)
    }
}

impl<O: Output + ?Sized> Output for &mut O {
    fn give(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        (**self).give(buffer)
    }
}

/// Makes chunks of what is written, and counts.
pub(super) struct Chunks<'a> {
    sink: &'a mut dyn Sink,
    gathered: Vec<u8>,
    bytes: u64,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self {
            sink,
            gathered: Vec::new(),
            bytes: 0,
        }
    }

    /// Hands on the rest, and says how many bytes there were in all.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        Ok(self.bytes)
    }
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gathered.len() == CHUNK {
            self.flush()?;
        }
        let taken = bytes.len().min(CHUNK - self.gathered.len());
        self.gathered.reserve_exact(CHUNK - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
        Ok(taken)
    }

    /// Hands on what is gathered.
    fn flush(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            self.sink.chunk(&mut self.gathered)?;
            self.gathered.clear();
        }
        Ok(())
    }
}

impl Output for Chunks<'_> {
    fn give(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        if buffer.len() < CHUNK {
            return self.write_all(buffer);
        }
        self.flush()?;
        self.bytes += buffer.len() as u64;
        self.sink.chunk(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the chunks themselves.
    struct Kept(Vec<Vec<u8>>);

    impl Sink for Kept {
        fn chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
            self.0.push(std::mem::take(chunk));
            Ok(())
        }
    }

    #[test]
    fn little_is_gathered_and_much_is_handed_on_in_order() {
        let mut kept = Kept(Vec::new());
        let mut out = Chunks::new(&mut kept);
        out.write_all(&[1; 10]).unwrap();
        out.give(&mut vec![2; 20]).unwrap();
        let mut large = vec![3; 3 * CHUNK];
        let memory = large.as_ptr();
        out.give(&mut large).unwrap();
        out.write_all(&vec![4; CHUNK + 1]).unwrap();
        assert_eq!(out.finish().unwrap(), 4 * CHUNK as u64 + 31);
        let sizes: Vec<usize> = kept.0.iter().map(Vec::len).collect();
        assert_eq!(sizes, [30, 3 * CHUNK, CHUNK, 1]);
        assert_eq!(kept.0[0], [[1; 10].as_slice(), &[2; 20]].concat());
        assert_eq!(kept.0[1].as_ptr(), memory, "a copy was made");
        assert!(kept.0[2..].concat().iter().all(|byte| *byte == 4));
    }

    #[test]
    fn nothing_written_is_no_chunk() {
        let mut kept = Kept(Vec::new());
        assert_eq!(Chunks::new(&mut kept).finish().unwrap(), 0);
        assert!(kept.0.is_empty());
    }
}
