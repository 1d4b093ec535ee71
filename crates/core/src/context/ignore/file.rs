//! The text of an ignore file, line by line.

use super::clean::{clean, trim};

/// The longest line that is read, in bytes without its line feed: BuildKit's reader refuses longer ones.
pub(super) const MAX_LINE: usize = 64 * 1024 - 1;

/// A line that holds a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u32,
    /// The pattern in its shortest form, with its `!`.
    pub(super) pattern: Vec<u8>,
}

/// A line is longer than [`MAX_LINE`]; its number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineTooLong(pub(super) u32);

/// The lines of an ignore file that hold a pattern.
pub(super) fn lines(text: &[u8]) -> Result<Vec<Line>, LineTooLong> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if line.len() > MAX_LINE {
            return Err(LineTooLong(number));
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = match number {
            1 => line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line),
            _ => line,
        };
        if let Some(pattern) = pattern(line) {
            found.push(Line { number, pattern });
        }
    }
    Ok(found)
}

/// The pattern of a line; none for a comment and for an empty line.
fn pattern(line: &[u8]) -> Option<Vec<u8>> {
    if line.starts_with(b"#") {
        return None;
    }
    let line = trim(line);
    match line.split_first()? {
        (b'!', rest) => Some([b"!", relative(trim(rest)).as_slice()].concat()),
        _ => Some(relative(line)),
    }
}

/// The shortest form, counted from the root of the context.
fn relative(pattern: &[u8]) -> Vec<u8> {
    if pattern.is_empty() {
        return Vec::new();
    }
    let mut shortest = clean(pattern);
    if shortest.len() > 1 && shortest[0] == b'/' {
        shortest.remove(0);
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(text: &str) -> Vec<(u32, String)> {
        lines(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|line| (line.number, String::from_utf8(line.pattern).unwrap()))
            .collect()
    }

    fn owned(expected: &[(u32, &str)]) -> Vec<(u32, String)> {
        expected
            .iter()
            .map(|(number, text)| (*number, (*text).to_owned()))
            .collect()
    }

    #[test]
    fn lines_are_read_as_buildkit_reads_them() {
        let text = "\u{feff}# comment\r\n\r\n #no comment\n  /a//b/ \r\n! /x/./y\n!\n\\#z";
        let expected = owned(&[(3, "#no comment"), (4, "a/b"), (5, "!x/y"), (6, "!"), (7, "\\#z")]);
        assert_eq!(patterns(text), expected);
    }

    #[test]
    fn only_the_first_line_may_begin_with_a_byte_order_mark() {
        assert_eq!(
            patterns("\u{feff}a\n\u{feff}b"),
            owned(&[(1, "a"), (2, "\u{feff}b")])
        );
    }

    #[test]
    fn a_line_has_a_longest_length() {
        let longest = format!("a\n#{}\n", "x".repeat(MAX_LINE - 1));
        assert_eq!(patterns(&longest), owned(&[(1, "a")]));
        let longer = format!("a\n#{}\n", "x".repeat(MAX_LINE));
        assert_eq!(lines(longer.as_bytes()), Err(LineTooLong(2)));
    }
}
