//! `wharf doctor`: whether this machine can build images, and what to do where it cannot.

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use wharf_core::doctor::{Check, CheckStatus, worst};

use crate::args::{DoctorArgs, GlobalArgs};
use crate::display::palette::{Palette, paint};
use crate::display::text::{bytes, sanitize_lines};
use crate::failure::Failure;
use crate::output::{self, Shown};
use crate::{exit_code, wiring};

/// Below this many free bytes a build is likely to fail: 500 MB.
const DISK_PROBLEM: u64 = 500_000_000;
/// Below this many free bytes a build of a machine-learning image may fail: 5 GB.
const DISK_WARNING: u64 = 5_000_000_000;
/// No clock that is right shows an earlier time: 2026-01-01, in seconds since 1970.
const EARLIEST: i64 = 1_767_225_600;

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub struct Report {
    status: CheckStatus,
    checks: Vec<Check>,
}

/// Runs every check and shows them.
///
/// # Errors
/// When standard output cannot be written. A check that fails is no error: the exit code says so.
pub async fn run(global: &GlobalArgs, args: &DoctorArgs) -> Result<u8, Failure> {
    let mut checks = wiring::diagnose(global.host.as_deref()).await;
    checks.push(disk("disk of the context", &args.context));
    checks.push(clock(Timestamp::now()));
    let report = Report {
        status: worst(&checks),
        checks,
    };
    output::print(global.output, &report)?;
    Ok(match report.status {
        CheckStatus::Problem => exit_code::PROBLEM_FOUND,
        CheckStatus::Ok | CheckStatus::Warning => exit_code::OK,
    })
}

impl Shown for Report {
    type Json = Self;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        render(&self.checks, &Palette::stdout(), out)
    }

    fn json(&self) -> &Self {
        self
    }
}

fn render(checks: &[Check], palette: &Palette, out: &mut dyn Write) -> io::Result<()> {
    let width = checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    let indent = " ".repeat(width + 4);
    for check in checks {
        let (mark, style) = match check.status {
            CheckStatus::Ok => ("✔", palette.good),
            CheckStatus::Warning => ("!", palette.warning),
            CheckStatus::Problem => ("✘", palette.bad),
        };
        let detail = sanitize_lines(&check.detail).replace('\n', &format!("\n{indent}"));
        writeln!(out, "{} {:width$}  {detail}", paint(style, mark), check.name)?;
        if let Some(cure) = &check.cure {
            let cure = sanitize_lines(cure).replace('\n', &format!("\n{indent}"));
            writeln!(out, "{indent}{} {cure}", paint(style, "→"))?;
        }
    }
    Ok(())
}

/// Whether there is room where a path is.
fn disk(name: &str, path: &Path) -> Check {
    match rustix::fs::statvfs(path) {
        Ok(stat) => disk_check(name, path, stat.f_bavail.saturating_mul(stat.f_frsize)),
        Err(error) => Check::problem(
            name,
            format!("{}: {error}", path.display()),
            "Name a directory that exists and can be read.",
        ),
    }
}

fn disk_check(name: &str, path: &Path, free: u64) -> Check {
    let detail = format!("{} free at {}", bytes(free), path.display());
    let cure = "Make room: `docker system df` shows what the engine keeps, `docker builder prune` empties its cache.";
    if free < DISK_PROBLEM {
        Check::problem(name, detail, cure)
    } else if free < DISK_WARNING {
        Check::warning(name, detail, cure)
    } else {
        Check::ok(name, detail)
    }
}

/// A clock that is far behind makes every certificate look as if it were not valid yet.
fn clock(now: Timestamp) -> Check {
    let shown = now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    if now.as_second() < EARLIEST {
        let cure =
            "Set the clock, for example with `timedatectl set-ntp true`; TLS and logins fail until then.";
        return Check::problem("clock", format!("{shown}, which is in the past"), cure);
    }
    Check::ok("clock", shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_stands_with_its_cure() {
        let checks = [
            Check::ok("engine", "Docker 28.2\nBuildKit"),
            Check::warning("disk", "1.0 GB free", "Make room."),
            Check::problem("registry", "no\x1b[2J login", "Log in."),
        ];
        let mut out = Vec::new();
        render(&checks, &Palette::default(), &mut out).unwrap();
        let expected = "\
✔ engine    Docker 28.2
            BuildKit
! disk      1.0 GB free
            → Make room.
✘ registry  no login
            → Log in.
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_full_disk_is_a_problem_and_a_small_one_a_warning() {
        let status = |free| disk_check("disk", Path::new("/"), free).status;
        assert_eq!(status(DISK_PROBLEM - 1), CheckStatus::Problem);
        assert_eq!(status(DISK_PROBLEM), CheckStatus::Warning);
        assert_eq!(status(DISK_WARNING), CheckStatus::Ok);
        assert_eq!(disk("disk", Path::new("/not/there")).status, CheckStatus::Problem);
    }

    #[test]
    fn a_clock_in_the_past_is_a_problem() {
        assert_eq!(clock(Timestamp::UNIX_EPOCH).status, CheckStatus::Problem);
        let later = Timestamp::from_second(EARLIEST + 60).unwrap();
        assert_eq!(clock(later), Check::ok("clock", "2026-01-01 00:01:00 UTC"));
    }
}
