//! What a real terminal would show after the bytes of a display.

use std::num::NonZero;
use std::sync::{Arc, Mutex};

use wharf_core::event::Queued;

use super::super::fixture::{at, context, counter, event, log, step};
use super::*;

/// A terminal of a given size that may be resized between two drawings.
#[derive(Clone)]
struct Screen(Arc<Mutex<(vt100::Parser, Size)>>);

fn nonzero(size: u16) -> NonZero<u16> {
    NonZero::new(size).unwrap()
}

impl Screen {
    fn new(columns: u16, rows: u16) -> Self {
        let parser = vt100::Parser::new(nonzero(rows), nonzero(columns), 200);
        let size = Size {
            columns: columns.into(),
            rows: rows.into(),
        };
        Self(Arc::new(Mutex::new((parser, size))))
    }

    fn tty(&self, palette: Palette) -> Tty<Self> {
        let this = self.clone();
        Tty::new(self.clone(), Box::new(move || this.0.lock().unwrap().1), palette)
    }

    fn resize(&self, columns: u16, rows: u16) {
        let mut inner = self.0.lock().unwrap();
        inner.0.screen_mut().set_size(nonzero(rows), nonzero(columns));
        inner.1 = Size {
            columns: columns.into(),
            rows: rows.into(),
        };
    }

    /// What is on the screen, without trailing empty rows.
    fn text(&self) -> String {
        let inner = self.0.lock().unwrap();
        let contents = inner.0.screen().contents();
        contents.trim_end().to_owned()
    }

