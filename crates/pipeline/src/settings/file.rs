//! A pipeline's file: ZenML's run configuration, of which wharf reads what has to do with images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_core::{Error, ErrorKind, Result};

use super::DockerSettings;
use super::deprecated;
use super::keys::{PIPELINE_KEYS, STEP_KEYS};
use super::node::{Key, Node, Value};
use super::problem::Findings;
use super::read::{self, Entry};
use super::reader::Reader;
use super::substitute::{Lookup, substitute};
use crate::nearest::suggestion;

/// A pipeline as its file describes it.
#[derive(Debug, Clone)]
pub struct PipelineFile {
    /// Where the file is.
    pub path: PathBuf,
    /// The pipeline's name: `name` in the file, else the file's name without its ending.
    pub name: String,
    /// The settings of the pipeline, for steps that have none of their own.
    pub settings: Arc<DockerSettings>,
    /// The steps, in the order of the file.
    pub steps: Vec<StepSettings>,
    /// The id of a build that is to be used: `build` in the file.
    pub build: Option<String>,
    /// What the user should know, with file and line.
    pub warnings: Vec<String>,
}

/// A step and the settings in force for it.
#[derive(Debug, Clone)]
pub struct StepSettings {
    /// The name.
    pub name: String,
    /// The pipeline's settings with the step's own over them. Steps without settings share the pipeline's.
    pub settings: Arc<DockerSettings>,
}

impl PipelineFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::Io`] when it cannot be read, and as for
    /// [`parse`](Self::parse).
    pub fn read(path: &Path, environment: Lookup<'_>) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::new(
                ErrorKind::NotFound,
                format!("there is no pipeline file at {}", path.display()),
            )
            .with_hint("Name the YAML file of the pipeline's run configuration."),
            std::io::ErrorKind::InvalidData => Error::new(
                ErrorKind::InvalidConfiguration,
                format!("{} is not UTF-8", path.display()),
            ),
            _ => Error::io("the pipeline file cannot be read", path, source),
        })?;
        Self::parse(&text, path, environment)
    }

    /// Reads a text; the path is for messages, and names a pipeline that has no name. `${NAME}` in what is read
    /// is looked up in `environment`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`]: the place where the text is no YAML, or everything that is wrong in
    /// it, each with file, line, attribute and accepted form.
    pub fn parse(text: &str, path: &Path, environment: Lookup<'_>) -> Result<Self> {
        let file = path.display().to_string();
        let root = Node::parse(text, &file)?;
        let mut reading = Reading {
            findings: Findings::default(),
            environment,
        };
        let parts = reading.top(&root);
        let (settings, steps) = reading.settings(parts.docker, parts.steps);
        let name = parts.name.unwrap_or_else(|| stem(path));
        let warnings = reading.findings.finish(&file)?;
        Ok(Self {
            path: path.to_owned(),
            name,
            settings,
            steps,
            build: parts.build,
            warnings,
        })
    }
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Settings that stand alone, without a pipeline around them.
pub(super) fn settings_alone(text: &str, environment: Lookup<'_>) -> Result<(DockerSettings, Vec<String>)> {
    let file = "settings";
    let root = Node::parse(text, file)?;
    let mut reading = Reading {
        findings: Findings::default(),
        environment,
    };
    let place = "docker".to_owned();
    let entries = reading.attributes(&root, &place);
    let own = Own { place, entries };
    let settings = reading.read(&own.entries());
    let warnings = reading.findings.finish(file)?;
    Ok((settings, warnings))
}

/// A file while it is read.
struct Reading<'a> {
    findings: Findings,
    environment: Lookup<'a>,
}

/// What of the top matters.
#[derive(Default)]
struct Parts {
    name: Option<String>,
    build: Option<String>,
    docker: Own,
    steps: Vec<(String, Own)>,
}

/// The attributes that settings have of their own, and their place.
#[derive(Default)]
struct Own {
    place: String,
    entries: Vec<(Key, Node)>,
}

impl Own {
    fn entries(&self) -> Vec<Entry<'_>> {
        let entry = |(key, node)| Entry {
            place: &self.place,
            key,
            node,
        };
        self.entries
            .iter()
            .map(|(key, node)| entry((key, node)))
            .collect()
    }
}

