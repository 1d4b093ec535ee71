//! The colours, or none.

use std::io;

use anstyle::{AnsiColor, Style};

/// The styles of a display. Without colours each of them prints nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Palette {
    /// Something went well.
    pub good: Style,
    /// Something failed.
    pub bad: Style,
    /// Something the user should look at.
    pub warning: Style,
    /// Something is going on, or was not needed.
    pub active: Style,
    /// Less important than the rest.
    pub dim: Style,
}

impl Palette {
    /// With colours.
    #[must_use]
    pub fn colored() -> Self {
        Self {
            good: AnsiColor::Green.on_default(),
            bad: AnsiColor::Red.on_default().bold(),
            warning: AnsiColor::Yellow.on_default(),
            active: AnsiColor::Cyan.on_default(),
            dim: Style::new().dimmed(),
        }
    }

    /// What standard error takes: no colours unless it is a terminal, nor with `NO_COLOR` or a `TERM` of
    /// `dumb`.
    #[must_use]
    pub fn stderr() -> Self {
        Self::for_choice(anstream::AutoStream::choice(&io::stderr()))
    }

    /// What standard output takes, by the same rules.
    #[must_use]
    pub fn stdout() -> Self {
        Self::for_choice(anstream::AutoStream::choice(&io::stdout()))
    }

    fn for_choice(choice: anstream::ColorChoice) -> Self {
        match choice {
            anstream::ColorChoice::Never => Self::default(),
            _ => Self::colored(),
        }
    }
}

/// The text in the style.
#[must_use]
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
