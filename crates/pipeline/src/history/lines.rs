//! What lines came and went between two texts.

use std::collections::BTreeMap;

/// How many lines are named.
const SHOWN: usize = 6;

/// `+ new - old` for the items that only one side has; none where the sides are equal. Items of both in another
/// order are a difference, too.
pub(super) fn difference(before: &[String], now: &[String]) -> Option<String> {
    if before == now {
        return None;
    }
    let added = only_in(now, before).into_iter().map(|line| format!("+ {line}"));
    let removed = only_in(before, now).into_iter().map(|line| format!("- {line}"));
    let all: Vec<String> = added.chain(removed).collect();
    Some(match all.len() {
        0 => "another order".into(),
        count if count <= SHOWN => all.join(" "),
        count => format!("{} and {} more", all[..SHOWN].join(" "), count - SHOWN),
    })
}

fn only_in<'a>(lines: &'a [String], other: &[String]) -> Vec<&'a String> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for line in other {
        *counts.entry(line).or_default() += 1;
    }
    let mut is_new = |line: &&String| match counts.get_mut(*line) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    lines.iter().filter(|line| is_new(line)).collect()
}

/// The requirements of a text: comments, blank lines and the hashes of a lock file say nothing to people.
pub(super) fn requirement_lines(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(|line| line.trim().trim_end_matches('\\').trim_end());
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("--hash="))
        .map(str::to_owned)
        .collect()
}

/// How the last instruction of a kind differs: what was, and what is.
pub(super) fn instruction(word: &str, dockerfiles: (Option<&str>, Option<&str>)) -> Option<String> {
    let last = |text: Option<&str>| {
        let mut lines = text?.lines().rev();
        lines.find_map(|line| Some(line.strip_prefix(word)?.strip_prefix(' ')?.trim().to_owned()))
    };
    let (before, now) = (last(dockerfiles.0), last(dockerfiles.1));
    let shown = |side: Option<String>| side.unwrap_or_else(|| "none".into());
    (before != now).then(|| format!("{} to {}", shown(before), shown(now)))
}
