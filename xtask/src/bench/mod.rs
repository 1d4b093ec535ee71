//! `cargo xtask bench`: how long `wharf` takes compared with what people use today, on this machine, at this moment.
//!
//! Both sides run in turns, so that whatever else the machine does hits both, and only ratios are printed.

mod attach;
pub(crate) mod buildx;
mod pipeline;
mod ratio;
mod sample;
mod stage;
mod upload;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::buildx::Buildx;
use self::pipeline::Pipelines;
use self::ratio::Ratios;
use self::stage::Stage;
use crate::process::{cargo, command, run};
use crate::services::lock_set_up;
use crate::services::machine::Machine;
use crate::services::run_dir::RunDir;

/// Wall time that a build with everything cached may take, in proportion to buildx.
const BUILD_GOAL: f64 = 0.8;
/// Wall time that 300 steps may take to be planned, in proportion to one step.
const PLAN_GOAL: f64 = 2.0;
/// Wall time that eight images at once may take, in proportion to one after the other.
const JOBS_GOAL: f64 = 0.5;
/// Wall time that a pipeline may take with nothing to build, in proportion to `docker build` and `docker push`.
const UNCHANGED_GOAL: f64 = 1.0;
/// Wall time that an upload of a context may take, in proportion to that of a finished archive.
const UPLOAD_GOAL: f64 = 1.0;
/// Wall time that a context may take into a pod, in proportion to `tar` and `kubectl attach`.
const ATTACH_GOAL: f64 = 1.0;

/// What to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Build,
    Archive,
    Plan,
    Jobs,
    Unchanged,
    Upload,
    Attach,
}

impl Subject {
    /// Every subject.
    pub(crate) const ALL: [Subject; 7] = [
        Subject::Build,
        Subject::Archive,
        Subject::Plan,
        Subject::Jobs,
        Subject::Unchanged,
        Subject::Upload,
        Subject::Attach,
    ];

    /// How it is asked for.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Subject::Build => "build",
            Subject::Archive => "archive",
            Subject::Plan => "plan",
            Subject::Jobs => "jobs",
            Subject::Unchanged => "unchanged",
            Subject::Upload => "upload",
            Subject::Attach => "attach",
        }
    }
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) subjects: Vec<Subject>,
    /// Pairs of runs for each subject; at least 1.
    pub(crate) runs: usize,
    /// Whether to measure the build without optimization: quick to have, and good for trying the task out only.
    pub(crate) dev: bool,
}

/// Runs the task.
pub(crate) fn run_task(options: &Options) -> Result<()> {
    let mut stage = Stage::new(RunDir::temporary()?);
    let folder = stage.run_dir.service("bench")?;
    let tree = folder.join("context");
    sample::write(&tree).with_context(|| format!("cannot write {}", tree.display()))?;
    let wharf = build_wharf(options.dev)?;
    let pipelines = Pipelines {
        wharf: &wharf,
        folder: folder.join("pipelines"),
    };
    for subject in &options.subjects {
        let ratios = match subject {
            Subject::Build => compare_builds(&wharf, &tree, &mut stage, options.runs)?,
            Subject::Archive => compare_archives(&wharf, &tree, &mut stage.machine, options.runs)?,
            Subject::Plan => pipelines.plan(options.runs)?,
            Subject::Jobs => pipelines.jobs(&stage.place()?, options.runs)?,
            Subject::Unchanged => {
                let place = stage.place()?;
                let buildx = Buildx::get(&stage.run_dir.service("bench-unchanged")?)?;
                pipelines.unchanged(&place, &buildx, &tree, options.runs)?
            }
            Subject::Upload => upload::compare(&wharf, &mut stage, options.dev, options.runs)?,
            Subject::Attach => attach::compare(&wharf, &mut stage, options.runs)?,
        };
        println!("{}\n  {ratios}{}", title(*subject), goal(*subject));
    }
    Ok(())
}

fn goal(subject: Subject) -> String {
    let goal = match subject {
        Subject::Build => BUILD_GOAL,
        Subject::Archive => return String::new(),
        Subject::Plan => PLAN_GOAL,
        Subject::Jobs => JOBS_GOAL,
        Subject::Unchanged => UNCHANGED_GOAL,
        Subject::Upload => UPLOAD_GOAL,
        Subject::Attach => ATTACH_GOAL,
    };
    format!("; goal: at most {goal:.2}")
}

const fn title(subject: Subject) -> &'static str {
    match subject {
        Subject::Build => "build with everything cached: wall time of `wharf build` / `docker buildx build`",
        Subject::Archive => {
            "archive of the context: wall time of `wharf context archive` / `tar c | pigz -6`"
        }
        Subject::Plan => {
            "plan: wall time of `wharf pipeline plan` of 300 steps with 40 distinct settings / of one step"
        }
        Subject::Jobs => {
            "eight images of a pipeline that each wait a second: wall time of `--jobs 8` / `--jobs 1`"
        }
        Subject::Unchanged => {
            "nothing changed: wall time of `wharf pipeline build` / `docker build` and `docker push`"
        }
        Subject::Upload => {
            "upload of a 1 GiB context to S3: wall time with archiving / of `aws s3 cp` of the finished archive"
        }
        Subject::Attach => {
            "a 300 MiB context into a pod: wall time of sending in `wharf build` / of `tar cz | kubectl attach -i`"
        }
    }
}

