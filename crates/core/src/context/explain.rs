//! Why a context is as large as it is, and why a path is in it or not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::BuildContext;
use super::entry::{ContextEntry, EntryKind};
use super::ignore::IgnoreRules;
use super::scan::{Collector, ContextTotals, Judged, scan};
use super::walk::Dropped;
use crate::Result;
use crate::event::Warning;

/// How many of the largest directories and files are listed.
const LARGEST: usize = 20;

/// What is big in a context, and what the rules said about each path.
///
/// Names that are not UTF-8 are shown with replacement characters.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The root directory; none for a context of added files alone.
    pub root: Option<String>,
    /// The ignore file whose rules were applied.
    pub ignore_file: Option<String>,
    /// Sums over what is in.
    pub totals: ContextTotals,
    /// The largest directories that are in, at most 20, by the sizes of everything in them, the largest first.
    pub largest_directories: Vec<SizedPath>,
    /// The largest files that are in, at most 20, the largest first.
    pub largest_files: Vec<SizedPath>,
    /// Every path that is in and every path that was left out, sorted component by component. What is in a
    /// directory that was left out whole is not listed: it was never looked at.
    pub paths: Vec<ExplainedPath>,
    /// As in [`ContextScan::warnings`](super::ContextScan::warnings).
    pub warnings: Vec<Warning>,
}

/// A path and the bytes below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizedPath {
    /// The name inside the context, a directory with a slash behind it.
    pub path: String,
    /// The size in bytes.
    pub bytes: u64,
}

/// A path, and whether it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedPath {
    /// The name inside the context, a directory with a slash behind it.
    pub path: String,
    /// Whether it is in, and how.
    #[serde(rename = "is")]
    pub presence: Presence,
    /// The size of a file that is in, in bytes; 0 for anything else.
    pub bytes: u64,
    /// The rule that decided, the last one that matched; none: no rule matched.
    pub rule: Option<RuleReference>,
}

/// Whether a path is in a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Presence {
    /// In.
    Kept,
    /// A directory that the rules leave out, in because something in it is. The rule is the one that leaves
    /// it out.
    KeptForContent,
    /// In, because it was added to the context. Rules do not matter.
    Added,
    /// Out.
    Dropped,
    /// A directory that is out with everything in it, and was never opened.
    DroppedWhole,
}

/// A line of an ignore file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleReference {
    /// The ignore file.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The pattern in its shortest form, with its `!`.
    pub pattern: String,
}

impl BuildContext {
    /// Explains the context: what is big, and which rule kept or dropped each path.
    ///
    /// # Errors
    ///
    /// As [`BuildContext::scan`].
    pub fn explain(&self) -> Result<Explanation> {
        let rules = self.ignore_rules()?;
        let mut collector = Collector::new(&|| false);
        collector.judged = Some(Vec::new());
        let scan = scan(self, &rules, &mut collector)?;
        let judged = collector.judged.take().unwrap_or_default();
        Ok(Explanation {
            root: self.root().map(display),
            ignore_file: scan.ignore_file.as_deref().map(display),
            totals: scan.totals,
            largest_directories: largest_directories(&scan.entries),
            largest_files: largest_files(&scan.entries),
            paths: paths(&scan.entries, judged, &rules),
            warnings: scan.warnings,
        })
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

fn largest_files(entries: &[ContextEntry]) -> Vec<SizedPath> {
    let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
    largest(files.map(|file| (file.display_name(), file.size)))
}

fn largest_directories(entries: &[ContextEntry]) -> Vec<SizedPath> {
    let mut sizes: BTreeMap<&Path, u64> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.size > 0) {
        for parent in entry
            .name
            .ancestors()
            .skip(1)
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            *sizes.entry(parent).or_default() += entry.size;
        }
    }
    largest(
        sizes
            .into_iter()
            .map(|(name, bytes)| (format!("{}/", name.display()), bytes)),
    )
}

fn largest(sizes: impl Iterator<Item = (String, u64)>) -> Vec<SizedPath> {
    let mut sizes: Vec<_> = sizes.map(|(path, bytes)| SizedPath { path, bytes }).collect();
    sizes.sort_by_key(|sized| std::cmp::Reverse(sized.bytes));
    sizes.truncate(LARGEST);
    sizes
}

/// Brings together what is in and what the rules said.
fn paths(entries: &[ContextEntry], judged: Vec<Judged>, rules: &IgnoreRules) -> Vec<ExplainedPath> {
    let mut explained: BTreeMap<PathBuf, ExplainedPath> = BTreeMap::new();
    for entry in entries {
        let path = ExplainedPath {
            path: entry.display_name(),
            presence: if entry.added {
                Presence::Added
            } else {
                Presence::Kept
            },
            bytes: entry.size,
            rule: None,
        };
        explained.insert(entry.name.clone(), path);
    }
    for judged in judged {
        explain(&mut explained, judged, rules);
    }
    explained.into_values().collect()
}

fn explain(explained: &mut BTreeMap<PathBuf, ExplainedPath>, judged: Judged, rules: &IgnoreRules) {
    let rule = judged.rule.and_then(|rule| reference(rules, rule));
    match (explained.get_mut(&judged.name), judged.dropped) {
        (Some(known), None) if known.presence == Presence::Kept => known.rule = rule,
        (Some(known), Some(Dropped::Searched)) if known.presence == Presence::Kept => {
            (known.presence, known.rule) = (Presence::KeptForContent, rule);
        }
        (Some(_), _) => {}
        (None, dropped) => {
            let (presence, slash) = match dropped {
                Some(Dropped::Whole) => (Presence::DroppedWhole, "/"),
                Some(Dropped::Searched) => (Presence::Dropped, "/"),
                _ => (Presence::Dropped, ""),
            };
            let path = ExplainedPath {
                path: format!("{}{slash}", judged.name.display()),
                presence,
                bytes: 0,
                rule,
            };
            explained.insert(judged.name, path);
        }
    }
}

fn reference(rules: &IgnoreRules, rule: usize) -> Option<RuleReference> {
    let (line, pattern) = rules.describe(rule)?;
    Some(RuleReference {
        file: rules.file().map(display).unwrap_or_default(),
        line,
        pattern,
    })
}
