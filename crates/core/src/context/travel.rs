//! What is in an archive besides the files: the Dockerfile, and the rules in force.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::dockerfile::ResolvedDockerfile;
use super::entry::{ContextEntry, FileSource, read_failed};
use super::extra::{Extra, inside};
use super::ignore::IgnoreRules;
use super::ignore_file::{IGNORE_FILE, LoadedRules};
use super::scan::{Collector, ContextScan, Stop, scan};
use super::{BuildContext, DockerfileSource};
use crate::event::Warning;
use crate::{Error, ErrorKind, Result};

impl BuildContext {
    /// [`BuildContext::archive_entries`] and the warnings about them, given up when `stop` says so.
    pub(super) fn archive_scan_until(&self, stop: Stop<'_>) -> Result<(Vec<ContextEntry>, Vec<Warning>)> {
        let loaded = self.load_rules()?;
        let ContextScan {
            mut entries,
            warnings,
            ..
        } = scan(self, &loaded.rules, &mut Collector::new(stop))?;
        let dockerfile = self.dockerfile_if_any()?;
        let ignore_file = self.traveling_ignore_file(&loaded, &entries, dockerfile.as_ref())?;
        let dockerfile = dockerfile.map(traveling_dockerfile).transpose()?;
        for mut entry in [dockerfile, ignore_file].into_iter().flatten() {
            if self.open_modes {
                entry.open_mode();
            }
            place(&mut entries, entry);
        }
        Ok((entries, warnings))
    }

    fn traveling_ignore_file(
        &self,
        loaded: &LoadedRules,
        entries: &[ContextEntry],
        dockerfile: Option<&ResolvedDockerfile>,
    ) -> Result<Option<ContextEntry>> {
        let name = self.traveling_name(loaded, entries);
        if self.extras.iter().any(|extra| extra.name() == name) {
            // Whoever adds an ignore file knows what the archive is for.
            return Ok(None);
        }
        let is_file = find(entries, &name).is_ok();
        let mut hidden: Vec<&Path> = Vec::new();
        if let (Some(DockerfileSource::Bytes { .. }), Some(dockerfile)) = (&self.dockerfile, dockerfile) {
            hidden.push(&dockerfile.name);
        }
        let taken_back = self.left_out_extras(&loaded.rules, entries)?;
        let unchanged = hidden.is_empty() && taken_back.is_empty();
        if unchanged && loaded.rules.file().is_none() && !is_file {
            return Ok(None);
        }
        let on_disk = match (&loaded.name, self.real_root()?) {
            (Some(_), Some(root)) => Some(from_disk(&name, root.join(&name))?),
            _ => None,
        };
        if loaded.name.is_none() && !is_file {
            hidden.push(&name);
        }
        Ok(match on_disk {
            Some(entry) if unchanged => Some(entry),
            on_disk => {
                let mode = on_disk.map_or(0o644, |entry| entry.mode);
                let text = with_lines(loaded.rules.text(), &taken_back, &hidden);
                Some(ContextEntry::from_bytes(name.clone(), text, mode))
            }
        })
    }

    /// The name of the ignore file that an engine reads from the archive.
    fn traveling_name(&self, loaded: &LoadedRules, entries: &[ContextEntry]) -> PathBuf {
        let found = loaded.name.clone().or_else(|| {
            let specific = inside(&self.specific_ignore_file()).ok()?;
            find(entries, &specific).is_ok().then_some(specific)
        });
        found.unwrap_or_else(|| PathBuf::from(IGNORE_FILE))
    }

    /// What was added and would be left out by an engine that applies the rules again.
    fn left_out_extras(&self, rules: &IgnoreRules, entries: &[ContextEntry]) -> Result<Vec<&Path>> {
        let mut left_out = Vec::new();
        let mut seen = HashSet::new();
        for extra in self
            .extras
            .iter()
            .filter(|extra| !extra.name().as_os_str().is_empty())
        {
            if rules.is_empty() || !seen.insert(extra.name()) {
                continue;
            }
            let excluded = match extra {
                Extra::File { name, .. } | Extra::Symlink { name, .. } => rules.excludes(name)?,
                Extra::Directory { name, .. } => any_excluded(rules, name, entries)?,
            };
            if excluded {
                left_out.push(extra.name());
            }
        }
        Ok(left_out)
    }
}