fn build_wharf(dev: bool) -> Result<PathBuf> {
    let what = [
        "build",
        "--locked",
        "--package",
        "wharf-cli",
        "--features",
        "kaniko",
    ];
    run(cargo(what).args(["--profile", profile(dev)]))?;
    Ok(release_or_debug(dev)?.join("wharf"))
}

const fn profile(dev: bool) -> &'static str {
    if dev { "dev" } else { "release" }
}

/// Where cargo puts the programs of the profile.
fn release_or_debug(dev: bool) -> Result<PathBuf> {
    let folder = if dev { "debug" } else { "release" };
    Ok(crate::metadata::Workspace::read()?
        .target_directory()?
        .join(folder))
}

fn compare_builds(wharf: &Path, tree: &Path, stage: &mut Stage, runs: usize) -> Result<Ratios> {
    let engine = stage.engine()?;
    let buildx = {
        let _lock = lock_set_up()?;
        Buildx::get(&stage.run_dir.service("bench")?)?
    };
    eprintln!("comparing with {}", buildx.version()?);
    let ours = || {
        let mut ours = command(wharf, ["build", "--progress", "plain", "-t", "wharf-bench:wharf"]);
        ours.arg(tree).env("DOCKER_HOST", &engine).stdout(Stdio::null());
        timed(&mut ours)
    };
    let theirs = || {
        timed(
            buildx
                .build(&engine, "wharf-bench:buildx", tree)
                .stdout(Stdio::null()),
        )
    };
    in_turns(runs, ours, theirs)
}

fn compare_archives(wharf: &Path, tree: &Path, machine: &mut Machine, runs: usize) -> Result<Ratios> {
    let pigz = machine.program("pigz", &["pigz"])?;
    let ours = || {
        let mut ours = command(wharf, ["context", "archive", "--format", "tar.gz", "-o", "-"]);
        timed(ours.arg(tree).stdout(Stdio::null()))
    };
    in_turns(runs, ours, || timed_pipe(tree, &pigz))
}

/// Runs both once to warm up, then `runs` times in turns.
fn in_turns(
    runs: usize,
    ours: impl Fn() -> Result<Duration>,
    theirs: impl Fn() -> Result<Duration>,
) -> Result<Ratios> {
    ours()?;
    theirs()?;
    let mut ratios = Vec::with_capacity(runs);
    for _ in 0..runs {
        let (ours, theirs) = (ours()?, theirs()?);
        ratios.push(ours.as_secs_f64() / theirs.as_secs_f64());
    }
    Ratios::new(ratios).context("no runs were asked for")
}

/// The wall time of a program, from start to end.
fn timed(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let child = command
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start a program to measure")?;
    let output = child.wait_with_output()?;
    let time = start.elapsed();
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(time)
}

/// The wall time of `tar c TREE | pigz -6`, output thrown away.
fn timed_pipe(tree: &Path, pigz: &Path) -> Result<Duration> {
    let start = Instant::now();
    let mut tar = command("tar", ["--create", "--directory"]);
    let mut tar = tar.arg(tree).arg(".").stdout(Stdio::piped()).spawn()?;
    let archive = tar.stdout.take().context("tar has no output")?;
    let mut pigz = command(pigz, ["-6"]);
    let compressed = pigz.stdin(archive).stdout(Stdio::null()).status()?;
    let packed = tar.wait()?;
    let time = start.elapsed();
    if !compressed.success() || !packed.success() {
        bail!("`tar c | pigz -6` failed");
    }
    Ok(time)
}

/// Writes a file and the folders above it.
fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    Ok(fs::write(path, content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_taken_in_turns_after_a_warm_up() {
        let order = std::cell::RefCell::new(String::new());
        let side = |name: char, seconds: u64| {
            let order = &order;
            move || {
                order.borrow_mut().push(name);
                Ok(Duration::from_secs(seconds))
            }
        };
        let ratios = in_turns(3, side('a', 1), side('b', 2)).unwrap();
        assert_eq!(*order.borrow(), "abababab");
        assert_eq!(ratios.to_string(), "median 0.50, min 0.50, max 0.50, of 3 pairs");
    }

    #[test]
    fn a_side_that_fails_is_no_measurement() {
        timed(command("ls", ["/nowhere/at/all"]).stdout(Stdio::null())).unwrap_err();
        timed_pipe(Path::new("/nowhere/at/all"), Path::new("cat")).unwrap_err();
    }
}
