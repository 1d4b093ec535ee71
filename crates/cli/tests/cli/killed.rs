//! A build that is killed leaves no running build on the engine.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::support::Sandbox;

/// How long the engine may take to end what nobody waits for any more.
const LIMIT: Duration = Duration::from_secs(30);

/// The longest a build is let alone before it is killed: in that time it is sometimes still being sent, and
/// sometimes in a step.
const LONGEST_LIFE_MS: u64 = 2_500;

fn engine() -> String {
    std::env::var("WHARF_TEST_ENGINE").expect("WHARF_TEST_ENGINE names the engine")
}

fn busybox() -> String {
    std::env::var("WHARF_TEST_BUSYBOX_IMAGE").expect("WHARF_TEST_BUSYBOX_IMAGE names an image")
}

/// Numbers that are spread well, and others in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        let seed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .subsec_nanos();
        Self(u64::from(seed) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Steps of which some take long, and a marker in the command line of each. It stands last: a shell puts its
/// last command in its own place.
fn project(marker: &str) -> Sandbox {
    let parent = busybox();
    let dockerfile = format!(
        "FROM {parent}\nCOPY . /ctx\nRUN : one; usleep 200000; : {marker}\nRUN : two; sleep 300; : {marker}\n"
    );
    let ballast = "x".repeat(4 << 20);
    Sandbox::with(&[("Dockerfile", &dockerfile), ("ballast", &ballast)])
}

fn start(sandbox: &Sandbox, marker: &str, buildkit: bool) -> Child {
    let host = engine();
    let arguments = [
        "build",
        "--host",
        &host,
        "-t",
        &format!("{marker}:1"),
        "--no-cache",
    ];
    let mut command = sandbox.command(&arguments);
    command.env("DOCKER_BUILDKIT", if buildkit { "1" } else { "0" });
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets the build run for a random while, then ends it. Says whether a step was running at that moment.
fn kill_some_time(mut child: Child, marker: &str, dice: &mut Dice) -> bool {
    let (_alive, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_millis(dice.below(LONGEST_LIFE_MS)));
    let signal = [Signal::KILL, Signal::INT, Signal::TERM][dice.below(3) as usize];
    let in_a_step = !running(marker).iter().all(|pid| *pid == child.id() as i32);
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap();
    in_a_step
}

/// The processes whose command line has the marker, but for ours.
fn running(marker: &str) -> BTreeSet<i32> {
    let own = std::process::id() as i32;
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(marker)
        })
        .collect()
}

/// Waits until a process has ended.
fn wait_for_end(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    // No such process: it has ended.
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    let limit = Timespec {
        tv_sec: LIMIT.as_secs() as i64,
        tv_nsec: 0,
    };
    let mut events = [PollFd::new(&descriptor, PollFlags::IN)];
    let ended = poll(&mut events, Some(&limit)).unwrap();
    assert_eq!(
        ended,
        1,
        "process {} of a build nobody waits for still runs",
        pid.as_raw_nonzero()
    );
}

fn containers(marker: &str) -> String {
    let arguments = ["ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Command}}"];
    let output = Command::new("docker")
        .args(["--host", &engine()])
        .args(arguments)
        .output()
        .unwrap();
    let all = String::from_utf8(output.stdout).unwrap();
    all.lines()
        .filter(|line| line.contains(marker))
        .collect::<Vec<_>>()
        .join("\n")
}

fn kill_many(times: u32, buildkit: bool) {
    let mut dice = Dice::new();
    let marker = format!("wharf-killed-{}-{}", std::process::id(), dice.below(1 << 30));
    let sandbox = project(&marker);
    let mut in_a_step = 0;
    for _ in 0..times {
        in_a_step += u32::from(kill_some_time(
            start(&sandbox, &marker, buildkit),
            &marker,
            &mut dice,
        ));
        running(&marker).into_iter().for_each(wait_for_end);
    }
    assert!(
        in_a_step > 0,
        "no build came as far as a step: nothing was proven"
    );
    assert_eq!(running(&marker), BTreeSet::new());
    // The engine removes a step's container a moment after its process.
    let begin = Instant::now();
    while !containers(&marker).is_empty() {
        assert!(
            begin.elapsed() < LIMIT,
            "containers stayed: {}",
            containers(&marker)
        );
    }
    assert_eq!(sandbox.names(), ["Dockerfile", "ballast"]);
}

#[test]
#[ignore = "needs a Docker engine"]
fn engine_thirty_killed_builds_leave_nothing_running_in_buildkit() {
    kill_many(30, true);
}

#[test]
#[ignore = "needs a Docker engine"]
fn engine_killed_builds_leave_nothing_running_in_the_classic_builder() {
    kill_many(10, false);
}
