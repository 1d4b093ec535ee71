//! Follows a build: its state through one poller for all builds, its log, and both as events.

mod phases;
mod poller;
mod tail;

use std::collections::VecDeque;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client as Logs;
use aws_sdk_codebuild::types::Build;
use wharf_aws::AwsAccess;
use wharf_core::Result;
use wharf_core::event::{BuildEvent, EventSink, LogLine, StepId, Stream, Warning};

use self::phases::Phases;
pub(crate) use self::phases::message as phase_message;
pub(crate) use self::poller::Poller;
use self::poller::States;
use self::tail::Tail;
use crate::plain_progress::{FailedStep, PlainProgress};

/// How many lines of the log an error repeats.
const LAST_LINES: usize = 12;

/// How many times in a row a log is read to no avail, after the build, before it is taken for complete.
const QUIET_READS: u32 = 3;

/// How often a log is asked for at the end of a build, at most.
const FINAL_READS: u32 = 30;

/// A build that has ended, and what is known about why.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) build: Build,
    pub(crate) last_lines: Vec<String>,
    pub(crate) failed_step: Option<FailedStep>,
}

/// Follows one build to its end.
pub(crate) struct Watch<'a> {
    access: &'a AwsAccess,
    events: &'a EventSink,
    interval: Duration,
    tail: Tail,
    phases: Phases,
    progress: PlainProgress,
    last_lines: VecDeque<String>,
    log_is_closed: bool,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(access: &'a AwsAccess, events: &'a EventSink, interval: Duration) -> Self {
        Self {
            access,
            events,
            interval,
            tail: Tail::default(),
            phases: Phases::new(events.clone()),
            progress: PlainProgress::new(events.clone()),
            last_lines: VecDeque::new(),
            log_is_closed: false,
        }
    }

    /// Waits for the end of the build.
    pub(crate) async fn run(mut self, poller: &Poller, id: &str) -> Result<Ended> {
        let mut states = poller.watch(id);
        loop {
            let build = states.next().await?;
            self.tail.locate(&build);
            self.phases.update(&build);
            self.read_log().await;
            if build.build_complete() {
                return Ok(self.finish(build, &mut states).await);
            }
        }
    }

    async fn finish(mut self, build: Build, states: &mut States) -> Ended {
        self.read_to_the_end(states).await;
        self.progress.finish();
        self.phases.finish(&build);
        Ended {
            build,
            last_lines: self.last_lines.into(),
            failed_step: self.progress.failed_step(),
        }
    }

    /// The last lines arrive after the build has ended, and an empty answer is not the end of them.
    async fn read_to_the_end(&mut self, states: &mut States) {
        let mut quiet = 0;
        for _ in 0..FINAL_READS {
            if quiet == QUIET_READS || self.log_is_closed {
                return;
            }
            tokio::time::sleep(self.interval).await;
            // A short build may be over before anybody knows where its log is.
            if !self.tail.is_located()
                && let Ok(build) = states.next().await
            {
                self.tail.locate(&build);
            }
            match self.read_log().await {
                0 => quiet += 1,
                _ => quiet = 0,
            }
        }
    }

    /// Reads what is new, and gives the number of lines. A log that cannot be read never fails a build.
    async fn read_log(&mut self) -> usize {
        if self.log_is_closed {
            return 0;
        }
        let read = match self.access.sdk().await {
            Ok(sdk) => self.tail.read(&Logs::new(&sdk)).await,
            Err(error) => Err(error),
        };
        match read {
            Ok(lines) => {
                let count = lines.len();
                lines.into_iter().for_each(|line| self.line(line));
                count
            }
            Err(error) if error.is_retryable() => 0,
            Err(error) => {
                self.log_is_closed = true;
                let warning = Warning::new("the log of the build cannot be read; the build goes on");
                self.events
                    .warn(warning.with_detail(error.report().lines().map(str::to_owned)));
                0
            }
        }
    }

    fn line(&mut self, line: String) {
        self.phases.read(&line);
        if self.progress.read(&line) {
            return;
        }
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.pop_front();
        }
        if !line.trim().is_empty() {
            self.last_lines.push_back(line.clone());
        }
        self.events.send(BuildEvent::Log(LogLine {
            step: self.phases.current().map(StepId::new),
            stream: Stream::Stdout,
            line,
        }));
    }
}
