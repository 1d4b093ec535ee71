//! One pattern, and whether a path matches it.

use std::borrow::Cow;

use regex::bytes::Regex;

use super::clean::{chars, clean, trim};
use super::reach::Reach;
use super::regexp;

/// The pattern breaks the syntax of patterns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadPattern;

/// One pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    /// The shortest form, without the `!`.
    pub(super) text: Vec<u8>,
    /// Whether it began with `!`: what it matches is taken back in.
    pub(super) negated: bool,
    /// What is known of the paths that it matches.
    pub(super) reach: Reach,
    matcher: Matcher,
}

/// A pattern without wildcards is compared; where `**` is the only wildcard and stands at one end, so is the
/// rest. That is more than speed: `**x` compared as an end also matches `ax`, as BuildKit has it.
#[derive(Debug)]
enum Matcher {
    Exact,
    /// The path begins with this many bytes of the text.
    Prefix(usize),
    /// The path ends with the text behind the `**`.
    Suffix,
    Regex(Box<Regex>),
    /// It passed the check of its syntax, and yet means nothing. Only an error once a path is asked about.
    Bad,
}

/// A path that is matched with patterns.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    bytes: &'a [u8],
    text: Cow<'a, [u8]>,
    slashes: usize,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let text = match std::str::from_utf8(bytes) {
            Ok(_) => Cow::Borrowed(bytes),
            Err(_) => Cow::Owned(chars(bytes).collect::<String>().into_bytes()),
        };
        let slashes = bytes.iter().filter(|byte| **byte == b'/').count();
        Self { bytes, text, slashes }
    }
}

impl Pattern {
    /// Reads a pattern; none if there is nothing but white space.
    pub(super) fn parse(pattern: &[u8]) -> Result<Option<Self>, BadPattern> {
        let pattern = trim(pattern);
        if pattern.is_empty() {
            return Ok(None);
        }
        let mut text = clean(pattern);
        let negated = text.first() == Some(&b'!');
        if negated {
            text.remove(0);
        }
        if text.is_empty() || !is_well_formed(&text) {
            return Err(BadPattern);
        }
        let matcher = Matcher::new(&text);
        Ok(Some(Self {
            reach: Reach::new(&text),
            text,
            negated,
            matcher,
        }))
    }

    /// Whether the path itself, not a parent of it, matches.
    pub(super) fn matches(&self, path: &Candidate<'_>) -> Result<bool, BadPattern> {
        let slashes = self.reach.slashes().unwrap_or(path.slashes);
        Ok(match &self.matcher {
            Matcher::Bad => return Err(BadPattern),
            _ if slashes != path.slashes => false,
            Matcher::Exact => path.bytes == self.text,
            Matcher::Prefix(length) => path.bytes.starts_with(&self.text[..*length]),
            Matcher::Suffix => {
                let end = &self.text[2..];
                path.bytes.ends_with(end) || end.strip_prefix(b"/") == Some(path.bytes)
            }
            Matcher::Regex(regex) => regex.is_match(&path.text),
        })
    }
}

