//! Text for a terminal: made harmless, measured, cut and counted.

use std::time::Duration;

use unicode_width::UnicodeWidthChar;

/// Width of a tab stop, in columns.
const TAB: usize = 8;

/// One line of foreign text without anything that could steer a terminal.
///
/// Escape sequences and control characters go, and so do the invisible characters that turn the direction
/// of writing around. Tabs become spaces.
#[must_use]
pub fn sanitize(line: &str) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    let mut out = String::with_capacity(plain.len());
    let mut column = 0;
    for c in plain.chars() {
        if c == '\t' {
            let spaces = TAB - column % TAB;
            out.extend(std::iter::repeat_n(' ', spaces));
            column += spaces;
        } else if !c.is_control() && !turns_direction(c) {
            out.push(c);
            column += char_width(c);
        }
    }
    out
}

/// Like [`sanitize`] for text of several lines: the line ends stay.
#[must_use]
pub fn sanitize_lines(text: &str) -> String {
    text.lines().map(sanitize).collect::<Vec<_>>().join("\n")
}

fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// How many columns a text takes. Never too few: what a terminal joins into one sign counts as several.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The text, cut to at most `columns` columns; what was cut ends in `…`.
#[must_use]
pub fn truncate(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        let w = char_width(c);
        if w > left {
            break;
        }
        left -= w;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// A number of bytes with a decimal unit, as Docker prints it: `1.5 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    // Only for show, so losing the low bits of a huge number is fine.
    #[allow(clippy::cast_precision_loss)]
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A span of time: `0.4s`, `12.3s`, `2m05s`, `1h02m`.
#[must_use]
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds < 60 {
        format!("{}.{}s", seconds, span.subsec_millis() / 100)
    } else if seconds < 3600 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60)
    }
}

/// `1 file`, `2 files`.
#[must_use]
pub fn plural(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_survives() {
        assert_eq!(sanitize("\x1b[31mred\x1b[0m"), "red");
        assert_eq!(sanitize("\x1b]0;title\x07text"), "text");
        assert_eq!(sanitize("a\rb\x08c\x00\u{9b}31m"), "abc31m");
        assert_eq!(sanitize("safe\u{202e}evil"), "safeevil");
        assert_eq!(sanitize("a\tb"), "a       b");
        assert_eq!(sanitize_lines("a\x1b[2J\nb\r\n"), "a\nb");
    }

    #[test]
    fn text_is_cut_by_columns_and_not_by_bytes() {
        assert_eq!(truncate("naïve", 5), "naïve");
        assert_eq!(truncate("日本語テキスト", 7), "日本語…");
        assert_eq!(truncate("日本語テキスト", 6), "日本…");
        assert_eq!(truncate("abc", 1), "…");
        assert_eq!(truncate("abc", 0), "");
    }

    #[test]
    fn units_never_round_up_to_a_thousand() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "1.0 kB");
        assert_eq!(bytes(999_949), "999.9 kB");
        assert_eq!(bytes(999_950), "1.0 MB");
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
    }

    #[test]
    fn spans_are_short_at_every_size() {
        assert_eq!(duration(Duration::from_millis(999)), "0.9s");
        assert_eq!(duration(Duration::from_secs(125)), "2m05s");
        assert_eq!(duration(Duration::from_secs(3720)), "1h02m");
    }
}
