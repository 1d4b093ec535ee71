//! A build context on its way to S3, against Amazon's own command with an archive that is there already.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::ratio::Ratios;
use super::stage::Stage;
use super::{in_turns, profile, release_or_debug, sample, timed};
use crate::process::{capture, cargo, command, run, run_quietly};
use crate::services::{amazon, lock_set_up};

/// Content of the context, in MiB.
const SIZE_MIB: usize = 1024;
/// Pairs of runs at most: each moves the whole context twice.
const MOST_RUNS: usize = 15;
/// What the process may have in memory at most, in MiB.
const MEMORY_GOAL_MIB: u64 = 128;
const BUCKET: &str = "s3://wharf-bench";

/// What is needed for both sides.
struct Upload {
    program: PathBuf,
    aws: PathBuf,
    address: String,
    context: PathBuf,
    archive: PathBuf,
}

/// Compares an upload that archives on the way with one of the finished archive, and says what memory ours took.
pub(super) fn compare(wharf: &Path, stage: &mut Stage, dev: bool, runs: usize) -> Result<Ratios> {
    let upload = Upload::prepare(wharf, stage, dev)?;
    let most_memory = Cell::new(0);
    let ours = || {
        let (time, memory) = upload.ours()?;
        most_memory.set(most_memory.get().max(memory));
        Ok(time)
    };
    let ratios = in_turns(runs.min(MOST_RUNS), ours, || {
        timed(&mut upload.aws(&["s3", "cp", "--quiet"], &[&upload.archive, Path::new(BUCKET)]))
    })?;
    println!(
        "upload of a context: peak memory {} MiB; goal: at most {MEMORY_GOAL_MIB} MiB",
        most_memory.get() >> 20
    );
    Ok(ratios)
}

impl Upload {
    fn prepare(wharf: &Path, stage: &mut Stage, dev: bool) -> Result<Upload> {
        let Stage { run_dir, machine, .. } = stage;
        let folder = run_dir.service("bench")?.join("upload");
        let (context, archive) = (folder.join("context"), folder.join("context.zip"));
        sample::write_weights(&context, SIZE_MIB)?;
        let format = [
            "context",
            "archive",
            "--format",
            "zip",
            "--progress",
            "quiet",
            "-o",
        ];
        run_quietly(command(wharf, format).args([&archive, &context]))?;
        let upload = {
            let _lock = lock_set_up()?;
            Upload {
                program: build(dev)?,
                aws: amazon::aws_command(machine)?,
                address: amazon::start_to_measure(run_dir, machine)?,
                context,
                archive,
            }
        };
        run_quietly(&mut upload.aws(&["s3", "mb"], &[Path::new(BUCKET)]))?;
        Ok(upload)
    }

    /// Time, and the most memory in bytes.
    fn ours(&self) -> Result<(Duration, u64)> {
        let mut program = command(&self.program, [&self.context]);
        program.args([BUCKET, &self.address]);
        let start = Instant::now();
        let said = capture(with_login(&mut program))?;
        let time = start.elapsed();
        let memory = said.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        Ok((time, memory.with_context(|| format!("the upload said {said:?}"))?))
    }

    fn aws(&self, words: &[&str], paths: &[&Path]) -> Command {
        let mut aws = command(&self.aws, ["--endpoint-url", &self.address]);
        aws.args(words).args(paths);
        with_login(&mut aws);
        aws
    }
}

fn with_login(command: &mut Command) -> &mut Command {
    command
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
}

fn build(dev: bool) -> Result<PathBuf> {
    let what = [
        "build",
        "--locked",
        "--package",
        "wharf-aws",
        "--example",
        "upload",
    ];
    run(cargo(what).args(["--profile", profile(dev)]))?;
    Ok(release_or_debug(dev)?.join("examples/upload"))
}
