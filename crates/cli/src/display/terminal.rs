//! The terminal below a live display: its size, and its cursor, which must come back whatever happens.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the cursor of standard error is hidden by wharf now.
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// Hides the cursor.
pub const HIDE_CURSOR: &str = "\x1b[?25l";
/// Shows the cursor.
pub const SHOW_CURSOR: &str = "\x1b[?25h";
/// Clears from the cursor to the end of the line.
pub const CLEAR_LINE: &str = "\x1b[K";
/// Clears from the cursor to the end of the screen.
pub const CLEAR_BELOW: &str = "\x1b[J";

/// Columns and rows of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a row.
    pub columns: usize,
    /// Rows on the screen.
    pub rows: usize,
}

impl Size {
    /// Where the terminal does not say how large it is.
    pub const DEFAULT: Self = Self {
        columns: 80,
        rows: 24,
    };

    /// The size of the terminal behind standard error, now.
    #[must_use]
    pub fn of_stderr() -> Self {
        match terminal_size::terminal_size_of(io::stderr()) {
            Some((terminal_size::Width(columns), terminal_size::Height(rows))) if columns > 0 && rows > 0 => {
                Self {
                    columns: columns.into(),
                    rows: rows.into(),
                }
            }
            _ => Self::DEFAULT,
        }
    }
}

/// Standard error, which remembers whether its cursor is hidden.
#[derive(Debug)]
pub struct StderrTerminal(io::Stderr);

impl StderrTerminal {
    /// Takes standard error, and makes a panic give the cursor back before it prints.
    #[must_use]
    pub fn new() -> Self {
        static HOOK: std::sync::Once = std::sync::Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        });
        Self(io::stderr())
    }
}

impl Default for StderrTerminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for StderrTerminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        note_cursor(bytes);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The last word about the cursor in what is written decides.
fn note_cursor(bytes: &[u8]) {
    let last = |needle: &str| {
        bytes
            .windows(needle.len())
            .rposition(|window| window == needle.as_bytes())
    };
    let (hidden, shown) = (last(HIDE_CURSOR), last(SHOW_CURSOR));
    if hidden.is_some() || shown.is_some() {
        HIDDEN.store(hidden > shown, Ordering::SeqCst);
    }
}

/// Shows the cursor of standard error again if wharf hid it. For ways out that run no destructors.
pub fn restore() {
    if HIDDEN.swap(false, Ordering::SeqCst) {
        let _ = io::stderr().write_all(format!("\r{CLEAR_BELOW}{SHOW_CURSOR}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_the_cursor_decides() {
        note_cursor(format!("{SHOW_CURSOR}{HIDE_CURSOR}x").as_bytes());
        assert!(HIDDEN.load(Ordering::SeqCst));
        note_cursor(b"only text");
        assert!(HIDDEN.load(Ordering::SeqCst));
        note_cursor(format!("{HIDE_CURSOR}{SHOW_CURSOR}").as_bytes());
        assert!(!HIDDEN.load(Ordering::SeqCst));
    }
}
