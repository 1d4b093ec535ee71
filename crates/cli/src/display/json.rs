//! The events themselves, one JSON object per line.

use std::io::{self, Write};

use wharf_core::event::TimedEvent;

use super::{Change, Display, Model};

/// Writes every event as it came. Nothing is left out, gathered or reworded.
#[derive(Debug)]
pub struct Json<W>(W);

impl<W: Write + Send> Json<W> {
    /// Writes into `out`.
    pub fn new(out: W) -> Self {
        Self(out)
    }
}

impl<W: Write + Send> Display for Json<W> {
    fn event(&mut self, _: &Model, event: &TimedEvent, _: Change) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::log;
    use super::*;

    #[test]
    fn every_line_is_an_event() {
        let mut out = Vec::new();
        let events = [log(0, None, "two\u{1b}[0m words"), log(1500, Some("1"), "x")];
        for event in &events {
            Json::new(&mut out)
                .event(&Model::default(), event, Change::None)
                .unwrap();
        }
        let read: Vec<TimedEvent> = std::str::from_utf8(&out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, events);
    }
}
