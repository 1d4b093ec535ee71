//! Cuts the output of a step into lines.

/// A line this long is given out in parts, so that output without line ends needs no memory without end.
const MAX_LINE: usize = 64 * 1024;

/// Output that has not come to the end of its line yet.
///
/// A line ends with a line feed, with or without a carriage return before it. A carriage return alone ends it
/// too: the program is about to draw the line anew.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    /// The last line ended with a carriage return; a line feed directly after it belongs to it.
    after_return: bool,
}

impl Lines {
    /// Adds output, and gives out each line that it ends.
    pub(crate) fn push(&mut self, output: &[u8], mut line: impl FnMut(String)) {
        for &byte in output {
            match byte {
                b'\n' if self.after_return => self.after_return = false,
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    line(self.cut());
                }
                byte => {
                    self.after_return = false;
                    self.partial.push(byte);
                    if self.partial.len() >= MAX_LINE {
                        line(self.cut());
                    }
                }
            }
        }
    }

    /// Gives out what is left: the last line needs no end.
    pub(crate) fn finish(&mut self, line: impl FnOnce(String)) {
        if !self.partial.is_empty() {
            line(self.cut());
        }
    }

    fn cut(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| out.push(line));
        }
        lines.finish(|line| out.push(line));
        out
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        assert_eq!(
            lines(&[b"on", b"e\ntw", b"o\n", b"\n", b"three"]),
            ["one", "two", "", "three"]
        );
        assert_eq!(
            lines(&["ü".as_bytes()[..1].as_ref(), &"ü\n".as_bytes()[1..]]),
            ["ü"]
        );
        assert_eq!(lines(&[b"\xff\n"]), ["\u{fffd}"]);
        assert!(lines(&[b""]).is_empty());
    }

    #[test]
    fn a_carriage_return_ends_a_drawing() {
        assert_eq!(lines(&[b" 1%\r 2%\r done\n"]), [" 1%", " 2%", " done"]);
        assert_eq!(lines(&[b"a\r\nb\r", b"\nc"]), ["a", "b", "c"]);
        assert_eq!(lines(&[b"a\r\n\nb\n"]), ["a", "", "b"]);
    }

    #[test]
    fn a_line_without_end_is_given_out_in_parts() {
        let long = vec![b'x'; MAX_LINE + 1];
        let parts: Vec<_> = lines(&[&long]).iter().map(String::len).collect();
        assert_eq!(parts, [MAX_LINE, 1]);
    }
}
