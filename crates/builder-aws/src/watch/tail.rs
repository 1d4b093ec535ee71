//! The end of a log in CloudWatch that is still being written.

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_codebuild::types::Build;
use wharf_aws::from_sdk;
use wharf_core::{ErrorKind, Result};

/// How many pages are read at a time, at most: others want to be heard too.
const PAGES: usize = 20;

/// Where a log is, and how far it was read.
#[derive(Debug, Default)]
pub(super) struct Tail {
    place: Option<(String, String)>,
    token: Option<String>,
}

impl Tail {
    /// Learns where the log is; right after its start a build does not know, or says `null`.
    pub(super) fn locate(&mut self, build: &Build) {
        let Some(logs) = build.logs() else { return };
        let known = |name: Option<&str>| {
            name.filter(|name| !name.is_empty() && *name != "null")
                .map(str::to_owned)
        };
        if let (Some(group), Some(stream)) = (known(logs.group_name()), known(logs.stream_name())) {
            let place = Some((group, stream));
            if self.place != place {
                self.place = place;
                self.token = None;
            }
        }
    }

    /// Whether it is known where the log is.
    pub(super) fn is_located(&self) -> bool {
        self.place.is_some()
    }

    /// The lines that are new. None are there as long as the log does not exist.
    pub(super) async fn read(&mut self, client: &Client) -> Result<Vec<String>> {
        let Some((group, stream)) = self.place.clone() else {
            return Ok(Vec::new());
        };
        let mut lines = Vec::new();
        for _ in 0..PAGES {
            let page = client
                .get_log_events()
                .log_group_name(&group)
                .log_stream_name(&stream)
                .start_from_head(true)
                .set_next_token(self.token.clone())
                .send()
                .await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let error = from_sdk("read the log of the build", "logs:GetLogEvents", error);
                    return if error.kind() == ErrorKind::NotFound {
                        Ok(lines)
                    } else {
                        Err(error)
                    };
                }
            };
            for event in page.events() {
                lines.extend(
                    event
                        .message()
                        .unwrap_or_default()
                        .trim_end_matches('\n')
                        .split('\n')
                        .map(tidy),
                );
            }
            let token = page.next_forward_token;
            // The same token means that there is no more now.
            if token.is_none() || token == self.token {
                break;
            }
            self.token = token;
        }
        Ok(lines)
    }
}

/// A program that draws its line anew has drawn it for good with the last carriage return.
fn tidy(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    line.rsplit('\r').next().unwrap_or(line).to_owned()
}
