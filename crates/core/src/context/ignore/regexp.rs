//! Regular expressions in the syntax of the Go language, as far as patterns of ignore files can hold them,
//! rewritten for the `regex` crate.
//!
//! The two syntaxes differ where it matters here: Go knows `\Q…\E` and octal numbers, takes `\d`, `\s`, `\w`
//! and `\b` for ASCII, and gives `[`, `&&`, `--` and `~~` no meaning inside a class.

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};

/// A line of 64 KiB full of question marks still compiles.
const SIZE_LIMIT: usize = 256 << 20;

/// Compiles an expression; none if Go would refuse it.
pub(super) fn compile(expression: &str) -> Option<Regex> {
    let chars: Vec<char> = expression.chars().collect();
    let mut rewriter = Rewriter {
        rest: &chars,
        out: String::with_capacity(expression.len() * 2),
    };
    rewriter.run()?;
    RegexBuilder::new(&rewriter.out)
        .size_limit(SIZE_LIMIT)
        .build()
        .ok()
}

struct Rewriter<'a> {
    rest: &'a [char],
    out: String,
}

/// One member of a class, or what an escape stands for.
enum Item {
    Char(char),
    /// A set in the syntax of the `regex` crate, good inside and outside of brackets.
    Set(String),
}

impl Rewriter<'_> {
    fn next(&mut self) -> Option<char> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, text: &[char]) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn run(&mut self) -> Option<()> {
        while let Some(char) = self.next() {
            match char {
                '\\' => self.escape_outside()?,
                // In text that is UTF-8 these are the same byte by byte, which is a much smaller machine.
                '[' if self.take(&['^', '/', ']', '*']) => self.out.push_str("(?-u:[^/]*)"),
                '.' if self.take(&['*']) => self.out.push_str(r"(?-u:[^\n]*)"),
                '[' => self.class()?,
                '^' | '$' | '(' | ')' | '*' | '?' | '.' => self.out.push(char),
                _ => self.literal(char),
            }
        }
        Some(())
    }

    fn literal(&mut self, char: char) {
        let _ = write!(self.out, "\\x{{{:X}}}", u32::from(char));
    }

    fn escape_outside(&mut self) -> Option<()> {
        match self.rest.first()? {
            'A' | 'z' => {
                self.out.push('\\');
                let anchor = self.next()?;
                self.out.push(anchor);
            }
            'b' | 'B' => {
                let boundary = self.next()?;
                let _ = write!(self.out, "(?-u:\\{boundary})");
            }
            'Q' => self.quoted(),
            _ => match self.escape()? {
                Item::Char(char) => self.literal(char),
                Item::Set(set) => self.out.push_str(&set),
            },
        }
        Some(())
    }

    /// `\Q` takes everything up to `\E`, or to the end, as it is.
    fn quoted(&mut self) {
        self.next();
        while !self.rest.is_empty() && !self.take(&['\\', 'E']) {
            if let Some(char) = self.next() {
                self.literal(char);
            }
        }
    }

    /// An escape, without its backslash, that stands for a character or a set of characters.
    fn escape(&mut self) -> Option<Item> {
        let char = self.next()?;
        let set = match char {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            's' => r"[\t\n\x0C\r ]",
            'S' => r"[^\t\n\x0C\r ]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            'p' | 'P' => {
                let category = self.next().filter(|name| "CLMNPSZ".contains(*name))?;
                return Some(Item::Set(format!("\\{char}{category}")));
            }
            _ => return self.escaped_char(char).map(Item::Char),
        };
        Some(Item::Set(set.to_owned()))
    }

    fn escaped_char(&mut self, char: char) -> Option<char> {
        Some(match char {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => return self.number(16, 2, 2, 0),
            '1'..='7' if !self.rest.first().is_some_and(|next| next.is_digit(8)) => return None,
            '0'..='7' => return self.number(8, 0, 2, char.to_digit(8)?),
            _ if char.is_ascii() && !char.is_ascii_alphanumeric() => char,
            _ => return None,
        })
    }

    /// A number of at least `min` and at most `max` more digits.
    fn number(&mut self, radix: u32, min: usize, max: usize, start: u32) -> Option<char> {
        let mut value = start;
        for index in 0..max {
            match self.rest.first().and_then(|digit| digit.to_digit(radix)) {
                Some(digit) => value = value * radix + digit,
                None if index < min => return None,
                None => break,
            }
            self.next();
        }
        char::from_u32(value)
    }

    /// A class, without its opening bracket.
    fn class(&mut self) -> Option<()> {
        let negated = self.take(&['^']);
        self.out.push_str(if negated { "[^" } else { "[" });
        let mut first = true;
        while first || !self.take(&[']']) {
            first = false;
            match self.class_item()? {
                Item::Set(set) => self.out.push_str(&set),
                Item::Char(low) => self.range(low)?,
            }
        }
        self.out.push(']');
        Some(())
    }

    fn class_item(&mut self) -> Option<Item> {
        if let Some(name) = self.named_class() {
            return name.map(Item::Set);
        }
        match self.next()? {
            '\\' => self.escape(),
            char => Some(Item::Char(char)),
        }
    }

    fn range(&mut self, low: char) -> Option<()> {
        self.literal(low);
        let is_range = matches!(self.rest, ['-', next, ..] if *next != ']');
        if is_range {
            self.next();
            let high = match self.next()? {
                '\\' => {
                    let char = self.next()?;
                    self.escaped_char(char)?
                }
                char => char,
            };
            if high < low {
                return None;
            }
            self.out.push('-');
            self.literal(high);
        }
        Some(())
    }

    /// `[:name:]`: none if there is none here, and none inside if there is no class of the name.
    fn named_class(&mut self) -> Option<Option<String>> {
        let inner = self.rest.strip_prefix(&['[', ':'])?;
        let length = inner.windows(2).position(|pair| pair == [':', ']'])?;
        let name: String = inner[..length].iter().collect();
        self.rest = &inner[length + 2..];
        let known = CLASS_NAMES.contains(&name.strip_prefix('^').unwrap_or(&name));
        Some(known.then(|| format!("[[:{name}:]]")))
    }
}

const CLASS_NAMES: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, text: &str) -> bool {
        compile(expression).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn classes_mean_what_they_mean_in_go() {
        assert!(matches(r"^[[^/]*b$", "[^/b"));
        assert!(matches(r"^[a&&b]$", "&") && matches(r"^[a~~b]$", "~"));
        assert!(matches(r"^[[:alpha:]_]$", "x") && !matches(r"^[[:alpha:]]$", "é"));
        assert!(matches(r"^[]a]$", "]") && matches(r"^[a-]$", "-"));
        assert!(matches(r"^[\d\-x]$", "-"));
        assert!(matches(r"^[^a]$", "\n"));
        assert!(
            compile("^[[:nope:]]$").is_none() && compile("^[b-a]$").is_none() && compile("^[a").is_none()
        );
    }

    #[test]
    fn escapes_mean_what_they_mean_in_go() {
        assert!(matches(r"^\d\x41\101$", "7AA") && !matches(r"^\d$", "٣"));
        assert!(matches(r"^\Qa[^/]*\E[^/]*$", "a[^/]*zz"));
        assert!(matches(r"^\a\.\_$", "\x07._"));
        assert!(matches(r"^\pL\PL$", "é1"));
        for bad in [
            r"^\q$",
            r"^\1$",
            r"^\8$",
            r"^\C$",
            r"^\é$",
            r"^\pk$",
            r"^\x4$",
            r"^\p\{L\}$",
            r"^[\Q]$",
        ] {
            assert!(compile(bad).is_none(), "{bad}");
        }
    }
}
