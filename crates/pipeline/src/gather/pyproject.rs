//! The dependencies of a project with a `pyproject.toml`.

use std::path::{Path, PathBuf};

use wharf_core::{Error, ErrorKind, Result};

use super::ToolEnvironment;
use super::lock_files;
use super::requirement_files::read_lines;
use super::words::{command_words, with_directory};
use crate::inputs::RequirementsText;

/// Exports the dependencies of a project.
///
/// 1. A command of the user's own, if there is one.
/// 2. The lock file beside the project file, with the tool that wrote it, which also checks that it fits.
/// 3. Without a lock file `uv export`, and if that fails `poetry export`. A lock file that they write on the way
///    is removed again: looking at a project does not change it.
///
/// # Errors
///
/// As [`RequirementsSource::export`](crate::inputs::RequirementsSource::export).
pub(super) fn export(
    environment: &ToolEnvironment,
    pyproject: &Path,
    command: Option<&[String]>,
) -> Result<RequirementsText> {
    let pyproject = existing(pyproject)?;
    let directory = pyproject.parent().unwrap_or(Path::new("/"));
    let exported = match command.filter(|command| !command.is_empty()) {
        Some(command) => Exported::plain(run_command(environment, command, directory)?),
        None => match lock_files::find(directory) {
            Some(lock) => lock_files::export(environment, &lock, directory)?,
            None => Exported::plain(resolve(environment, directory)?),
        },
    };
    exported.read(
        environment,
        directory,
        &format!("the export of {}", pyproject.display()),
    )
}

/// What a tool or a lock file says.
pub(super) struct Exported {
    pub(super) text: String,
    pub(super) warnings: Vec<String>,
}

impl Exported {
    pub(super) fn plain(text: String) -> Self {
        Self {
            text,
            warnings: Vec::new(),
        }
    }

    pub(super) fn read(
        self,
        environment: &ToolEnvironment,
        directory: &Path,
        label: &str,
    ) -> Result<RequirementsText> {
        let mut found = read_lines(environment, &without_header(&self.text), directory, label)?;
        found.warnings.extend(self.warnings);
        Ok(found)
    }
}

fn existing(pyproject: &Path) -> Result<PathBuf> {
    let path = match pyproject.is_dir() {
        true => pyproject.join("pyproject.toml"),
        false => pyproject.to_owned(),
    };
    match path.is_file() {
        true => Ok(path),
        false => {
            let message = format!("there is no project file {}", path.display());
            Err(Error::new(ErrorKind::NotFound, message)
                .with_hint("Set `pyproject_path` to a pyproject.toml that exists."))
        }
    }
}

fn run_command(environment: &ToolEnvironment, command: &[String], directory: &Path) -> Result<String> {
    let words = command_words(command)?;
    let words = words.iter().map(|word| with_directory(word, directory));
    let words = words.collect::<Result<Vec<_>>>()?;
    environment
        .run(&words[0], &words[1..])
        .map_err(|error| error.with_operation("export the project's dependencies"))
}

/// The arguments of `uv export`.
pub(super) fn uv_arguments(directory: &Path) -> Vec<String> {
    let directory = format!("--directory={}", directory.display());
    let arguments = [
        "export",
        "--format=requirements-txt",
        &directory,
        "--no-hashes",
        "--no-emit-project",
    ];
    arguments.map(str::to_owned).to_vec()
}

/// The arguments of `poetry export`.
pub(super) fn poetry_arguments(directory: &Path) -> Vec<String> {
    let directory = format!("--directory={}", directory.display());
    let arguments = [
        "export",
        "--format=requirements.txt",
        &directory,
        "--without-hashes",
    ];
    arguments.map(str::to_owned).to_vec()
}

fn resolve(environment: &ToolEnvironment, directory: &Path) -> Result<String> {
    let _cleanup = NewLockFiles::watch(directory);
    let stops = |error: &Error| matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Timeout);
    let uv = match environment.run("uv", &uv_arguments(directory)) {
        Ok(text) => return Ok(text),
        Err(error) if stops(&error) => return Err(error),
        Err(error) => error,
    };
    match environment.run("poetry", &poetry_arguments(directory)) {
        Ok(text) => Ok(text),
        Err(error) if stops(&error) => Err(error),
        Err(poetry) => Err(neither(&uv, &poetry, directory)),
    }
}

