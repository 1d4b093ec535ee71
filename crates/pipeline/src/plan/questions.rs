//! What a plan asks the outside, each distinct question once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wharf_core::Result;

use crate::inputs::{
    ActivePython, DetectedRequirements, EnvironmentExport, IndexLogin, IndexPlace, RequirementsText,
    Surroundings,
};

/// A project's file, and the command that exports its dependencies.
type Project = (PathBuf, Option<Vec<String>>);

/// Asks, and remembers the answers.
pub(super) struct Questions<'a> {
    surroundings: &'a Surroundings,
    frozen: BTreeMap<EnvironmentExport, RequirementsText>,
    read: BTreeMap<PathBuf, RequirementsText>,
    resolved: BTreeMap<Vec<String>, RequirementsText>,
    exported: BTreeMap<Project, RequirementsText>,
    texts: BTreeMap<PathBuf, String>,
    logins: BTreeMap<IndexPlace, Option<IndexLogin>>,
    detected: BTreeMap<(), Option<DetectedRequirements>>,
    python: BTreeMap<(), Option<ActivePython>>,
}

impl<'a> Questions<'a> {
    pub(super) fn new(surroundings: &'a Surroundings) -> Self {
        Self {
            surroundings,
            frozen: BTreeMap::new(),
            read: BTreeMap::new(),
            resolved: BTreeMap::new(),
            exported: BTreeMap::new(),
            texts: BTreeMap::new(),
            logins: BTreeMap::new(),
            detected: BTreeMap::new(),
            python: BTreeMap::new(),
        }
    }

    /// The place of a path of the settings.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.surroundings.source_root.join(path)
    }

    pub(super) fn frozen(&mut self, how: &EnvironmentExport) -> Result<RequirementsText> {
        let environment = &self.surroundings.environment;
        once(&mut self.frozen, how.clone(), || environment.freeze(how))
    }

    pub(super) fn python(&mut self) -> Result<Option<ActivePython>> {
        let environment = &self.surroundings.environment;
        once(&mut self.python, (), || environment.python())
    }

    pub(super) fn requirements_file(&mut self, path: PathBuf) -> Result<RequirementsText> {
        let files = &self.surroundings.files;
        once(&mut self.read, path.clone(), || files.read(&path))
    }

    /// Requirements of a list. Only those that may name a file or hold a login need to be looked at
    /// from outside.
    pub(super) fn requirements_list(&mut self, list: &[String]) -> Result<RequirementsText> {
        let is_special = |line: &String| {
            let line = line.trim_start();
            line.starts_with(['-', '.', '/']) || line.contains("file:") || line.contains("://")
        };
        if !list.iter().any(is_special) {
            return Ok(RequirementsText::plain(list.join("\n")));
        }
        let files = &self.surroundings.files;
        let root = &self.surroundings.source_root;
        once(&mut self.resolved, list.to_vec(), || files.resolve(list, root))
    }

    pub(super) fn project(&mut self, path: PathBuf, command: Option<&[String]>) -> Result<RequirementsText> {
        let files = &self.surroundings.files;
        let key = (path.clone(), command.map(<[String]>::to_vec));
        once(&mut self.exported, key, || files.export(&path, command))
    }

    pub(super) fn detected(&mut self) -> Result<Option<DetectedRequirements>> {
        let files = &self.surroundings.files;
        let root = &self.surroundings.source_root;
        once(&mut self.detected, (), || files.detect(root))
    }

    pub(super) fn login(&mut self, place: &IndexPlace) -> Result<Option<IndexLogin>> {
        let files = &self.surroundings.files;
        once(&mut self.logins, place.clone(), || Ok(files.login(place)))
    }

    pub(super) fn text(&mut self, path: &Path) -> Result<String> {
        let files = &self.surroundings.files;
        once(&mut self.texts, path.to_owned(), || files.text(path))
    }
}

fn once<K: Ord, V: Clone>(known: &mut BTreeMap<K, V>, key: K, ask: impl FnOnce() -> Result<V>) -> Result<V> {
    if let Some(answer) = known.get(&key) {
        return Ok(answer.clone());
    }
    let answer = ask()?;
    known.insert(key, answer.clone());
    Ok(answer)
}