impl Matcher {
    fn new(text: &[u8]) -> Self {
        let mut translation = Translation::default();
        translation.run(text);
        match translation.kind {
            Kind::Exact => Self::Exact,
            Kind::Prefix => Self::Prefix(text.len() - 2),
            Kind::Suffix => Self::Suffix,
            Kind::Regex => match regexp::compile(&format!("^{}$", translation.regexp)) {
                Some(regex) => Self::Regex(Box::new(regex)),
                None => Self::Bad,
            },
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Exact,
    Prefix,
    Suffix,
    Regex,
}

/// A pattern as a regular expression in the syntax of the Go language.
///
/// The specification of ignore files is what BuildKit does, and BuildKit writes the pattern's characters
/// into such an expression, escaping some of them. So `\d` is a digit and a class in brackets is one of
/// regular expressions; both are kept.
#[derive(Default)]
struct Translation {
    regexp: String,
    kind: Kind,
}

impl Translation {
    fn run(&mut self, text: &[u8]) {
        let chars: Vec<char> = chars(text).collect();
        let mut rest = match chars.split_first() {
            Some(('\u{feff}', rest)) => rest,
            _ => &chars,
        };
        let mut first = true;
        while let Some((char, tail)) = rest.split_first() {
            rest = match (char, tail) {
                ('*', ['*', '/', tail @ ..] | ['*', tail @ ..]) => {
                    self.any_directories(tail.is_empty(), first);
                    tail
                }
                ('\\', [escaped, tail @ ..]) => {
                    self.push_wild(&['\\', *escaped]);
                    tail
                }
                _ => {
                    self.one(*char);
                    tail
                }
            };
            first = false;
        }
    }

    fn any_directories(&mut self, last: bool, first: bool) {
        if last && self.kind == Kind::Exact {
            self.kind = Kind::Prefix;
        } else {
            self.regexp.push_str(if last { ".*" } else { "(.*/)?" });
            self.kind = Kind::Regex;
        }
        if first {
            self.kind = Kind::Suffix;
        }
    }

    fn one(&mut self, char: char) {
        match char {
            '*' => self.push_wild(&['[', '^', '/', ']', '*']),
            '?' => self.push_wild(&['[', '^', '/', ']']),
            '[' | ']' => self.push_wild(&[char]),
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => self.regexp.extend(['\\', char]),
            _ => self.regexp.push(char),
        }
    }

    fn push_wild(&mut self, chars: &[char]) {
        self.regexp.extend(chars);
        self.kind = Kind::Regex;
    }
}

/// Whether escapes and classes are complete. A class holds at least one range; `-` and `]` in it need a
/// backslash before them.
fn is_well_formed(pattern: &[u8]) -> bool {
    let mut rest = pattern;
    while let Some((first, tail)) = rest.split_first() {
        let after = match first {
            b'\\' => tail.get(1..),
            b'[' => skip_class(tail),
            _ => Some(tail),
        };
        let Some(after) = after else { return false };
        rest = after;
    }
    true
}

/// What follows a class, given what follows its opening bracket.
fn skip_class(class: &[u8]) -> Option<&[u8]> {
    let mut rest = skip_range(class.strip_prefix(b"^").unwrap_or(class))?;
    loop {
        if let Some(after) = rest.strip_prefix(b"]") {
            return Some(after);
        }
        rest = skip_range(rest)?;
    }
}

fn skip_range(rest: &[u8]) -> Option<&[u8]> {
    let after = skip_class_char(rest)?;
    after.strip_prefix(b"-").map_or(Some(after), skip_class_char)
}

fn skip_class_char(rest: &[u8]) -> Option<&[u8]> {
    if matches!(rest.first()?, b'-' | b']') {
        return None;
    }
    let char = rest.strip_prefix(b"\\").unwrap_or(rest);
    let width = char.utf8_chunks().next()?.valid().chars().next()?.len_utf8();
    Some(&char[width..]).filter(|after| !after.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &[u8]) -> bool {
        let pattern = Pattern::parse(pattern.as_bytes()).unwrap().unwrap();
        pattern.matches(&Candidate::new(path)).unwrap()
    }

    #[test]
    fn wildcards_stop_at_a_slash_and_double_ones_do_not() {
        assert!(matches("a*c", b"abc") && !matches("a*c", b"a/c"));
        assert!(matches("a?c", b"abc") && !matches("a?c", b"a/c"));
        assert!(matches("a/**/c", b"a/c") && matches("a/**/c", b"a/b/b/c") && !matches("a/**/c", b"a/bc"));
        assert!(matches("a/**", b"a/b/c") && !matches("a/**", b"a"));
        assert!(matches("**/c", b"a/b/c") && matches("**/c", b"c") && !matches("**/c", b"bc"));
        assert!(matches("**c", b"bc"));
    }

    #[test]
    fn a_question_mark_is_one_character_or_one_broken_byte() {
        assert!(matches("a?b", "a☺b".as_bytes()));
        assert!(matches("a?b", b"a\xffb") && !matches("a?b", b"a\xff\xfeb"));
    }

    #[test]
    fn a_caret_outside_a_class_is_an_anchor_once_there_is_a_wildcard() {
        assert!(matches("^a", b"^a"));
        assert!(matches("^a*", b"ab") && !matches("^a*", b"^ab"));
    }

    #[test]
    fn syntax_errors_are_found_at_once() {
        for bad in [
            "!", "[", "[]", "[]a]", "[a", "[a-]", "[-a]", "[^]", "\\", "a[\\", "x[y",
        ] {
            assert_eq!(Pattern::parse(bad.as_bytes()).err(), Some(BadPattern), "{bad}");
        }
        assert_eq!(Pattern::parse(b"[\xff]").err(), Some(BadPattern));
        assert!(Pattern::parse(b" \t").unwrap().is_none());
    }

    #[test]
    fn a_meaningless_escape_is_found_when_it_is_used() {
        let pattern = Pattern::parse(br"a\qb").unwrap().unwrap();
        assert_eq!(pattern.matches(&Candidate::new(b"a")), Err(BadPattern));
    }

    #[test]
    fn matching_takes_linear_time() {
        let pattern = "a*".repeat(200) + "b";
        let path = "a".repeat(4000);
        assert!(!matches(&pattern, path.as_bytes()));
    }
}