fn neither(uv: &Error, poetry: &Error, directory: &Path) -> Error {
    let missing = |error: &Error| error.kind() == ErrorKind::NotFound;
    let kind = match missing(uv) && missing(poetry) {
        true => ErrorKind::NotFound,
        false => ErrorKind::InvalidInput,
    };
    Error::new(kind, "neither uv nor poetry exports the project's dependencies")
        .with_context("project", directory.display().to_string())
        .with_context("uv", said(uv))
        .with_context("poetry", said(poetry))
        .with_hint(
            "Install uv, or set `pyproject_export_command` to a command that writes a requirements file to \
             standard output.",
        )
}

fn said(error: &Error) -> String {
    let output = error.context().find(|(key, _)| *key == "output");
    match output {
        Some((_, output)) => format!("{}: {output}", error.message()),
        None => error.message().to_owned(),
    }
}

/// Lock files that are removed when this is dropped, unless they were there before.
pub(super) struct NewLockFiles(Vec<PathBuf>);

impl NewLockFiles {
    pub(super) fn watch(directory: &Path) -> Self {
        let paths = ["uv.lock", "poetry.lock"].map(|name| directory.join(name));
        Self(paths.into_iter().filter(|path| !path.exists()).collect())
    }
}

impl Drop for NewLockFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            // Most were never made.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A text without the remark of uv that says how it was made: it names directories of this machine.
pub(super) fn without_header(text: &str) -> String {
    if !text.starts_with("# This file was autogenerated by uv") {
        return text.to_owned();
    }
    let mut lines = text.split_inclusive('\n').skip(1).peekable();
    while lines.next_if(|line| line.starts_with("#    ")).is_some() {}
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tools;
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn project() -> Tools {
        Tools::new().file("pyproject.toml", "[project]\nname = \"x\"\n")
    }

    fn run(tools: &Tools, command: Option<&[&str]>) -> Result<String> {
        let command = command.map(words);
        let path = tools.root().join("pyproject.toml");
        Ok(export(&tools.environment(), &path, command.as_deref())?.content)
    }

    #[test]
    fn a_command_is_run_with_the_directory() {
        let tools = project().file("locked.txt", "httpx==0.27\nanyio==4\n");
        let cat = run(&tools, Some(&["cat", "{directory}/locked.txt"])).unwrap();
        assert_eq!(cat, "httpx==0.27\nanyio==4\n");
        let awk = run(&tools, Some(&["awk", "'{{print}}'", "locked.txt"])).unwrap();
        assert_eq!(awk, "httpx==0.27\nanyio==4\n");
        let error = run(&tools, Some(&["cat", "{nothing}"])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn the_defaults_are_uv_and_then_poetry() {
        let tools = project().script("uv", r#"echo "uv $@""#);
        let root = tools.root().display().to_string();
        let uv =
            format!("uv export --format=requirements-txt --directory={root} --no-hashes --no-emit-project\n");
        assert_eq!(run(&tools, None).unwrap(), uv);
        assert_eq!(run(&tools, Some(&[])).unwrap(), uv);
        let tools = tools
            .script("uv", "exit 2")
            .script("poetry", r#"echo "poetry $@""#);
        assert_eq!(
            run(&tools, None).unwrap(),
            format!("poetry export --format=requirements.txt --directory={root} --without-hashes\n")
        );
    }

    #[test]
    fn when_both_fail_both_are_heard() {
        let tools = project();
        let error = run(&tools, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let tools = tools
            .script("uv", "echo no table >&2; exit 2")
            .script("poetry", "echo no plugin >&2; exit 1");
        let error = run(&tools, None).unwrap_err();
        let report = error.report();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            report.contains("no table") && report.contains("no plugin"),
            "{report}"
        );
    }

    #[test]
    fn exporting_leaves_the_project_as_it_was() {
        let tools = project().script("uv", "echo new > uv.lock; echo a==1");
        assert_eq!(run(&tools, None).unwrap(), "a==1\n");
        assert!(!tools.root().join("uv.lock").exists());
    }

    #[test]
    fn a_project_that_is_missing_is_named_and_a_directory_will_do() {
        let tools = project().script("uv", "echo a==1");
        let export = |name| export(&tools.environment(), &tools.root().join(name), None);
        assert_eq!(export("none.toml").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(export(".").unwrap().content, "a==1\n");
    }

    #[test]
    fn the_header_of_uv_goes_and_nothing_else() {
        let text = "# This file was autogenerated by uv via the following command:\n#    uv export --directory=/a\na==1\n    # via b\n";
        assert_eq!(without_header(text), "a==1\n    # via b\n");
        assert_eq!(without_header("# mine\na==1"), "# mine\na==1");
    }
}
