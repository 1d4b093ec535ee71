//! The files of a project that a plan reads.

use std::io;
use std::path::Path;

use wharf_core::{Error, ErrorKind, Result};

use super::requirement_files::{read_file, read_lines};
use super::{ToolEnvironment, index_logins, lock_files, pyproject};
use crate::inputs::{DetectedRequirements, IndexLogin, IndexPlace, RequirementsSource, RequirementsText};

/// Requirement files, projects and Dockerfiles on disk, and the programs that read projects.
///
/// A lock file or a conda environment that is given as a requirements file is read as what it is.
#[derive(Debug, Clone)]
pub struct ProjectFiles {
    tools: ToolEnvironment,
}

impl ProjectFiles {
    /// Runs programs in this environment, if any are needed. Nothing is read yet.
    #[must_use]
    pub fn new(tools: ToolEnvironment) -> Self {
        Self { tools }
    }
}

impl RequirementsSource for ProjectFiles {
    fn read(&self, path: &Path) -> Result<RequirementsText> {
        if path.file_name().is_some_and(|name| name == "pyproject.toml") {
            return self.export(path, None);
        }
        match lock_files::read_as_requirements(&self.tools, path)? {
            Some(text) => Ok(text),
            None => read_file(&self.tools, path),
        }
    }

    fn resolve(&self, requirements: &[String], directory: &Path) -> Result<RequirementsText> {
        let text = requirements.join("\n");
        read_lines(&self.tools, &text, directory, "the requirements in the settings")
    }

    fn export(&self, pyproject: &Path, command: Option<&[String]>) -> Result<RequirementsText> {
        pyproject::export(&self.tools, pyproject, command)
    }

    fn detect(&self, source_root: &Path) -> Result<Option<DetectedRequirements>> {
        let requirements = source_root.join("requirements.txt");
        let project = source_root.join("pyproject.toml");
        // A directory of that name is found, too: reading it says what is wrong.
        Ok(match (exists(&requirements)?, exists(&project)?) {
            (true, _) => Some(DetectedRequirements::File(requirements)),
            (false, true) => Some(DetectedRequirements::Project(project)),
            (false, false) => None,
        })
    }

    fn login(&self, place: &IndexPlace) -> Option<IndexLogin> {
        index_logins::login(&self.tools, place)
    }

    fn text(&self, path: &Path) -> Result<String> {
        let bytes = std::fs::read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                let message = format!("there is no file {}", path.display());
                Error::new(ErrorKind::NotFound, message)
            }
            io::ErrorKind::IsADirectory => {
                let message = format!("{} is a directory", path.display());
                Error::new(ErrorKind::InvalidInput, message)
            }
            _ => Error::io("a file cannot be read", path, source),
        })?;
        String::from_utf8(bytes).map_err(|source| {
            let message = format!("{} is not UTF-8", path.display());
            Error::new(ErrorKind::InvalidInput, message).with_source(source.utf8_error())
        })
    }
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|source| {
        Error::io(
            "the source root cannot be searched for requirements",
            path,
            source,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tools;
    use super::*;

    fn files(tools: &Tools) -> ProjectFiles {
        ProjectFiles::new(tools.environment())
    }

    #[test]
    fn requirements_are_found_before_a_project() {
        let tools = Tools::new();
        let detect = |tools: &Tools| files(tools).detect(&tools.root()).unwrap();
        assert_eq!(detect(&tools), None);
        let tools = tools.file("pyproject.toml", "");
        let project = tools.root().join("pyproject.toml");
        assert_eq!(detect(&tools), Some(DetectedRequirements::Project(project)));
        let tools = tools.file("requirements.txt/x", "");
        let found = tools.root().join("requirements.txt");
        assert_eq!(detect(&tools), Some(DetectedRequirements::File(found.clone())));
        let error = files(&tools).read(&found).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().ends_with("is a directory"));
    }

    #[test]
    fn a_project_can_be_given_as_requirements() {
        let tools = Tools::new().file("pyproject.toml", "").script("uv", "echo a==1");
        let text = files(&tools).read(&tools.root().join("pyproject.toml")).unwrap();
        assert_eq!(text.content, "a==1\n");
    }

    #[test]
    fn a_list_of_requirements_is_joined() {
        let list = [
            "torch==2.1.0",
            "numpy>=1.26,<2",
            "tomli; python_version < \"3.11\"",
        ];
        let list = list.map(str::to_owned);
        let text = files(&Tools::new()).resolve(&list, Path::new("/")).unwrap();
        assert_eq!(text, RequirementsText::plain(list.join("\n")));
    }

    #[test]
    fn texts_are_read_or_refused_with_the_reason() {
        let tools = Tools::new().file("Dockerfile", "FROM x\n").file("latin", b"\xfc");
        let text = |name: &str| files(&tools).text(&tools.root().join(name));
        assert_eq!(text("Dockerfile").unwrap(), "FROM x\n");
        assert_eq!(text("none").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(text("latin").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(text(".").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
