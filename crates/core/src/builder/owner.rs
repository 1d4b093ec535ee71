//! Which process made something in a cluster or in a cloud, so that another one on the same machine can see whether it
//! still runs.

use std::fmt;
use std::fs;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// A process on a machine: `<machine>/<id>/<start>`.
///
/// The machine is known by its boot and its namespace of process ids, so that two containers are two machines;
/// the start tells a process from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    machine: String,
    process: u32,
    start: u64,
}

impl Owner {
    /// The process that runs this.
    #[must_use]
    pub fn this_process() -> Self {
        let process = std::process::id();
        Self {
            machine: this_machine(),
            process,
            start: start_of(process).unwrap_or_default(),
        }
    }

    /// Whether the process is known to have ended: it was on this machine, and is not any more.
    ///
    /// Never without `/proc`, as on macOS: there nothing is known.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.machine == this_machine()
            && !self.machine.is_empty()
            && start_of(self.process) != Some(self.start)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.machine, self.process, self.start)
    }
}

impl FromStr for Owner {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a text that no owner was printed as.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::new(ErrorKind::InvalidInput, format!("`{text}` names no process"));
        let mut parts = text.split('/');
        let (Some(machine), Some(process), Some(start), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Self {
            machine: machine.to_owned(),
            process: process.parse().map_err(|_| wrong())?,
            start: start.parse().map_err(|_| wrong())?,
        })
    }
}

/// Empty where there is no `/proc`.
fn this_machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let space = space.to_string_lossy();
    let space: String = space.chars().filter(char::is_ascii_digit).collect();
    match boot.trim() {
        "" => String::new(),
        boot => format!("{boot}-{space}"),
    }
}

/// When a process started, in ticks since the boot: field 22 of proc(5)'s `stat`.
fn start_of(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in the second field may hold anything, a parenthesis among it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A process that ended and was not waited for is still listed.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_has_not_ended_and_one_before_it_has() {
        let this = Owner::this_process();
        assert_eq!(this.to_string().parse::<Owner>().unwrap(), this);
        assert!(!this.has_ended());
        let earlier = Owner {
            start: 1,
            ..this.clone()
        };
        assert!(earlier.has_ended());
        let elsewhere = Owner {
            machine: "another".into(),
            ..earlier
        };
        assert!(!elsewhere.has_ended());
        assert!("a/b".parse::<Owner>().is_err());
    }

    #[test]
    fn a_process_that_ended_has() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let owner = Owner {
            start: start_of(child.id()).unwrap(),
            process: child.id(),
            machine: this_machine(),
        };
        assert!(!owner.has_ended());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(owner.has_ended());
    }
}
