//! How an image of a plan is built.

use std::path::{Path, PathBuf};

use wharf_core::context::DockerfileSource;
use wharf_core::options::DockerBuildOptions;
use wharf_core::{BuildContext, Error, ErrorKind, FileSource, ImageReference, Result};

use crate::settings::DockerSettings;

/// Everything a builder must be told about an image, beside the components of the stack.
#[derive(Debug, Clone)]
pub struct BuildInstructions {
    /// The name of the image.
    pub image: ImageReference,
    /// The directory whose files the build may use; none: only those added.
    pub context_root: Option<PathBuf>,
    /// The ignore file to use; none: the one that is found.
    pub ignore_file: Option<PathBuf>,
    /// Files of the context that are on no disk: requirements files and what was asked to be added.
    pub files: Vec<(String, Vec<u8>)>,
    /// Files that requirements include and that do not exist: with them nothing can be built.
    pub missing: Vec<String>,
    /// The Dockerfile's name in the context, and its text.
    pub dockerfile: (String, String),
    /// Whether everybody gets the permissions that the owner of a file has, so that the code can be read and
    /// changed by whoever runs the image.
    pub open_modes: bool,
    /// Patterns of what is left out of the context, unless its ignore file takes it back.
    pub left_out: Vec<&'static str>,
    /// How to build; `pull` is said by [`pull`](Self::pull).
    pub options: DockerBuildOptions,
    /// Whether to ask the registry for a newer parent image.
    pub pull: PullParent,
}

/// Whether to ask the registry for a newer parent image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullParent {
    /// The user says so, or says not.
    Given(bool),
    /// Yes, unless the builder's own store is the only one that has it.
    UnlessLocal,
    /// No: the name never means another image, or the image was built right before on the same machine.
    No,
}

impl BuildInstructions {
    /// The context of the build.
    ///
    /// # Errors
    ///
    /// [`NotFound`](wharf_core::ErrorKind::NotFound) when requirements include files that do not exist,
    /// [`InvalidInput`](wharf_core::ErrorKind::InvalidInput) when an added file has a name that leaves the
    /// context.
    pub fn context(&self) -> Result<BuildContext> {
        if !self.missing.is_empty() {
            let message = format!(
                "requirements include what does not exist: {}",
                self.missing.join(", ")
            );
            return Err(Error::new(ErrorKind::NotFound, message)
                .with_hint("Add the files, or leave out the lines that include them."));
        }
        let mut context = self.directory()?;
        for (name, content) in &self.files {
            context.add_file(name, FileSource::Bytes(content.clone().into()), None)?;
        }
        Ok(context)
    }

    /// The part of the context that comes from its directory; the Dockerfile is empty, and nothing is added.
    pub(crate) fn code_context(&self) -> Result<BuildContext> {
        let (name, _) = &self.dockerfile;
        Ok(self.directory()?.with_dockerfile(DockerfileSource::Bytes {
            name: name.clone(),
            content: Default::default(),
        }))
    }

    fn directory(&self) -> Result<BuildContext> {
        let mut context = match &self.context_root {
            Some(root) => BuildContext::new(root),
            None => BuildContext::empty(),
        };
        if let Some(path) = &self.ignore_file {
            context = context.with_ignore_file(path);
        }
        if self.open_modes {
            context = context.with_open_modes();
        }
        let (name, text) = self.dockerfile.clone();
        let content = text.into();
        context = context.with_dockerfile(DockerfileSource::Bytes { name, content });
        with_own_rules(context, &self.left_out)
    }
}

/// What of a checkout is no code, and differs from clone to clone: with it no image would be found again.
pub(super) fn left_out(settings: &DockerSettings) -> Vec<&'static str> {
    let mut patterns = vec!["**/__pycache__"];
    // A project that is installed may take its version from there.
    if settings.local_project_install_command.is_none() {
        patterns.push("**/.git");
    }
    patterns
}

/// What wharf itself writes below a source root. In the context, the record of a build would change the next. The
/// rule stands there whether or not there is anything to leave out, as the rules are part of the context.
const OWN_FILES: &str = "\n.wharf\n";

/// Rules before the user's, which these may take back, and rules behind them.
fn with_own_rules(context: BuildContext, left_out: &[&str]) -> Result<BuildContext> {
    if context.root().is_none() {
        return Ok(context);
    }
    let rules = context.ignore_rules()?;
    let file = rules
        .file()
        .map_or_else(|| PathBuf::from(".dockerignore"), Path::to_owned);
    let before: String = left_out.iter().map(|pattern| format!("{pattern}\n")).collect();
    let text = [before.as_bytes(), rules.text().as_ref(), OWN_FILES.as_bytes()].concat();
    Ok(context.with_ignore_text(text, file))
}

/// The name of a Dockerfile inside the context: its own where it lies there, so that the ignore file beside it
/// is found.
pub(super) fn dockerfile_name(path: &Path, context_root: Option<&Path>) -> String {
    let inside = context_root.and_then(|root| path.strip_prefix(root).ok());
    let name = inside.and_then(Path::to_str).filter(|name| !name.is_empty());
    name.unwrap_or(wharf_core::context::DEFAULT_DOCKERFILE).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_core::options::DockerBuildOptions;

    #[test]
    fn what_is_no_code_is_not_in_the_context() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(".dockerignore", "*.md\n!kept/__pycache__");
        for name in [
            "a.md",
            "code.py",
            ".git/HEAD",
            "sub/.git",
            "sub/__pycache__/a.pyc",
            "kept/__pycache__/a.pyc",
        ] {
            write(name, "x");
        }
        let instructions = BuildInstructions {
            image: "app:1".parse().unwrap(),
            context_root: Some(root.path().to_owned()),
            ignore_file: None,
            files: Vec::new(),
            missing: Vec::new(),
            dockerfile: ("Dockerfile".into(), "FROM scratch\n".into()),
            open_modes: false,
            left_out: vec!["**/.git", "**/__pycache__"],
            options: DockerBuildOptions::default(),
            pull: PullParent::No,
        };
        let before = instructions.context().unwrap().digest().unwrap();
        for name in [
            ".wharf/.gitignore",
            ".wharf/builds/1.json",
            ".wharf/artifacts/code/x",
        ] {
            write(name, "x");
        }
        let context = instructions.context().unwrap();
        let files = context.files().unwrap();
        let names: Vec<String> = files.iter().map(|file| file.name.display().to_string()).collect();
        let expected = [
            ".dockerignore",
            "code.py",
            "kept",
            "kept/__pycache__",
            "kept/__pycache__/a.pyc",
            "sub",
        ];
        assert_eq!(names, expected);
        assert_eq!(context.digest().unwrap(), before);
    }
}
