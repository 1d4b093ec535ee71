//! The live view of a terminal: what is over scrolls away above, what runs is redrawn below.

mod frame;

use std::io::{self, Write};

use jiff::Timestamp;
use wharf_core::event::{BuildEvent, StepState, TimedEvent};

use super::model::prefixed;
use super::palette::Palette;
use super::plain::{announcement, warning_lines};
use super::terminal::{CLEAR_BELOW, CLEAR_LINE, HIDE_CURSOR, SHOW_CURSOR, Size, StderrTerminal};
use super::text::{duration, sanitize};
use super::{Change, Display, Model};
use frame::{Line, row};

/// The live view. It draws on ticks only, however many events there are between two of them.
pub struct Tty<W: Write> {
    out: W,
    size: Box<dyn Fn() -> Size + Send>,
    palette: Palette,
    history: Vec<Entry>,
    /// How wide each line of the live region was when it was drawn.
    drawn: Vec<usize>,
    cursor_hidden: bool,
}

/// Something that is over, and will be drawn once.
#[derive(Debug)]
enum Entry {
    /// A finished step, by its index.
    Step(usize),
    /// Text that stands in full, however long it is.
    Text(anstyle::Style, String),
}

impl<W: Write> std::fmt::Debug for Tty<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tty")
            .field("history", &self.history)
            .field("drawn", &self.drawn)
            .finish_non_exhaustive()
    }
}

impl Tty<StderrTerminal> {
    /// The live view on standard error.
    #[must_use]
    pub fn stderr(palette: Palette) -> Self {
        Self::new(StderrTerminal::new(), Box::new(Size::of_stderr), palette)
    }
}

impl<W: Write> Tty<W> {
    /// Draws into `out`; `size` is asked again for each drawing, so that the window may be resized.
    pub fn new(out: W, size: Box<dyn Fn() -> Size + Send>, palette: Palette) -> Self {
        Self {
            out,
            size,
            palette,
            history: Vec::new(),
            drawn: Vec::new(),
            cursor_hidden: false,
        }
    }

    /// Draws what is new in the history, and the region below it, in one write.
    fn draw(&mut self, model: &Model, region: &[Line], size: Size) -> io::Result<()> {
        let mut text = String::new();
        if !self.cursor_hidden {
            text.push_str(HIDE_CURSOR);
        }
        text.push_str(&self.back_to_top(size));
        for entry in std::mem::take(&mut self.history) {
            text.push_str(&self.entry(model, &entry, size).text);
            text.push_str(CLEAR_LINE);
            text.push('\n');
        }
        for line in region {
            text.push_str(&line.text);
            text.push_str(CLEAR_LINE);
            text.push('\n');
        }
        text.push_str(CLEAR_BELOW);
        self.cursor_hidden = true;
        self.drawn = region.iter().map(|line| line.width).collect();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Moves the cursor to the first row of the region. A window that became narrower has wrapped the lines
    /// in the meantime.
    fn back_to_top(&self, size: Size) -> String {
        let columns = size.columns.max(1);
        let rows: usize = self
            .drawn
            .iter()
            .map(|width| width.div_ceil(columns).max(1))
            .sum();
        match rows.min(size.rows.saturating_sub(1)) {
            0 => "\r".to_owned(),
            up => format!("\r\x1b[{up}A"),
        }
    }

    fn entry(&self, model: &Model, entry: &Entry, size: Size) -> Line {
        match entry {
            Entry::Text(style, text) => Line::styled(*style, text),
            Entry::Step(step) => {
                let view = &model.steps[*step];
                let took = duration(view.took.unwrap_or_default());
                let p = &self.palette;
                let (mark, style, end) = match &view.state {
                    StepState::Cached => ("✔", p.active, "CACHED".to_owned()),
                    StepState::Failed { .. } => ("✘", p.bad, format!("ERROR {took}")),
                    StepState::Cancelled => ("-", p.warning, format!("CANCELLED {took}")),
                    _ => ("✔", p.good, took),
                };
                row(mark, style, &view.title(), &end, size.columns)
            }
        }
    }

    fn remember(&mut self, event: &TimedEvent) {
        let image = event.image.as_deref();
        let p = self.palette;
        match &event.event {
            BuildEvent::Log(log) => {
                let text = prefixed(image, &sanitize(&log.line));
                self.history.push(Entry::Text(p.dim, text));
            }
            BuildEvent::Warning(warning) => {
                let lines = warning_lines(warning).into_iter();
                let entries = lines.map(|line| Entry::Text(p.warning, prefixed(image, &line)));
                self.history.extend(entries);
            }
            other => {
                let text = announcement(other).map(|text| prefixed(image, &text));
                self.history.extend(text.map(|text| Entry::Text(p.dim, text)));
            }
        }
    }

    /// Steps that never said how they ended: the build was stopped.
    fn close(&mut self, model: &Model, now: Timestamp) {
        for step in model.steps.iter().filter(|step| step.is_running()) {
            let text = format!(
                "- {} (stopped after {})",
                step.title(),
                duration(step.elapsed(now))
            );
            self.history.push(Entry::Text(self.palette.warning, text));
        }
        if let Some(text) = frame::closing(model, now) {
            self.history.push(Entry::Text(self.palette.dim, text));
        }
    }
}

impl<W: Write> Tty<W> {
    fn show_cursor(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.cursor_hidden) {
            self.out.write_all(SHOW_CURSOR.as_bytes())?;
            self.out.flush()?;
        }
        Ok(())
    }
}

impl<W: Write + Send> Display for Tty<W> {
    fn event(&mut self, _: &Model, event: &TimedEvent, change: Change) -> io::Result<()> {
        match change {
            Change::Ended(step) => self.history.push(Entry::Step(step)),
            Change::Log(None) | Change::Event => self.remember(event),
            _ => {}
        }
        Ok(())
    }

    fn tick(&mut self, model: &Model, now: Timestamp) -> io::Result<()> {
        let size = (self.size)();
        let region = frame::frame(model, now, size, &self.palette);
        if region.is_empty() && self.drawn.is_empty() && self.history.is_empty() {
            return Ok(());
        }
        self.draw(model, &region, size)
    }

    fn finish(&mut self, model: &Model, now: Timestamp) -> io::Result<()> {
        self.close(model, now);
        if !self.history.is_empty() || !self.drawn.is_empty() {
            self.draw(model, &[], (self.size)())?;
        }
        self.show_cursor()
    }
}

impl<W: Write> Drop for Tty<W> {
    fn drop(&mut self) {
        let _ = self.show_cursor();
    }
}

#[cfg(test)]
mod tests;
