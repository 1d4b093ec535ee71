//! One JSON file per build.

use std::cmp::Reverse;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use wharf_core::{Error, ErrorKind, Result};

use super::{BuildRecord, BuildRecords};

/// Records as files `<id>.json` in a directory, by custom `.wharf/builds` of the source root.
#[derive(Debug, Clone)]
pub struct FileRecords {
    directory: PathBuf,
}

impl FileRecords {
    /// Records in a directory, which is made when the first one is kept.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Records of the pipelines of a source root.
    #[must_use]
    pub fn of_source_root(source_root: &Path) -> Self {
        Self::new(source_root.join(".wharf").join("builds"))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }

    fn read(&self, path: &Path) -> Result<BuildRecord> {
        let text = std::fs::read(path)
            .map_err(|source| Error::io("could not read the record of a build", path, source))?;
        serde_json::from_slice(&text).map_err(|source| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "the record of a build is not what it should be",
            )
            .with_context("path", path.display().to_string())
            .with_hint("Remove the file; the images it tells of stay where they are.")
            .with_source(source)
        })
    }

    /// Reads files; the newest record comes first.
    fn read_all(&self, paths: &[PathBuf]) -> Result<Vec<BuildRecord>> {
        let records = paths.iter().map(|path| self.read(path));
        let mut records: Vec<BuildRecord> = records.collect::<Result<_>>()?;
        records.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(records)
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(Error::io(
                    "could not list the records of builds",
                    &self.directory,
                    source,
                ));
            }
        };
        let paths = entries.flatten().map(|entry| entry.path());
        Ok(paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect())
    }
}

/// Makes a directory that version control leaves alone.
pub(crate) fn make_unversioned(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    match std::fs::File::create_new(directory.join(".gitignore")) {
        Ok(mut file) => file.write_all(b"*\n"),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit())
}

impl BuildRecords for FileRecords {
    fn save(&self, record: &BuildRecord) -> Result<()> {
        let path = self.path(&record.id);
        let failed = |source| Error::io("could not keep the record of a build", &path, source);
        make_unversioned(&self.directory).map_err(failed)?;
        let text = serde_json::to_vec_pretty(record).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a record is not JSON").with_source(source)
        })?;
        // Written beside its place and renamed, so that nobody reads half of it.
        let temporary = self.directory.join(format!(".{}.tmp", record.id));
        std::fs::write(&temporary, text)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(failed)
    }

    fn list(&self) -> Result<Vec<BuildRecord>> {
        self.read_all(&self.files()?)
    }

    /// Files are as new as what they record, so that old ones need not be read.
    fn recent(&self, limit: usize) -> Result<Vec<BuildRecord>> {
        let mut files = self.files()?;
        let written = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
        files.sort_by_cached_key(|path| Reverse(written(path)));
        files.truncate(limit);
        self.read_all(&files)
    }

    fn get(&self, id: &str) -> Result<BuildRecord> {
        let found: Vec<PathBuf> = match is_id(id) {
            true => self
                .files()?
                .into_iter()
                .filter(|path| begins_with(path, id))
                .collect(),
            false => Vec::new(),
        };
        match found.as_slice() {
            [one] => self.read(one),
            [] => Err(
                Error::new(ErrorKind::NotFound, format!("there is no build `{id}`"))
                    .with_context("directory", self.directory.display().to_string())
                    .with_hint("`wharf pipeline builds list` shows those there are."),
            ),
            many => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("{} builds begin with `{id}`", many.len()),
            )
            .with_hint("Write more of the id.")),
        }
    }

    fn delete(&self, id: &str) -> Result<BuildRecord> {
        let record = self.get(id)?;
        let path = self.path(&record.id);
        std::fs::remove_file(&path)
            .map_err(|source| Error::io("could not remove the record of a build", &path, source))?;
        Ok(record)
    }
}

fn begins_with(path: &Path, id: &str) -> bool {
    path.file_stem()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;

    fn record(id: &str, second: i64) -> BuildRecord {
        BuildRecord {
            id: id.to_owned(),
            pipeline: "p".into(),
            created: Timestamp::from_second(second).unwrap(),
            duration_seconds: 1.5,
            stack: None,
            builder: "memory".into(),
            builder_facts: None,
            commit: None,
            repository: None,
            code_archive: None,
            images: BTreeMap::new(),
            parents: Vec::new(),
        }
    }

    #[test]
    fn records_are_listed_newest_first_and_found_by_the_beginning_of_their_id() {
        let directory = tempfile::tempdir().unwrap();
        let records = FileRecords::of_source_root(directory.path());
        assert_eq!(records.list().unwrap(), []);
        for record in [record("aa11", 1), record("aa22", 3), record("bb33", 2)] {
            records.save(&record).unwrap();
        }
        let ids: Vec<String> = records
            .list()
            .unwrap()
            .into_iter()
            .map(|record| record.id)
            .collect();
        assert_eq!(ids, ["aa22", "bb33", "aa11"]);
        assert_eq!(records.recent(9).unwrap(), records.list().unwrap());
        for record in records.list().unwrap() {
            let file = std::fs::File::open(records.path(&record.id)).unwrap();
            file.set_modified(record.created.into()).unwrap();
        }
        assert_eq!(records.recent(1).unwrap(), [record("aa22", 3)]);
        let ignored = directory.path().join(".wharf/builds/.gitignore");
        assert_eq!(std::fs::read_to_string(ignored).unwrap(), "*\n");
        assert_eq!(records.get("b").unwrap(), record("bb33", 2));
        assert_eq!(records.get("aa").unwrap_err().kind(), ErrorKind::InvalidInput);
        for unknown in ["cc", "", "../bb33", "*"] {
            assert_eq!(
                records.get(unknown).unwrap_err().kind(),
                ErrorKind::NotFound,
                "{unknown}"
            );
        }
        records.delete("bb33").unwrap();
        assert_eq!(records.list().unwrap().len(), 2);
    }

    #[test]
    fn a_record_of_before_parts_were_recorded_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let text = r#"{"id": "ab", "pipeline": "p", "created": "2026-01-01T00:00:00Z", "duration_seconds": 1.5,
            "builder": "local", "builder_facts": {"dialect": {"copy_chown": true}, "builds_locally": true}, "images": {"orchestrator": {"reference": "r.example/a@sha256:00", "image": "a:1",
            "checksum": "c", "content_key": "k", "contains_code": false, "steps": ["s"]}}}"#;
        std::fs::write(directory.path().join("ab.json"), text).unwrap();
        let record = FileRecords::new(directory.path()).get("ab").unwrap();
        let image = &record.images["orchestrator"];
        assert_eq!((&image.content, image.is_pushed()), (&None, true));
        assert_eq!(record.parents, []);
        let dialect = record.builder_facts.unwrap().dialect;
        assert!(dialect.copy_chown && !dialect.heredocs);
    }

    #[test]
    fn a_broken_record_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ab.json"), "{").unwrap();
        let error = FileRecords::new(directory.path()).list().unwrap_err();
        assert!(error.report().contains("ab.json"), "{}", error.report());
    }
}