fn any_excluded(rules: &IgnoreRules, directory: &Path, entries: &[ContextEntry]) -> Result<bool> {
    let from = entries.partition_point(|entry| entry.name.as_path() < directory);
    for entry in entries[from..]
        .iter()
        .take_while(|entry| entry.name.starts_with(directory))
    {
        if rules.excludes(&entry.name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What was read is what travels.
fn traveling_dockerfile(dockerfile: ResolvedDockerfile) -> Result<ContextEntry> {
    let mode = match dockerfile.path {
        Some(path) => path
            .metadata()
            .map_err(|source| read_failed(&path, source))?
            .mode(),
        None => 0o644,
    };
    Ok(ContextEntry::from_bytes(
        dockerfile.name,
        dockerfile.content,
        mode,
    ))
}

fn from_disk(name: &Path, path: PathBuf) -> Result<ContextEntry> {
    let metadata = path
        .symlink_metadata()
        .map_err(|source| read_failed(&path, source))?;
    match ContextEntry::from_disk(name.to_owned(), path.clone(), &metadata)? {
        Some(entry) => Ok(entry),
        // A pipe can be read as an ignore file, but not sent.
        None => Err(not_regular(&path)),
    }
}

fn not_regular(path: &Path) -> Error {
    let message = format!("the ignore file {} is no regular file", path.display());
    Error::new(ErrorKind::InvalidInput, message)
}

fn find(entries: &[ContextEntry], name: &Path) -> std::result::Result<usize, usize> {
    entries.binary_search_by(|entry| entry.name.as_path().cmp(name))
}

/// Puts an entry in its place, unless there is one of its name that comes from disk just the same.
fn place(entries: &mut Vec<ContextEntry>, entry: ContextEntry) {
    match find(entries, &entry.name) {
        Ok(at) if matches!(entry.source, FileSource::Bytes(_)) && !entries[at].is_directory() => {
            entries[at] = entry;
        }
        Ok(_) => {}
        Err(at) => entries.insert(at, entry),
    }
}

/// The text of an ignore file with more lines behind it.
fn with_lines(text: &Bytes, taken_back: &[&Path], hidden: &[&Path]) -> Bytes {
    if taken_back.is_empty() && hidden.is_empty() {
        return text.clone();
    }
    let mut lines = text.to_vec();
    if !lines.is_empty() && !lines.ends_with(b"\n") {
        lines.push(b'\n');
    }
    let taken_back = taken_back.iter().map(|name| (b"!/".as_slice(), *name));
    let hidden = hidden.iter().map(|name| (b"/".as_slice(), *name));
    for (mark, name) in taken_back.chain(hidden) {
        lines.extend_from_slice(mark);
        lines.extend(literal(name.as_os_str()));
        lines.push(b'\n');
    }
    lines.into()
}

/// A pattern that matches this name and, apart from names with line ends, no other.
fn literal(name: &OsStr) -> Vec<u8> {
    let mut pattern = Vec::new();
    for byte in name.as_bytes() {
        match byte {
            b'\n' | b'\r' => pattern.push(b'?'),
            b' ' | b'\t' | 0x0b | 0x0c => pattern.extend([b'[', *byte, b']']),
            b'*' | b'?' | b'[' | b']' | b'\\' | b'^' | b'!' => pattern.extend([b'\\', *byte]),
            _ => pattern.push(*byte),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_matches_its_name_alone() {
        for name in [
            "a b",
            " lead",
            "trail ",
            "#x",
            "!x",
            "a*b",
            "x[1]",
            "^a?",
            r"b\d",
            "tab\t",
            "é ü",
            "two\nlines",
        ] {
            let name = Path::new(name);
            let text = with_lines(&Bytes::from_static(b"!zzz"), &[], &[name]);
            let rules = IgnoreRules::parse(text.clone(), "x").unwrap();
            assert!(rules.excludes(name).unwrap(), "{name:?} {text:?}");
            assert!(
                !rules.excludes("aXb").unwrap() && !rules.excludes("b1").unwrap(),
                "{name:?}"
            );
            let text = with_lines(&Bytes::from_static(b"**"), &[name], &[]);
            let rules = IgnoreRules::parse(text, "x").unwrap();
            assert!(!rules.excludes(name).unwrap(), "{name:?}");
        }
    }
}
