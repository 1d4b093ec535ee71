//! The world outside of a case on a real disk, with the case's programs first on the path.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use wharf_core::Result;
use wharf_pipeline::gather::{ProjectFiles, SystemEnvironment, ToolEnvironment};
use wharf_pipeline::inputs::{
    ActivePython, CodeRepositories, EnvironmentExport, LocalEnvironment, LocalRepository, RequirementsText,
    Surroundings,
};

use crate::world::python;

/// Where the programs are that the commands of cases call.
const SYSTEM_PATH: &str = "/usr/bin:/bin";

/// What stands for the source root in the data.
const ROOT: &str = "<ROOT>";

/// A source root and programs.
pub(crate) struct Disk {
    root: TempDir,
    tools: TempDir,
}

impl Disk {
    pub(crate) fn new(files: &Value, tools: &BTreeMap<String, String>) -> Self {
        let disk = Self {
            root: tempfile::tempdir().unwrap(),
            tools: tempfile::tempdir().unwrap(),
        };
        for (name, content) in files.as_object().into_iter().flatten() {
            let path = disk.root.path().join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
                continue;
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content.as_str().unwrap()).unwrap();
        }
        for (name, script) in tools {
            let path = disk.tools.path().join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        disk
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn surroundings(&self, repository: LocalRepository) -> Surroundings {
        let path = format!("{}:{SYSTEM_PATH}", self.tools.path().display());
        let tools = ToolEnvironment::empty(self.root()).with("PATH", path);
        Surroundings {
            source_root: self.root().to_owned(),
            environment: Arc::new(Environment(SystemEnvironment::new(tools.clone()))),
            files: Arc::new(ProjectFiles::new(tools)),
            repositories: Arc::new(Repository(repository)),
        }
    }

    /// The answer with the data's name for the source root.
    pub(crate) fn with_root_hidden(&self, answer: &Value) -> Value {
        let text = answer.to_string().replace(self.root().to_str().unwrap(), ROOT);
        serde_json::from_str(&text).unwrap()
    }
}

/// The environment of the programs, with the Python that the data was observed with.
#[derive(Debug)]
struct Environment(SystemEnvironment);

impl LocalEnvironment for Environment {
    fn freeze(&self, how: &EnvironmentExport) -> Result<RequirementsText> {
        self.0.freeze(how)
    }

    fn python(&self) -> Result<Option<ActivePython>> {
        Ok(Some(python()))
    }
}

#[derive(Debug)]
struct Repository(LocalRepository);

impl CodeRepositories for Repository {
    fn local(&self, _: &Path) -> Result<LocalRepository> {
        Ok(self.0.clone())
    }
}
