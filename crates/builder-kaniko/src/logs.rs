//! Following a container's log, through broken connections, without loss or repeat.
//!
//! Each line carries the time at which the node read it. After a break the log is asked for again from a little
//! before the last line's time, since the API knows whole seconds only, and what was seen already is left out.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use futures_util::AsyncBufReadExt;
use futures_util::io::AsyncBufRead;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use wharf_core::event::{EventSink, Warning};

use crate::manifest::CONTAINER;

/// How long to wait before the log is asked for again: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// How long a connection may go on once the container has ended.
const GRACE: Duration = Duration::from_secs(5);
/// How long the rest of the log is tried for after the container has ended.
const LAST_CHANCE: Duration = Duration::from_secs(15);
/// A line is cut there, so that memory stays bounded.
const LONGEST_LINE: usize = 1 << 20;

/// Follows the log until the container has ended and all of it was read. A log that cannot be had is a warning.
pub(crate) async fn follow(
    pods: &Api<Pod>,
    pod: &str,
    ended: &CancellationToken,
    events: &EventSink,
    mut each: impl FnMut(&str),
) {
    let mut position = Position::default();
    let mut wait = FIRST_WAIT;
    while !ended.is_cancelled() {
        let read = match pods.log_stream(pod, &position.parameters(true)).await {
            Ok(stream) => read(stream, &mut position, Some(ended), &mut each).await,
            Err(_) => 0,
        };
        wait = if read > 0 {
            FIRST_WAIT
        } else {
            (wait * 2).min(LAST_WAIT)
        };
        // Waits for the end of the container, too.
        let _ = timeout(wait, ended.cancelled()).await;
    }
    if let Err(error) = rest(pods, pod, &mut position, &mut each).await {
        let warning = Warning::new("the end of the log could not be read");
        events.warn(warning.with_detail([error.to_string()]));
    }
}

/// Reads what a connection that ended early has left out.
async fn rest(
    pods: &Api<Pod>,
    pod: &str,
    position: &mut Position,
    each: &mut impl FnMut(&str),
) -> Result<(), kube::Error> {
    let begin = Instant::now();
    loop {
        match pods.log_stream(pod, &position.parameters(false)).await {
            Ok(stream) => {
                read(stream, position, None, each).await;
                return Ok(());
            }
            Err(error) if is_final(&error) || begin.elapsed() > LAST_CHANCE => return Err(error),
            Err(_) => sleep(FIRST_WAIT).await,
        }
    }
}

fn is_final(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400..=404))
}

/// Reads lines to the end of a connection; gives the number of new ones. Without `ended` the log is complete, and
/// what stands behind its last line end is a line, too; with it, the connection may have broken there.
async fn read(
    mut stream: impl AsyncBufRead + Unpin,
    position: &mut Position,
    ended: Option<&CancellationToken>,
    each: &mut impl FnMut(&str),
) -> usize {
    let mut seen = position.seen_since();
    let mut count = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let result = tokio::select! {
            result = stream.read_until(b'\n', &mut line) => result,
            () = grace(ended) => break,
        };
        let whole = line.last() == Some(&b'\n');
        if result.is_err() || line.is_empty() || (!whole && ended.is_some()) {
            break;
        }
        let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST_LINE)]);
        let (time, text) = split(text.trim_end_matches(['\n', '\r']));
        if position.is_new(time, text, &mut seen) {
            each(text);
            count += 1;
        }
    }
    count
}

/// Ends a while after the container has; never without one.
async fn grace(ended: Option<&CancellationToken>) {
    match ended {
        Some(ended) => {
            ended.cancelled().await;
            sleep(GRACE).await;
        }
        None => std::future::pending().await,
    }
}

fn split(line: &str) -> (Option<Timestamp>, &str) {
    let (time, text) = line.split_once(' ').unwrap_or((line, ""));
    match time.parse() {
        Ok(time) => (Some(time), text),
        Err(_) => (None, line),
    }
}

/// How far a log was read.
#[derive(Debug, Default)]
struct Position {
    last: Option<Timestamp>,
    /// The lines since the time from which the log would be asked for again.
    recent: VecDeque<(Timestamp, u64)>,
}

/// How often each line was seen.
type Seen = HashMap<(Timestamp, u64), usize>;

impl Position {
    /// A second before the second of the last line: lines of two streams may stand a little out of order.
    fn since(&self) -> Option<Timestamp> {
        let second = self.last?.as_second().checked_sub(1)?;
        Timestamp::from_second(second).ok()
    }

    fn parameters(&self, follow: bool) -> LogParams {
        LogParams {
            container: Some(CONTAINER.to_owned()),
            follow,
            timestamps: true,
            since_time: self.since(),
            ..LogParams::default()
        }
    }

    fn seen_since(&self) -> Seen {
        let mut seen = Seen::new();
        for line in &self.recent {
            *seen.entry(*line).or_default() += 1;
        }
        seen
    }

    /// Whether a line was not read over an earlier connection; it is remembered then.
    fn is_new(&mut self, time: Option<Timestamp>, text: &str, seen: &mut Seen) -> bool {
        let Some(time) = time else { return true };
        let line = (time, hash(text));
        if let Some(count) = seen.get_mut(&line).filter(|count| **count > 0) {
            *count -= 1;
            return false;
        }
        self.last = self.last.max(Some(time));
        self.recent.push_back(line);
        let since = self.since();
        while self.recent.front().is_some_and(|(time, _)| Some(*time) < since) {
            self.recent.pop_front();
        }
        true
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of lines and the part of it that is served for a position.
    fn serve(log: &[(&str, &str)], position: &Position) -> String {
        let since = position.since();
        let lines = log
            .iter()
            .filter(|(time, _)| time.parse::<Timestamp>().ok() >= since);
        lines.map(|(time, text)| format!("{time} {text}\n")).collect()
    }

    const LOG: [(&str, &str); 7] = [
        ("2026-01-01T00:00:00.1Z", "a"),
        ("2026-01-01T00:00:01.5Z", "b"),
        ("2026-01-01T00:00:01.5Z", "b"),
        ("2026-01-01T00:00:01.7Z", ""),
        ("2026-01-01T00:00:01.6Z", "c"),
        ("2026-01-01T00:00:01.8Z", "d"),
        ("2026-01-01T00:00:05Z", "e"),
    ];

    #[tokio::test]
    async fn wherever_the_connection_breaks_each_line_is_read_once() {
        let whole = serve(&LOG, &Position::default());
        let expected: Vec<&str> = LOG.iter().map(|(_, text)| *text).collect();
        for first in 0..whole.len() {
            for second in [0, 3, 40, 90] {
                let mut lines: Vec<String> = Vec::new();
                let mut position = Position::default();
                let ended = CancellationToken::new();
                for length in [first, second, usize::MAX] {
                    let served = serve(&LOG, &position);
                    let part = &served.as_bytes()[..length.min(served.len())];
                    let ended = (length != usize::MAX).then_some(&ended);
                    read(part, &mut position, ended, &mut |line| {
                        lines.push(line.to_owned())
                    })
                    .await;
                }
                assert_eq!(lines, expected, "broken after {first} and {second} bytes");
            }
        }
    }

    #[tokio::test]
    async fn a_last_line_without_its_end_is_a_line() {
        let mut lines = Vec::new();
        let text = b"2026-01-01T00:00:00Z one\n2026-01-01T00:00:01Z two";
        read(&text[..], &mut Position::default(), None, &mut |line| {
            lines.push(line.to_owned())
        })
        .await;
        assert_eq!(lines, ["one", "two"]);
    }
}
