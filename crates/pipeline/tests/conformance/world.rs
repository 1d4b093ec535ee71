//! A world outside that is made of the inputs of a case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use wharf_core::builder::DockerfileDialect;
use wharf_core::registry::{FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{Error, ErrorKind, Result};
use wharf_pipeline::inputs::{
    ActivePython, CodeRepositories, DetectedRequirements, EnvironmentExport, LocalEnvironment,
    LocalRepository, RepositoryCode, RequirementsSource, RequirementsText, Surroundings,
};
use wharf_pipeline::plan::BuilderFacts;

pub(crate) const ROOT: &str = "/source-root";

/// Files and answers in memory; `echo` is the only program.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) repository: LocalRepository,
}

impl World {
    pub(crate) fn new(files: &Value) -> Self {
        let files = files.as_object().into_iter().flatten();
        Self {
            files: files
                .map(|(name, content)| (name.clone(), content.as_str().unwrap_or_default().to_owned()))
                .collect(),
            repository: LocalRepository::None,
        }
    }

    pub(crate) fn with_repository(mut self, requirements: Vec<String>) -> Self {
        self.repository = repository(requirements);
        self
    }

    pub(crate) fn surroundings(self) -> Surroundings {
        let world = Arc::new(self);
        Surroundings {
            source_root: PathBuf::from(ROOT),
            environment: world.clone(),
            files: world.clone(),
            repositories: world,
        }
    }

    fn content(&self, path: &Path) -> Result<String> {
        let name = path
            .strip_prefix(ROOT)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        if self.files.contains_key(&format!("{name}/")) {
            let message = format!("{name} is a directory");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let content = self.files.get(&name).map(|text| text.replace("\r\n", "\n"));
        content.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no {name}")))
    }
}

fn echo(words: &[String]) -> Result<String> {
    match words.split_first() {
        Some((program, words)) if program == "echo" => Ok(format!("{}\n", words.join(" "))),
        _ => Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no program {words:?}"),
        )),
    }
}

impl LocalEnvironment for World {
    fn freeze(&self, how: &EnvironmentExport) -> Result<RequirementsText> {
        let text = match how {
            EnvironmentExport::Command(words) => echo(words),
            _ => echo(&[]),
        };
        text.map(RequirementsText::plain)
    }

    fn python(&self) -> Result<Option<ActivePython>> {
        Ok(Some(python()))
    }
}

impl RequirementsSource for World {
    fn read(&self, path: &Path) -> Result<RequirementsText> {
        self.content(path).map(RequirementsText::plain)
    }

    fn resolve(&self, requirements: &[String], _: &Path) -> Result<RequirementsText> {
        Ok(RequirementsText::plain(requirements.join("\n")))
    }

    fn export(&self, _: &Path, command: Option<&[String]>) -> Result<RequirementsText> {
        echo(command.unwrap_or_default()).map(RequirementsText::plain)
    }

    fn detect(&self, source_root: &Path) -> Result<Option<DetectedRequirements>> {
        let has = |name: &str| self.files.keys().any(|known| known.trim_end_matches('/') == name);
        Ok(match (has("requirements.txt"), has("pyproject.toml")) {
            (true, _) => Some(DetectedRequirements::File(source_root.join("requirements.txt"))),
            (_, true) => Some(DetectedRequirements::Project(source_root.join("pyproject.toml"))),
            _ => None,
        })
    }

    fn text(&self, path: &Path) -> Result<String> {
        self.content(path)
    }
}

impl CodeRepositories for World {
    fn local(&self, _: &Path) -> Result<LocalRepository> {
        Ok(self.repository.clone())
    }
}

/// A repository that has the code, and needs these packages in the image.
pub(crate) fn repository(requirements: Vec<String>) -> LocalRepository {
    LocalRepository::Usable(RepositoryCode {
        kind: "github".into(),
        url: "https://github.com/org/repo".into(),
        commit: "0".repeat(40),
        branch: None,
        subdirectory: String::new(),
        requirements,
    })
}

/// The Python and the ZenML that the data was observed with.
pub(crate) fn python() -> ActivePython {
    ActivePython {
        major: 3,
        minor: 11,
        zenml: Some("0.98.0".into()),
    }
}

pub(crate) fn registry(uri: &str, default_repository: Option<&str>) -> FlavoredRegistry {
    let config = RegistryConfig {
        uri: uri.to_owned(),
        default_repository: default_repository.map(str::to_owned),
        ..RegistryConfig::default()
    };
    FlavoredRegistry::new(RegistryFlavor::Default, config).unwrap()
}

/// A builder that knows `COPY --chown`, as all do, and cache mounts where the settings want one.
pub(crate) fn builder(cache_mounts: bool, builds_locally: bool) -> BuilderFacts {
    BuilderFacts {
        dialect: DockerfileDialect {
            cache_mounts,
            copy_chown: true,
            ..DockerfileDialect::default()
        },
        builds_locally,
    }
}

pub(crate) fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}
