//! A build context on its way into a pod, against what people do without wharf: `tar` into `kubectl attach`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::cluster::Cluster;
use super::ratio::Ratios;
use super::sample;
use super::stage::Stage;
use crate::process::{command, run_quietly};

mod cluster;

/// Content of the context, in MiB.
const SIZE_MIB: usize = 300;
/// Content of another one, to see whether memory grows with it.
const SMALL_MIB: usize = 30;
/// Rounds at most: each moves the whole context three times.
const MOST_RUNS: usize = 5;
/// How much more memory the large context may take than the small one, in MiB. It has ten times as many files, and the
/// list of them is in memory.
const GROWTH_GOAL_MIB: u64 = 16;

/// What one way of sending a context took.
#[derive(Debug)]
struct Sent {
    /// From the start of the program until the pod runs.
    to_running: Duration,
    /// From there until the pod has said that it has everything.
    sending: Duration,
    /// Compressed bytes that arrived.
    bytes: u64,
}

/// What one run of `wharf build` took.
#[derive(Debug)]
struct Build {
    sent: Sent,
    /// The most that the process had in memory, in bytes.
    memory: u64,
}

/// What came of some rounds, each of one run of ours and two of theirs.
#[derive(Debug, Default)]
struct Rounds {
    against_gzip: Vec<f64>,
    against_pigz: Vec<f64>,
    running: Vec<f64>,
    to_running: Vec<f64>,
    rates: Vec<f64>,
    memory: u64,
}

impl Rounds {
    fn add(&mut self, ours: &Build, gzip: &Sent, pigz: &Sent) {
        let ratio = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
        self.against_gzip.push(ratio(ours.sent.sending, gzip.sending));
        self.against_pigz.push(ratio(ours.sent.sending, pigz.sending));
        self.running.push(ratio(ours.sent.to_running, gzip.to_running));
        self.to_running.push(ours.sent.to_running.as_secs_f64());
        self.rates.push(SIZE_MIB as f64 / ours.sent.sending.as_secs_f64());
        self.memory = self.memory.max(ours.memory);
    }
}

/// Compares the way of a context into a pod, and says what else was seen: memory, and the time to a running pod.
pub(super) fn compare(wharf: &Path, stage: &mut Stage, runs: usize) -> Result<Ratios> {
    let Stage { run_dir, machine, .. } = stage;
    let folder = run_dir.service("bench")?.join("attach");
    let (large, small) = (folder.join("large"), folder.join("small"));
    sample::write_project(&large, SIZE_MIB)?;
    sample::write_project(&small, SMALL_MIB)?;
    let size = archived_size(wharf, &large)?;
    let cluster = Cluster::find(&folder, run_dir, machine)?;
    let rounds = measure(wharf, &cluster, &large, size, runs.min(MOST_RUNS))?;
    let small = (0..3).map(|_| Ok(cluster.build(wharf, &small)?.memory));
    let small = small.collect::<Result<Vec<u64>>>()?;
    report(&rounds, small.into_iter().max().unwrap_or_default())?;
    Ratios::new(rounds.against_gzip).context("no runs were asked for")
}

/// How many bytes go over the connection: an archive is the same wherever it is written to.
fn archived_size(wharf: &Path, context: &Path) -> Result<u64> {
    let file = context.with_extension("tar.gz");
    let words = [
        "context",
        "archive",
        "--format",
        "tar.gz",
        "--progress",
        "quiet",
        "-o",
    ];
    run_quietly(command(wharf, words).args([&file, context]))?;
    let size = fs::metadata(&file)?.len();
    fs::remove_file(&file)?;
    Ok(size)
}

/// All sides in turns, after a round to warm up.
fn measure(wharf: &Path, cluster: &Cluster, context: &Path, size: u64, runs: usize) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    for round in 0..=runs {
        let ours = cluster.build(wharf, context)?;
        let gzip = cluster.attach("gzip", context)?;
        let pigz = cluster.attach("pigz", context)?;
        let bytes = ours.sent.bytes;
        ensure!(bytes == size, "the pod got {bytes} bytes instead of {size}");
        if round > 0 {
            rounds.add(&ours, &gzip, &pigz);
        }
    }
    Ok(rounds)
}

fn report(rounds: &Rounds, small_memory: u64) -> Result<()> {
    let ratios = |values: &[f64]| Ratios::new(values.to_vec()).context("no runs were asked for");
    println!(
        "context into a pod: peak memory {} MiB with {SIZE_MIB} MiB, {} MiB with {SMALL_MIB} MiB; goal: at most \
         {GROWTH_GOAL_MIB} MiB more",
        rounds.memory >> 20,
        small_memory >> 20
    );
    println!(
        "context into a pod: {:.0} MiB of content a second; wall time / with `pigz -6` instead of gzip:\n  {}",
        ratios(&rounds.rates)?.median(),
        ratios(&rounds.against_pigz)?
    );
    println!(
        "from `wharf build` to a running pod: {:.1} s; compared with `kubectl create` and `kubectl wait`:\n  {}",
        ratios(&rounds.to_running)?.median(),
        ratios(&rounds.running)?
    );
    Ok(())
}
