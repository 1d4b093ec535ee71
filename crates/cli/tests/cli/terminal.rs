//! The command with a terminal: the live view, colours, and what a terminal must not get.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::Sandbox;

/// A terminal: the end that a user sees, and the end that a program writes to.
struct Terminal {
    seen: File,
    program: File,
}

impl Terminal {
    fn new() -> Self {
        let seen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&seen).unwrap();
        unlockpt(&seen).unwrap();
        let name = ptsname(&seen, Vec::new()).unwrap().into_string().unwrap();
        let program = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&program, size).unwrap();
        Self {
            seen: seen.into(),
            program,
        }
    }

    /// Runs a command whose standard error is this terminal; gives its code, its output and what was seen.
    fn run(self, mut command: Command) -> (Option<i32>, String, String) {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(self.program)
            .env("TERM", "xterm-256color")
            .spawn()
            .unwrap();
        // The command holds the program's end, too.
        drop(command);
        let mut seen = Vec::new();
        let mut terminal = self.seen;
        let mut buffer = [0; 4096];
        // The end of a terminal is an error.
        while let Ok(count) = terminal.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..count]);
        }
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let seen = String::from_utf8_lossy(&seen).into_owned();
        (child.wait().unwrap().code(), stdout, seen)
    }
}

fn build(more: &[&str]) -> (Sandbox, Command) {
    let sandbox = Sandbox::with(&[("Dockerfile", "FROM scratch\n")]);
    let command = sandbox.command(&[&["build", "-t", "app:1", "--flavor", "memory"], more].concat());
    (sandbox, command)
}

#[test]
fn a_terminal_gets_the_live_view_and_its_cursor_back() {
    let (_sandbox, command) = build(&[]);
    let (code, stdout, seen) = Terminal::new().run(command);
    assert_eq!((code, stdout.as_str()), (Some(0), "app:1\n"), "{seen}");
    assert!(seen.contains("read Dockerfile"), "{seen:?}");
    let (hidden, shown) = (seen.rfind("\x1b[?25l"), seen.rfind("\x1b[?25h"));
    assert!(hidden.is_some() && hidden < shown, "{seen:?}");
    assert!(seen.contains("\x1b[32m✔"), "{seen:?}");
}

#[test]
fn with_no_color_the_live_view_has_no_colours() {
    let (_sandbox, mut command) = build(&["--progress", "tty"]);
    command.env("NO_COLOR", "1");
    let (code, _, seen) = Terminal::new().run(command);
    assert_eq!(code, Some(0));
    assert!(seen.contains("✔ read Dockerfile"), "{seen:?}");
    assert!(!seen.contains("\x1b[32m"), "{seen:?}");
}

#[test]
fn plain_progress_stays_plain_on_a_terminal() {
    let (_sandbox, command) = build(&["--progress", "plain"]);
    let (_, _, seen) = Terminal::new().run(command);
    assert!(seen.contains("#1 read Dockerfile"), "{seen:?}");
    assert!(!seen.contains('\x1b'), "{seen:?}");
}

#[test]
fn an_archive_is_nothing_for_a_terminal() {
    let sandbox = Sandbox::with(&[("Dockerfile", "FROM scratch\n")]);
    let terminal = Terminal::new();
    let output = sandbox
        .command(&["context", "archive", "-o", "-"])
        .stdout(terminal.program)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing for a terminal"));
}
