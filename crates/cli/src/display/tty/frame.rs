//! The live region as lines: a pure function of the model, the time and the size of the terminal.

use anstyle::Style;
use jiff::Timestamp;
use wharf_core::event::{Progress, StepState};

use crate::display::Model;
use crate::display::model::{StepView, prefixed};
use crate::display::palette::{Palette, paint};
use crate::display::plain::{counter_text, of_total};
use crate::display::terminal::Size;
use crate::display::text::{duration, plural, truncate, width};

/// How many lines of output of one step are shown, at most.
const LOG_LINES: usize = 8;
/// How many counters of one step are shown, at most.
const COUNTERS: usize = 10;
/// How many of them count the images' contexts, at most.
const CONTEXTS: usize = 4;
/// Cells of the bar of a counter.
const BAR: usize = 20;
/// The signs of something that runs, one after the other.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// A line, and how many columns it takes without its colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) width: usize,
}

impl Line {
    /// A line in full, however long.
    pub(super) fn styled(style: Style, text: &str) -> Self {
        Self {
            text: paint(style, text),
            width: width(text),
        }
    }

    /// A line that is cut to fit. The last column stays free: terminals differ in what they do there.
    fn cut(style: Style, text: &str, columns: usize) -> Self {
        let text = truncate(text, columns.saturating_sub(1));
        Self::styled(style, &text)
    }
}

/// A mark, a text that is cut to fit, and something at the right end.
pub(super) fn row(mark: &str, style: Style, text: &str, right: &str, columns: usize) -> Line {
    let room = columns.saturating_sub(1);
    let fixed = width(mark) + 1 + 1 + width(right);
    if room < fixed + 8 {
        return Line::cut(style, &format!("{mark} {text}"), columns);
    }
    let text = truncate(text, room - fixed);
    let gap = " ".repeat(room - fixed - width(&text) + 1);
    Line {
        text: format!("{} {text}{gap}{}", paint(style, mark), paint(style, right)),
        width: room,
    }
}

/// The live region: running steps with what they say and count, the contexts being sent, and a line that
/// sums it up. It always leaves one row of the terminal free, where the cursor is.
pub(super) fn frame(model: &Model, now: Timestamp, size: Size, palette: &Palette) -> Vec<Line> {
    let running: Vec<&StepView> = model.steps.iter().filter(|step| step.is_running()).collect();
    let status = status(model, now);
    let Some(status) = status else {
        return Vec::new();
    };
    let rows = size.rows.saturating_sub(2);
    let columns = size.columns;
    let mut lines = contexts(model, columns, palette);
    lines.extend(counter_rows(&model.counters, COUNTERS, columns, palette));
    lines.truncate(rows.saturating_sub(1));
    let room = rows - lines.len().min(rows);
    lines.extend(steps(&running, now, room, columns, palette));
    lines.truncate(rows);
    lines.push(Line::cut(palette.dim, &status, columns));
    lines
}

/// Every running step gets a row; what rows remain are shared for what the steps say and count.
fn steps(running: &[&StepView], now: Timestamp, room: usize, columns: usize, palette: &Palette) -> Vec<Line> {
    let fits = if running.len() > room {
        room.saturating_sub(1)
    } else {
        running.len()
    };
    let mut spare = room.saturating_sub(running.len());
    let mut lines = Vec::new();
    for (at, step) in running[..fits].iter().enumerate() {
        let share = spare.div_ceil(fits - at);
        let details = details(step, share, columns, palette);
        spare -= details.len();
        let elapsed = step.elapsed(now);
        let turn = usize::try_from(elapsed.as_millis() / 100).unwrap_or(0) % SPINNER.len();
        lines.push(row(
            SPINNER[turn],
            palette.active,
            &step.title(),
            &duration(elapsed),
            columns,
        ));
        lines.extend(details);
    }
    if running.len() > fits && room > 0 {
        let more = running.len() - fits;
        lines.push(Line::cut(
            palette.dim,
            &format!("… and {more} more running"),
            columns,
        ));
    }
    lines
}

