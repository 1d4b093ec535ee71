//! Which process made something in a cluster, so that another one on the same machine can see whether it still
//! runs.

use std::fmt;
use std::fs;
use std::str::FromStr;

/// A process on a machine: `<machine>/<id>/<start>`.
///
/// The machine is known by its boot and its namespace of process ids, so that two containers are two machines;
/// the start tells a process from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    machine: String,
    process: u32,
    start: u64,
}

/// The process that runs this.
pub(crate) fn this_process() -> Owner {
    let process = std::process::id();
    Owner {
        machine: this_machine(),
        process,
        start: start_of(process).unwrap_or_default(),
    }
}

impl Owner {
    /// Whether the process is known to have ended: it was on this machine, and is not any more.
    pub(crate) fn has_ended(&self) -> bool {
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
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let (Some(machine), Some(process), Some(start), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        Ok(Self {
            machine: machine.to_owned(),
            process: process.parse().map_err(drop)?,
            start: start.parse().map_err(drop)?,
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
        let this = this_process();
        assert_eq!(this.to_string().parse(), Ok(this.clone()));
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