    fn cursor_hidden(&self) -> bool {
        self.0.lock().unwrap().0.screen().hide_cursor()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A terminal's line discipline turns a line feed into a new line.
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut inner = self.0.lock().unwrap();
            inner.0.process(line);
            if line.ends_with(b"\n") {
                inner.0.process(b"\r");
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Show {
    model: Model,
    tty: Tty<Screen>,
    screen: Screen,
}

impl Show {
    fn new(columns: u16, rows: u16) -> Self {
        let screen = Screen::new(columns, rows);
        let tty = screen.tty(Palette::default());
        Self {
            model: Model::default(),
            tty,
            screen,
        }
    }

    fn events(&mut self, events: &[TimedEvent]) -> &mut Self {
        for event in events {
            let change = self.model.apply(event);
            self.tty.event(&self.model, event, change).unwrap();
        }
        self
    }

    fn tick(&mut self, millis: i64) -> String {
        self.tty.tick(&self.model, at(millis)).unwrap();
        self.screen.text()
    }

    fn finish(&mut self, millis: i64) -> String {
        self.tty.finish(&self.model, at(millis)).unwrap();
        self.screen.text()
    }
}

fn failed() -> StepState {
    StepState::Failed {
        error: "exit code: 1".into(),
    }
}

#[test]
fn running_steps_are_live_and_finished_ones_stay_above() {
    let mut show = Show::new(60, 20);
    show.events(&[
        event(
            0,
            BuildEvent::Queued(Queued {
                builder: "local".into(),
                image: "app:1".into(),
            }),
        ),
        step(0, "a", "[1/3] FROM python", StepState::Cached),
        step(0, "b", "[2/3] RUN make", StepState::Started),
        step(0, "c", "[3/3] COPY . .", StepState::Pending),
        log(200, Some("b"), "compiling"),
        context(300, 2_000_000, false),
        counter(400, "b", "layer", 500_000, Some(1_000_000)),
        counter(400, "b", "other", 7, Some(7)),
    ]);
    assert_eq!(
        show.tick(1500),
        "\
building app:1 with local
✔ [1/3] FROM python                                  CACHED
sending context: 2.0 MB, 3 files
⠴ [2/3] RUN make                                       1.5s
  layer Pushing 500.0 kB / 1.0 MB      ━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌
  │ compiling
app:1 · 1/3 steps · 1.5s"
    );
    show.events(&[
        context(1600, 2_500_000, true),
        step(2000, "b", "[2/3] RUN make", StepState::Done),
        step(2000, "c", "[3/3] COPY . .", StepState::Started),
    ]);
    assert_eq!(
        show.tick(2100),
        "\
building app:1 with local
✔ [1/3] FROM python                                  CACHED
✔ [2/3] RUN make                                       2.0s
⠙ [3/3] COPY . .                                       0.1s
app:1 · 2/3 steps · 2.1s"
    );
    assert!(show.screen.cursor_hidden());
    show.events(&[step(2500, "c", "[3/3] COPY . .", failed())]);
    assert_eq!(
        show.finish(2500),
        "\
building app:1 with local
✔ [1/3] FROM python                                  CACHED
✔ [2/3] RUN make                                       2.0s
✘ [3/3] COPY . .                                 ERROR 0.5s
3 steps in 2.5s, 1 of them cached"
    );
    assert!(!show.screen.cursor_hidden());
}

#[test]
fn drawing_again_leaves_no_traces_of_the_drawing_before() {
    let mut show = Show::new(40, 10);
    show.events(&[step(0, "a", "step", StepState::Started)]);
    let lines: Vec<_> = (0..30).map(|n| log(n, Some("a"), &format!("line {n}"))).collect();
    show.events(&lines);
    let first = show.tick(1000);
    assert_eq!(first, show.tick(1000));
    assert!(first.contains("line 29") && !first.contains("line 20"), "{first}");
    show.events(&[step(2000, "a", "step", StepState::Done)]);
    assert_eq!(
        show.finish(2000),
        "✔ step                             2.0s\n1 step in 2.0s, 0 of them cached"
    );
}

#[test]
fn a_region_that_does_not_fit_is_cut_and_the_history_survives() {
    let mut show = Show::new(30, 6);
    let steps: Vec<_> = (0..10)
        .map(|n| step(0, &n.to_string(), &format!("step {n}"), StepState::Started))
        .collect();
    show.events(&steps);
    for millis in [0, 100, 200] {
        assert_eq!(
            show.tick(millis).lines().skip(3).collect::<Vec<_>>(),
            [
                "… and 7 more running",
                &format!("0/10 steps · 0.{}s", millis / 100)
            ]
        );
    }
    assert_eq!(show.tick(0).lines().count(), 5);
}

#[test]
fn a_long_line_is_cut_to_the_width_the_terminal_has_now() {
    let mut show = Show::new(40, 10);
    let name = "RUN ".to_owned() + &"日本".repeat(50);
    show.events(&[
        step(0, "a", &name, StepState::Started),
        log(0, Some("a"), &"x".repeat(500)),
    ]);
    let wide = show.tick(0);
    assert_eq!(wide.lines().count(), 3, "{wide}");
    show.screen.resize(20, 10);
    let narrow = show.tick(0);
    let last: Vec<&str> = narrow.lines().rev().take(3).collect();
    assert_eq!(last[1], format!("  │ {}…", "x".repeat(14)));
    assert!(last[2].ends_with("0.0s"), "{narrow}");
    show.screen.resize(80, 10);
    assert!(show.tick(0).lines().any(|line| line.ends_with('…')));
}

#[test]
fn a_terminal_without_room_breaks_nothing() {
    for (columns, rows) in [(1, 1), (2, 1), (5, 2), (9, 3)] {
        let mut show = Show::new(columns, rows);
        show.events(&[
            step(0, "a", "[1/1] RUN something", StepState::Started),
            log(0, Some("a"), "output"),
            counter(0, "a", "layer", 1, Some(2)),
            context(0, 1, false),
        ]);
        show.tick(0);
        show.tick(100);
        show.finish(200);
        assert!(!show.screen.cursor_hidden());
    }
}

#[test]
fn the_cursor_comes_back_when_the_display_is_dropped() {
    let mut show = Show::new(40, 10);
    show.events(&[step(0, "a", "a", StepState::Started)]).tick(0);
    let Show { tty, screen, .. } = show;
    assert!(screen.cursor_hidden());
    drop(tty);
    assert!(!screen.cursor_hidden());
}

#[test]
fn without_colours_nothing_but_movement_is_written() {
    let screen = Screen::new(40, 10);
    for (palette, colored) in [(Palette::default(), false), (Palette::colored(), true)] {
        let mut out = Vec::new();
        let this = screen.clone();
        let mut tty = Tty::new(&mut out, Box::new(move || this.0.lock().unwrap().1), palette);
        let mut model = Model::default();
        let done = step(0, "a", "a", StepState::Done);
        let change = model.apply(&done);
        tty.event(&model, &done, change).unwrap();
        tty.finish(&model, at(0)).unwrap();
        drop(tty);
        let text = String::from_utf8(out).unwrap();
        let styles = text.split("\x1b[").any(|part| {
            part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .starts_with('m')
        });
        assert_eq!(styles, colored, "{text:?}");
    }
}

#[test]
fn what_is_not_a_step_stays_in_full() {
    let mut show = Show::new(20, 10);
    show.events(&[
        log(0, None, "a long line of the builder itself"),
        event(
            0,
            BuildEvent::Warning(wharf_core::event::Warning::new("careful\x1b[2J")),
        ),
    ]);
    assert_eq!(
        show.finish(0),
        "a long line of the builder itself\nwarning: careful"
    );
}

#[test]
fn a_step_that_never_ended_is_shown_as_stopped() {
    let mut show = Show::new(50, 10);
    show.events(&[step(0, "a", "RUN sleep", StepState::Started)]);
    show.tick(100);
    assert_eq!(show.finish(3000), "- RUN sleep (stopped after 3.0s)");
}
