//! The place in a Dockerfile that a failed step stands for.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use crate::display::text::sanitize;

/// How many lines are shown before and after the place.
const AROUND: usize = 2;

/// A Dockerfile as it was built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// How the user names it.
    pub name: String,
    /// Its text.
    pub content: String,
}

/// An instruction: what it says without line continuations and comments, and its lines, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instruction {
    text: String,
    lines: RangeInclusive<usize>,
}

/// The lines around a place, which are marked with `>>>`. Nothing when the place is not in the file.
#[must_use]
pub fn excerpt(dockerfile: &str, place: &RangeInclusive<usize>) -> Option<String> {
    let lines: Vec<&str> = dockerfile.lines().collect();
    let (start, end) = (*place.start(), (*place.end()).min(lines.len()));
    if start == 0 || start > end {
        return None;
    }
    let first = start.saturating_sub(AROUND).max(1);
    let last = (end + AROUND).min(lines.len());
    let digits = last.to_string().len();
    let mut out = String::new();
    for number in first..=last {
        let mark = if place.contains(&number) { ">>>" } else { "   " };
        let text = sanitize(lines[number - 1]);
        let _ = writeln!(out, "{}", format!("{mark} {number:digits$} | {text}").trim_end());
    }
    Some(out)
}

/// The lines of the instruction that a step is named after: `[build 2/5] RUN make`, or Docker's classic
/// `Step 2/5 : RUN make`. Nothing when no instruction reads like that, or several do.
#[must_use]
pub fn find(dockerfile: &str, step: &str) -> Option<RangeInclusive<usize>> {
    let wanted = normal(without_position(step));
    if wanted.is_empty() {
        return None;
    }
    let instructions = instructions(dockerfile);
    let mut found = instructions
        .iter()
        .filter(|instruction| reads_like(&instruction.text, &wanted));
    let first = found.next()?;
    found.next().is_none().then(|| first.lines.clone())
}

/// Builders may cut long names; then the beginning must do.
fn reads_like(instruction: &str, wanted: &str) -> bool {
    let cut = wanted.strip_suffix('…').or_else(|| wanted.strip_suffix("..."));
    instruction == wanted || cut.is_some_and(|begin| instruction.starts_with(begin.trim_end()))
}

fn without_position(step: &str) -> &str {
    let step = step.trim();
    if step.starts_with('[') {
        return step.split_once(']').map_or(step, |(_, rest)| rest);
    }
    match step.split_once(" : ") {
        Some((position, rest)) if position.starts_with("Step ") => rest,
        _ => step,
    }
}

/// One space between words, and the keyword in upper case.
fn normal(text: &str) -> String {
    let mut words = text.split_whitespace();
    let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
    std::iter::once(keyword.as_str())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn instructions(dockerfile: &str) -> Vec<Instruction> {
    let escape = escape_character(dockerfile);
    let mut lines = dockerfile.lines().enumerate().map(|(at, line)| (at + 1, line));
    let mut found = Vec::new();
    while let Some((start, line)) = lines.next() {
        if is_blank(line) {
            continue;
        }
        let (mut text, mut end, mut part) = (String::new(), start, line);
        while let Some(begin) = part.trim_end().strip_suffix(escape) {
            text.push_str(begin);
            // Comments and empty lines inside an instruction do not end it.
            let Some((number, next)) = lines.find(|(_, line)| !is_blank(line)) else {
                part = "";
                break;
            };
            (end, part) = (number, next);
        }
        text.push_str(part);
        for delimiter in heredocs(&text) {
            if let Some((number, _)) = lines.find(|(_, line)| line.trim_start_matches('\t') == delimiter) {
                end = number;
            }
        }
        found.push(Instruction {
            text: normal(&text),
            lines: start..=end,
        });
    }
    found
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// The parser directive `# escape=` at the top of the file; a backslash without it.
fn escape_character(dockerfile: &str) -> char {
    let directives = dockerfile.lines().map_while(|line| line.trim().strip_prefix('#'));
    for directive in directives {
        match directive.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("escape") => {
                return value.trim().chars().next().unwrap_or('\\');
            }
            Some(_) => {}
            None => break,
        }
    }
    '\\'
}

/// The delimiters of the here-documents that begin in an instruction. Only `RUN`, `COPY` and `ADD` have any.
fn heredocs(text: &str) -> Vec<String> {
    let keyword = text
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    if !matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") {
        return Vec::new();
    }
    let delimiter = |rest: &str| {
        let word = rest.strip_prefix('-').unwrap_or(rest);
        let word: String = word.chars().take_while(|c| !c.is_whitespace()).collect();
        let word = word.trim_matches(['"', '\'']).to_owned();
        let named = word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
        named.then_some(word)
    };
    // `<<<` is a shell's here-string.
    let begins = text
        .match_indices("<<")
        .filter(|(at, _)| !text[at + 2..].starts_with('<') && !text[..*at].ends_with('<'));
    begins.filter_map(|(at, _)| delimiter(&text[at + 2..])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# syntax=docker/dockerfile:1
FROM python:3.12 AS build

run  apt-get update && \\
    # a comment inside
    apt-get install -y git

COPY <<EOF /etc/motd
RUN not an instruction
EOF
RUN pip install .
RUN true
RUN true
";

    #[test]
    fn a_step_is_found_by_its_text_however_it_is_written() {
        let name = "[build 2/5] RUN apt-get update &&     apt-get install -y git";
        assert_eq!(find(FILE, name), Some(4..=6));
        assert_eq!(find(FILE, "Step 4/6 : RUN pip install ."), Some(11..=11));
        assert_eq!(find(FILE, "[build 2/5] RUN apt-get upd…"), Some(4..=6));
        assert_eq!(find(FILE, "[build 3/5] COPY <<EOF /etc/motd"), Some(8..=10));
    }

    #[test]
    fn what_is_not_there_or_there_twice_is_not_guessed() {
        assert_eq!(find(FILE, "[5/6] RUN true"), None);
        assert_eq!(find(FILE, "RUN not an instruction"), None);
        assert_eq!(find(FILE, "exporting to image"), None);
        assert_eq!(find(FILE, ""), None);
    }

    #[test]
    fn the_escape_directive_changes_how_lines_are_joined() {
        let file = "# escape=`\nFROM a\nRUN dir `\n  C:\\\nRUN echo\n";
        assert_eq!(find(file, "[2/3] RUN dir C:\\"), Some(3..=4));
        assert_eq!(find(file, "[3/3] RUN echo"), Some(5..=5));
    }

    #[test]
    fn the_excerpt_marks_the_place_between_its_neighbours() {
        let expected = [
            "     9 | RUN not an instruction",
            "    10 | EOF",
            ">>> 11 | RUN pip install .",
            "    12 | RUN true",
            "    13 | RUN true",
        ];
        assert_eq!(
            excerpt(FILE, &(11..=11)).unwrap().lines().collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn a_place_outside_the_file_gives_no_excerpt() {
        #[allow(clippy::reversed_empty_ranges)]
        for place in [0..=0, 14..=20, 3..=2] {
            assert_eq!(excerpt(FILE, &place), None);
        }
        assert_eq!(excerpt(FILE, &(13..=99)).unwrap().lines().count(), 3);
    }
}
