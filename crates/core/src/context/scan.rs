//! Everything in a context at once: entries, sums, and what the user should be told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::BuildContext;
use super::entry::{ContextEntry, EntryKind};
use super::extra::{Entries, merge};
use super::ignore::IgnoreRules;
use super::walk::{Dropped, Visitor, walk};
use crate::event::Warning;
use crate::{Error, Result};

/// From this size on, in bytes, a context without an ignore file gets a warning.
pub const LARGE_CONTEXT: u64 = 50 << 20;

/// The most lines below a warning.
const MAX_DETAIL: usize = 10;

/// What a build context holds.
#[derive(Debug, Clone)]
pub struct ContextScan {
    /// What `COPY . /ctx/` would take, as [`BuildContext::files`] gives it.
    pub entries: Vec<ContextEntry>,
    /// What the user should know: things that were left out, a context that is larger than it should be.
    pub warnings: Vec<Warning>,
    /// Sums.
    pub totals: ContextTotals,
    /// The ignore file whose rules were applied.
    pub ignore_file: Option<PathBuf>,
}

/// Sums over a build context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ContextTotals {
    /// Files.
    pub files: u64,
    /// Directories, without the root.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// The sizes of all files in bytes.
    pub bytes: u64,
    /// Directories on disk that were opened, with the root and those that turned out to hold nothing that is
    /// in the context.
    pub directories_read: u64,
}

impl ContextTotals {
    pub(super) fn of(entries: &[ContextEntry]) -> Self {
        let mut totals = Self::default();
        for entry in entries {
            match entry.kind {
                EntryKind::File => totals.files += 1,
                EntryKind::Directory => totals.directories += 1,
                EntryKind::Symlink { .. } => totals.symlinks += 1,
            }
            totals.bytes += entry.size;
        }
        totals
    }
}

/// Asked whenever a directory is opened; true stops the scan with an error.
pub(super) type Stop<'a> = &'a dyn Fn() -> bool;

/// Collects what walks find.
pub(super) struct Collector<'a> {
    entries: Vec<ContextEntry>,
    passed_over: Vec<PathBuf>,
    directories_read: u64,
    stop: Stop<'a>,
    /// What was left out, if anybody wants to know.
    pub(super) judged: Option<Vec<Judged>>,
}

/// What the rules said about a path.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) name: PathBuf,
    /// None: it is in.
    pub(super) dropped: Option<Dropped>,
    pub(super) rule: Option<usize>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(stop: Stop<'a>) -> Self {
        Self {
            entries: Vec::new(),
            passed_over: Vec::new(),
            directories_read: 0,
            stop,
            judged: None,
        }
    }

    pub(super) fn take_entries(&mut self) -> impl Iterator<Item = ContextEntry> + use<> {
        std::mem::take(&mut self.entries).into_iter()
    }
}

impl Visitor for Collector<'_> {
    fn kept(&mut self, entry: ContextEntry, rule: Option<usize>) -> Result<()> {
        if let Some(judged) = &mut self.judged {
            judged.push(Judged {
                name: entry.name.clone(),
                dropped: None,
                rule,
            });
        }
        self.entries.push(entry);
        Ok(())
    }

    fn dropped(&mut self, name: &Path, what: Dropped, rule: Option<usize>) {
        if let Some(judged) = &mut self.judged {
            judged.push(Judged {
                name: name.to_owned(),
                dropped: Some(what),
                rule,
            });
        }
    }

    fn passed_over(&mut self, name: &Path) {
        self.passed_over.push(name.to_owned());
    }

    fn opening(&mut self) -> Result<()> {
        self.directories_read += 1;
        match (self.stop)() {
            true => Err(Error::cancelled("reading the build context")),
            false => Ok(()),
        }
    }
}

/// Scans a context whose rules are known. `judged` of the collector is filled if it is there.
pub(super) fn scan(
    context: &BuildContext,
    rules: &IgnoreRules,
    collector: &mut Collector<'_>,
) -> Result<ContextScan> {
    if let Some(root) = context.real_root()? {
        walk(&root, Path::new(""), rules, collector)?;
    }
    let disk: Vec<ContextEntry> = collector.take_entries().collect();
    let judged = collector.judged.take();
    let mut extra = Entries::new();
    for added in &context.extras {
        added.collect(&mut extra, collector)?;
    }
    collector.judged = judged;
    let mut entries = merge(disk, extra)?;
    if context.open_modes {
        entries.iter_mut().for_each(ContextEntry::open_mode);
    }
    let totals = ContextTotals {
        directories_read: collector.directories_read,
        ..ContextTotals::of(&entries)
    };
    let mut warnings = Vec::new();
    warnings.extend(passed_over(&collector.passed_over));
    if rules.file().is_none() && totals.bytes > LARGE_CONTEXT {
        warnings.push(large(&entries, totals.bytes));
    }
    Ok(ContextScan {
        entries,
        warnings,
        totals,
        ignore_file: rules.file().map(Path::to_owned),
    })
}

fn passed_over(names: &[PathBuf]) -> Option<Warning> {
    let first = names.first()?;
    let message = match names.len() {
        1 => format!(
            "{} is a socket, pipe or device and is not in the build context",
            first.display()
        ),
        count => format!("{count} sockets, pipes and devices are not in the build context"),
    };
    let mut detail: Vec<String> = Vec::new();
    if names.len() > 1 {
        detail.extend(
            names
                .iter()
                .take(MAX_DETAIL)
                .map(|name| name.display().to_string()),
        );
        if names.len() > MAX_DETAIL {
            detail.push(format!("and {} more", names.len() - MAX_DETAIL));
        }
    }
    Some(Warning::new(message).with_detail(detail))
}

fn large(entries: &[ContextEntry], bytes: u64) -> Warning {
    let message = format!(
        "the build context holds {} and there is no .dockerignore",
        human_bytes(bytes)
    );
    let largest = largest_directories(entries);
    let detail = largest
        .iter()
        .take(3)
        .map(|(name, bytes)| format!("{}/ holds {}", name.display(), human_bytes(*bytes)));
    Warning::new(message).with_detail(detail.collect::<Vec<_>>())
}

/// The directories in the root by the size of everything in them, the largest first.
fn largest_directories(entries: &[ContextEntry]) -> Vec<(PathBuf, u64)> {
    let mut sizes: BTreeMap<OsString, u64> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.size > 0) {
        let mut components = entry.name.components();
        if let (Some(first), Some(_)) = (components.next(), components.next()) {
            *sizes.entry(first.as_os_str().to_owned()).or_default() += entry.size;
        }
    }
    let mut sizes: Vec<_> = sizes
        .into_iter()
        .map(|(name, bytes)| (PathBuf::from(name), bytes))
        .collect();
    sizes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    sizes
}

/// A number of bytes for people: `61.2 MiB`.
pub(super) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if tenths < 10240 {
            break;
        }
        (tenths, unit) = (tenths / 1024, larger);
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::human_bytes;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(human_bytes(1023), "1023 bytes");
        assert_eq!(human_bytes(1024), "1.0 KiB");
        assert_eq!(human_bytes((61 << 20) + (205 << 10)), "61.2 MiB");
        assert_eq!(human_bytes(9 << 40), "9.0 TiB");
    }
}
