//! `wharf gc`: removes what killed builds have left.

use std::io::{self, Write};
use std::time::Duration;

use jiff::SignedDuration;
use wharf_core::builder::{GarbagePolicy, Leftover};
use wharf_core::{Error, ErrorKind, Result};

use crate::args::build::TargetArgs;
use crate::args::{GcArgs, GlobalArgs};
use crate::commands::build::target;
use crate::failure::Failure;
use crate::output::{self, Shown};
use crate::{exit_code, wiring};

/// Asks the builder to clean up, and prints what it found.
///
/// # Errors
/// As [`target::without_registry`], and whatever the builder's backend answers.
pub async fn run(global: &GlobalArgs, args: &GcArgs) -> Result<u8, Failure> {
    let policy = GarbagePolicy {
        older_than: args.older_than.as_deref().map(duration).transpose()?,
        dry_run: args.dry_run,
    };
    let named = TargetArgs {
        stack_file: args.stack_file.clone(),
        flavor: args.flavor.clone(),
        settings: args.settings.clone(),
        artifact_store: args.artifact_store.clone(),
        ..TargetArgs::default()
    };
    let (builder, stack) = target::without_registry(&named, &wiring::flavors())?;
    let found = builder.collect_garbage(&stack, &policy).await?;
    output::print(global.output, &Found(found))?;
    Ok(exit_code::OK)
}

fn duration(text: &str) -> Result<Duration> {
    let wrong = || {
        Error::new(
            ErrorKind::InvalidInput,
            format!("--older-than {text}: this is no duration"),
        )
        .with_hint("Write a number with a unit: 90s, 30m, 2h, 7d.")
    };
    // Days have 24 hours here; jiff leaves that to calendars.
    let text = match text.strip_suffix('d').map(str::parse::<u64>) {
        Some(Ok(days)) => format!("{}h", days.saturating_mul(24)),
        _ => text.to_owned(),
    };
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    duration.try_into().map_err(|_| wrong())
}

struct Found(Vec<Leftover>);

impl Shown for Found {
    type Json = [Leftover];

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for found in &self.0 {
            let done = if found.removed { "removed" } else { "would remove" };
            writeln!(out, "{done} {}: {}", found.what, found.reason)?;
        }
        Ok(())
    }

    fn json(&self) -> &[Leftover] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("2h", 7200),
            ("7d", 604_800),
            ("0s", 0),
        ] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "5", "soon", "-2h"] {
            assert_eq!(
                duration(text).unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{text}"
            );
        }
    }

    #[test]
    fn what_was_found_is_a_line_each() {
        let leftover = |removed| Leftover {
            what: "job a in namespace b".into(),
            reason: "it has ended".into(),
            removed,
        };
        let mut out = Vec::new();
        Found(vec![leftover(true), leftover(false)])
            .text(&mut out)
            .unwrap();
        let expected =
            "removed job a in namespace b: it has ended\nwould remove job a in namespace b: it has ended\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