fn details(step: &StepView, room: usize, columns: usize, palette: &Palette) -> Vec<Line> {
    let mut lines = counter_rows(&step.counters, COUNTERS.min(room), columns, palette);
    let logs = LOG_LINES.min(room - lines.len()).min(step.tail.len());
    let tail = step.tail.iter().skip(step.tail.len() - logs);
    lines.extend(tail.map(|line| Line::cut(palette.dim, &format!("  │ {}", line.text), columns)));
    lines
}

/// Counters that are still moving, the first `most` of them, and how many more there are.
fn counter_rows(counters: &[Progress], most: usize, columns: usize, palette: &Palette) -> Vec<Line> {
    let moving: Vec<&Progress> = counters.iter().filter(|counter| !counter.done).collect();
    let fits = if moving.len() > most {
        most.saturating_sub(1)
    } else {
        moving.len()
    };
    let mut lines: Vec<Line> = moving[..fits]
        .iter()
        .map(|counter| counter_row(counter, columns))
        .collect();
    if moving.len() > fits && most > 0 {
        let more = plural((moving.len() - fits) as u64, "more counter");
        lines.push(Line::cut(palette.dim, &format!("  … {more}"), columns));
    }
    lines
}

fn counter_row(counter: &Progress, columns: usize) -> Line {
    let text = format!("  {}", counter_text(counter));
    let bar = counter.total.map(|total| bar(counter.current, total));
    match bar {
        Some(bar) if width(&text) + width(&bar) + 2 < columns => {
            let gap = " ".repeat(columns - 1 - width(&text) - width(&bar));
            Line::cut(Style::new(), &format!("{text}{gap}{bar}"), columns)
        }
        _ => Line::cut(Style::new(), &text, columns),
    }
}

fn bar(current: u64, total: u64) -> String {
    let cells = (current.min(total) as u128 * BAR as u128)
        .checked_div(u128::from(total))
        .map_or(BAR, |cells| usize::try_from(cells).unwrap_or(BAR));
    format!("{}{}", "━".repeat(cells), "╌".repeat(BAR - cells))
}

fn contexts(model: &Model, columns: usize, palette: &Palette) -> Vec<Line> {
    let sending = model.contexts.iter().filter(|view| !view.progress.done);
    let line = |view: &crate::display::model::ContextView| {
        let sent = &view.progress;
        let of = of_total(sent.bytes, sent.total_bytes);
        let text = format!("sending context: {of}, {}", plural(sent.files, "file"));
        Line::cut(palette.active, &prefixed(view.image.as_deref(), &text), columns)
    };
    sending.map(line).take(CONTEXTS).collect()
}

/// How far everything is: `app:1 · 3/8 steps · 12.4s`. Nothing before anything happened.
fn status(model: &Model, now: Timestamp) -> Option<String> {
    model.begun?;
    let mut parts = Vec::new();
    match model.queued.as_slice() {
        [] => {}
        [one] => parts.push(crate::display::text::sanitize(&one.image)),
        many => parts.push(plural(many.len() as u64, "image")),
    }
    let over = model.steps.iter().filter(|step| step.is_over()).count();
    if !model.steps.is_empty() {
        parts.push(format!("{over}/{} steps", model.steps.len()));
    }
    parts.push(duration(model.elapsed(now)));
    Some(parts.join(" · "))
}

/// The last line, once everything is over.
pub(super) fn closing(model: &Model, now: Timestamp) -> Option<String> {
    let over = model.steps.iter().filter(|step| step.is_over()).count();
    if over == 0 {
        return None;
    }
    let cached = model
        .steps
        .iter()
        .filter(|step| step.state == StepState::Cached)
        .count();
    let steps = plural(over as u64, "step");
    let elapsed = duration(model.elapsed(now));
    Some(format!("{steps} in {elapsed}, {cached} of them cached"))
}
