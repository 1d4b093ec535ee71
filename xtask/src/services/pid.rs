//! Processes known by their id and start time, so that an id the system has given away again is never signalled.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::machine::{is_root, privileged};
use crate::process::succeeds;

/// One process, which is the leader of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    id: i32,
    started: u64,
}

impl Process {
    /// The process with this id. A child is one until it is waited for, also when it has ended already.
    pub(crate) fn with_id(id: u32) -> Result<Process> {
        let id = i32::try_from(id)?;
        let stat = Stat::read(id).with_context(|| format!("there is no process {id}"))?;
        let started = stat.started;
        Ok(Process { id, started })
    }

    /// Reads what [`Process::to_text`] wrote.
    pub(crate) fn from_text(text: &str) -> Option<Process> {
        let (id, started) = text.trim().split_once(' ')?;
        Some(Process {
            id: id.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    /// One line for a file.
    pub(crate) fn to_text(self) -> String {
        format!("{} {}\n", self.id, self.started)
    }

    /// Whether it still runs. A zombie does not.
    pub(crate) fn is_alive(self) -> bool {
        let running = Stat {
            ended: false,
            started: self.started,
        };
        Stat::read(self.id) == Some(running)
    }

    /// Asks its process group to end, waits as long as `patience`, then kills the group.
    pub(crate) fn stop(self, patience: Duration) {
        for (signal, patience) in [
            (Signal::SIGTERM, patience),
            (Signal::SIGKILL, Duration::from_secs(5)),
        ] {
            if !self.is_alive() {
                return;
            }
            signal_group(self.id, signal);
            self.wait(patience);
        }
    }

    fn wait(self, patience: Duration) {
        let start = Instant::now();
        while self.is_alive() && start.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn signal_group(id: i32, signal: Signal) {
    if is_root() {
        // It may have ended by itself in between, which is what is wanted.
        let _ = killpg(Pid::from_raw(id), signal);
    } else {
        succeeds(&mut privileged(
            "kill",
            ["-s", &signal.as_str()[3..], "--", &format!("-{id}")],
        ));
    }
}

/// Asks one process to end, a child of this task.
pub(crate) fn terminate(id: i32) {
    let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
}

/// Kills the daemons and their helpers that have `text` in their command line, such as a container's supervisor that
/// outlived the engine whose private folder it names.
pub(crate) fn kill_helpers_naming(text: &str) {
    for id in helpers_naming(text) {
        if is_root() {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        } else {
            succeeds(&mut privileged("kill", ["-s", "KILL", &id.to_string()]));
        }
    }
}

fn helpers_naming(text: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        is_helper(&String::from_utf8_lossy(&line), text)
    })
    .collect()
}

/// `line` as in `/proc/ID/cmdline`: the words are separated by NUL.
fn is_helper(line: &str, text: &str) -> bool {
    const NAMES: [&str; 8] = [
        "dockerd",
        "containerd",
        "docker-proxy",
        "runc",
        "crun",
        "conmon",
        "podman",
        "docker-registry",
    ];
    let program = line.split('\0').next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    let known = NAMES.contains(&name) || name.starts_with("containerd-shim");
    known && line.contains(text)
}

/// A process as the system shows it at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    /// It has ended, and nobody has asked for its exit status yet.
    ended: bool,
    /// When it started, in clock ticks since the machine did: field 22 of `/proc/ID/stat`, see proc(5).
    started: u64,
}

impl Stat {
    fn read(id: i32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Stat> {
        // The second field is a name in parentheses, which may hold anything; the third is the state.
        let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
        let ended = matches!(fields.next()?, "Z" | "X");
        let started = fields.nth(18)?.parse().ok()?;
        Some(Stat { ended, started })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;
    use crate::process::command;

    #[test]
    fn the_start_time_is_read_past_any_name() {
        let rest = "1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        let stat = |ended| Some(Stat { ended, started: 777 });
        assert_eq!(Stat::parse(&format!("7 (a) b) S {rest}")), stat(false));
        assert_eq!(Stat::parse(&format!("7 (gone) Z {rest}")), stat(true));
        assert_eq!(Stat::parse("nonsense"), None);
    }

    #[test]
    fn a_process_is_written_and_read() {
        let own = Process::with_id(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert_eq!(Process::from_text(&own.to_text()), Some(own));
        assert!(
            !Process {
                started: own.started + 1,
                ..own
            }
            .is_alive(),
            "the same id later is another process"
        );
    }

    #[test]
    fn stopping_ends_the_process() {
        let mut child = command("sleep", ["600"]).process_group(0).spawn().unwrap();
        let process = Process::with_id(child.id()).unwrap();
        process.stop(Duration::from_secs(10));
        assert!(!process.is_alive());
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn only_daemons_and_their_helpers_are_taken_for_leftovers() {
        assert!(is_helper(
            "/usr/bin/containerd-shim-runc-v2\0-address\0/tmp/run-1/c.sock\0",
            "/tmp/run-1"
        ));
        assert!(!is_helper("tail\0-f\0/tmp/run-1/engine/log\0", "/tmp/run-1"));
        assert!(!is_helper(
            "/usr/bin/dockerd\0--data-root\0/tmp/run-2\0",
            "/tmp/run-1"
        ));
    }
}