impl Reading<'_> {
    fn top(&mut self, root: &Node) -> Parts {
        let mut parts = Parts::default();
        let entries = match &root.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => {
                self.findings.problem(
                    root.line,
                    "(the file)",
                    "expected a mapping with `settings` and `steps`",
                );
                return parts;
            }
        };
        for (key, node) in entries {
            match key.name.as_str() {
                "name" => parts.name = self.text(node, "name"),
                "build" => parts.build = self.build(node),
                "settings" => parts.docker = self.docker(node, "settings"),
                "steps" => parts.steps = self.steps(node),
                _ => self.check_key(key, &PIPELINE_KEYS, ""),
            }
        }
        parts
    }

    /// A text with its variables replaced; null says nothing.
    fn text(&mut self, node: &Node, attribute: &str) -> Option<String> {
        let mut node = node.clone();
        substitute(&mut node, attribute, self.environment, &mut self.findings);
        let reader = Reader {
            attribute: attribute.to_owned(),
            node: &node,
            findings: &mut self.findings,
        };
        reader.text()
    }

    fn build(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            // ZenML can write a whole build here; its images are not known to wharf.
            Value::Map(_) => {
                let message = "expected the id of a build, found a mapping";
                self.findings.problem(node.line, "build", message);
                None
            }
            // The beginning of an id may look like a number.
            Value::Number(number) => Some(number.clone()),
            _ => self.text(node, "build"),
        }
    }

    fn check_key(&mut self, key: &Key, known: &[&str], place: &str) {
        if !known.contains(&key.name.as_str()) {
            let meant = suggestion(known.iter().copied(), &key.name);
            let message = format!("a run configuration has no such key{meant}");
            let attribute = format!("{place}{}", key.name);
            self.findings.problem(key.line, &attribute, message);
        }
    }

    fn steps(&mut self, node: &Node) -> Vec<(String, Own)> {
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => return Vec::new(),
            _ => {
                let message = format!("expected a mapping of steps' names, found {}", node.found());
                self.findings.problem(node.line, "steps", message);
                return Vec::new();
            }
        };
        entries
            .iter()
            .map(|(key, node)| (key.name.clone(), self.step(&key.name, node)))
            .collect()
    }

    fn step(&mut self, name: &str, node: &Node) -> Own {
        let place = format!("steps.{name}");
        let mut own = Own::default();
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => return own,
            _ => {
                let message = format!("expected a mapping, found {}", node.found());
                self.findings.problem(node.line, &place, message);
                return own;
            }
        };
        for (key, node) in entries {
            match key.name.as_str() {
                "settings" => own = self.docker(node, &format!("{place}.settings")),
                _ => self.check_key(key, &STEP_KEYS, &format!("{place}.")),
            }
        }
        own
    }

    /// The Docker settings among settings of all kinds.
    fn docker(&mut self, node: &Node, place: &str) -> Own {
        let mut own = Own::default();
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => return own,
            _ => {
                let message = format!("expected a mapping, found {}", node.found());
                self.findings.problem(node.line, place, message);
                return own;
            }
        };
        for (key, node) in entries {
            if key.name == "docker" {
                own.place = format!("{place}.docker");
                own.entries = self.attributes(node, &own.place);
            } else if !suggestion(["docker"], &key.name).is_empty() {
                let message = "wharf reads `docker` alone; is this meant?";
                self.findings
                    .warning(key.line, &format!("{place}.{}", key.name), message);
            }
        }
        own
    }

    /// The attributes of Docker settings, with variables replaced and deprecated ones translated.
    fn attributes(&mut self, node: &Node, place: &str) -> Vec<(Key, Node)> {
        let mut node = node.clone();
        substitute(&mut node, place, self.environment, &mut self.findings);
        match node.value {
            Value::Map(mut entries) => {
                read::check_names(&entries, place, &mut self.findings);
                deprecated::translate(&mut entries, place, &mut self.findings);
                entries
            }
            Value::Null => Vec::new(),
            _ => {
                let message = format!("expected a mapping, found {}", node.found());
                self.findings.problem(node.line, place, message);
                Vec::new()
            }
        }
    }

    fn read(&mut self, entries: &[Entry<'_>]) -> DockerSettings {
        read::docker_settings(entries, &mut self.findings)
    }

    /// Lays each step's settings over the pipeline's.
    fn settings(
        &mut self,
        docker: Own,
        steps: Vec<(String, Own)>,
    ) -> (Arc<DockerSettings>, Vec<StepSettings>) {
        let pipeline = docker.entries();
        // Where every step has settings of its own, the pipeline's need not make sense alone.
        let is_used = steps.is_empty() || steps.iter().any(|(_, own)| own.entries.is_empty());
        let settings = match is_used {
            true => Arc::new(self.read(&pipeline)),
            false => Arc::new(read::docker_settings(&pipeline, &mut Findings::default())),
        };
        let steps = steps
            .into_iter()
            .map(|(name, own)| {
                if own.entries.is_empty() {
                    let settings = Arc::clone(&settings);
                    return StepSettings { name, settings };
                }
                let mut merged = own.entries();
                let is_own = |name: &str| own.entries.iter().any(|(key, _)| key.name == name);
                merged.extend(pipeline.iter().filter(|entry| !is_own(&entry.key.name)));
                let settings = Arc::new(self.read(&merged));
                StepSettings { name, settings }
            })
            .collect();
        (settings, steps)
    }
}

#[cfg(test)]
mod tests;
