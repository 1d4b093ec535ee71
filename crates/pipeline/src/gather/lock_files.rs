//! Lock files: they are used as they stand, by the tool that wrote them, or not at all.
//!
//! | file | how it becomes requirements |
//! | --- | --- |
//! | `uv.lock` | `uv export --locked`, which fails if the lock does not fit the project |
//! | `poetry.lock` | `poetry export`, which fails likewise |
//! | `pixi.lock` | read here: what is on PyPI, at its exact version; the rest is told |
//! | conda's `environment.yml` | read here, if all it asks of conda is Python; else an error |

use std::path::{Path, PathBuf};

use wharf_core::{Error, ErrorKind, Result};

use super::ToolEnvironment;
use super::conda;
use super::index_credentials::hide_credentials;
use super::pyproject::{Exported, poetry_arguments, uv_arguments};
use super::requirement_files::read_text;
use crate::inputs::RequirementsText;

/// The index that needs no mention.
const PYPI: &str = "https://pypi.org/simple";

/// A lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lock {
    Uv(PathBuf),
    Poetry(PathBuf),
    Pixi(PathBuf),
}

/// The lock file of a project; that of the workspace it belongs to counts, too.
pub(super) fn find(directory: &Path) -> Option<Lock> {
    let here = |name: &str| Some(directory.join(name)).filter(|path| path.is_file());
    here("uv.lock")
        .or_else(|| workspace_lock(directory))
        .map(Lock::Uv)
        .or_else(|| here("poetry.lock").map(Lock::Poetry))
        .or_else(|| here("pixi.lock").map(Lock::Pixi))
}

/// The lock of the uv workspace around a project.
fn workspace_lock(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().skip(1).find_map(|above| {
        let lock = Some(above.join("uv.lock")).filter(|path| path.is_file())?;
        let project = std::fs::read_to_string(above.join("pyproject.toml")).ok()?;
        let heads_workspace = project
            .lines()
            .any(|line| line.trim().starts_with("[tool.uv.workspace"));
        heads_workspace.then_some(lock)
    })
}

/// The requirements of a project as its lock file has them.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] if the tool is missing; [`ErrorKind::InvalidInput`] if the lock file does not fit the
/// project, or cannot be said in a requirements file.
pub(super) fn export(environment: &ToolEnvironment, lock: &Lock, directory: &Path) -> Result<Exported> {
    match lock {
        Lock::Uv(path) => {
            let mut arguments = uv_arguments(directory);
            arguments.push("--locked".to_owned());
            let text = environment
                .run("uv", &arguments)
                .map_err(|error| explained(error, path, "uv", "uv lock"))?;
            Ok(Exported {
                text,
                warnings: other_indexes(path),
            })
        }
        Lock::Poetry(path) => environment
            .run("poetry", &poetry_arguments(directory))
            .map(Exported::plain)
            .map_err(|error| explained(error, path, "poetry", "poetry lock")),
        Lock::Pixi(path) => conda::pixi(&read_text(path)?).map_err(|error| about(error, path)),
    }
}

/// The requirements that a file stands for which is named as requirements and is a lock file or project file.
/// None for any other file.
pub(super) fn read_as_requirements(
    environment: &ToolEnvironment,
    path: &Path,
) -> Result<Option<RequirementsText>> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let exported = match &*name {
        "uv.lock" => export(environment, &Lock::Uv(path.to_owned()), directory)?,
        "poetry.lock" => export(environment, &Lock::Poetry(path.to_owned()), directory)?,
        "pixi.lock" => export(environment, &Lock::Pixi(path.to_owned()), directory)?,
        _ if name.ends_with(".yml") || name.ends_with(".yaml") => {
            conda::environment_file(&read_text(path)?).map_err(|error| about(error, path))?
        }
        _ => return Ok(None),
    };
    let label = format!("the export of {}", path.display());
    exported.read(environment, directory, &label).map(Some)
}

fn about(error: Error, path: &Path) -> Error {
    error.with_context("file", path.display().to_string())
}

/// Says what is wrong with a lock file that its tool refuses, and what to do.
fn explained(error: Error, path: &Path, tool: &str, cure: &str) -> Error {
    let output = error
        .context()
        .find(|(key, _)| *key == "output")
        .map_or("", |(_, output)| output);
    let stale = output.contains("needs to be updated") || output.contains("changed significantly");
    let no_plugin = output.contains("command export does not exist");
    let error = about(error, path);
    if stale {
        let message = format!("{} does not fit its project any more", path.display());
        return Error::new(ErrorKind::InvalidInput, message)
            .with_hint(format!("Run `{cure}`, and check the changed lock file in."))
            .with_source(error);
    }
    if no_plugin {
        return error.with_hint("Run `poetry self add poetry-plugin-export`.");
    }
    match error.kind() {
        ErrorKind::NotFound => error.with_hint(format!(
            "The project has a lock file that only {tool} reads. Install {tool}, or set \
             `pyproject_export_command`."
        )),
        _ => error.with_operation(format!("export {}", path.display())),
    }
}

/// A warning for each index other than PyPI that a lock file takes packages from: exact versions do not say
/// where they come from.
fn other_indexes(lock: &Path) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(lock) else {
        return Vec::new();
    };
    let mut indexes: Vec<&str> = text
        .split("registry = \"")
        .skip(1)
        .filter_map(|after| after.split('"').next())
        .filter(|index| index.trim_end_matches('/') != PYPI)
        .collect();
    indexes.sort_unstable();
    indexes.dedup();
    let warning = |index: &&str| {
        format!(
            "{} takes packages from {}, which the image is not told. Add it with `python_package_installer_args`, \
             or with a `pyproject_export_command` that has `--emit-index-url`.",
            lock.display(),
            hide_credentials(index)
        )
    };
    indexes.iter().map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::super::pyproject;
    use super::super::testing::Tools;
    use super::*;

    fn export_of(tools: &Tools) -> Result<RequirementsText> {
        pyproject::export(&tools.environment(), &tools.root().join("pyproject.toml"), None)
    }

    fn project() -> Tools {
        Tools::new().file("pyproject.toml", "[project]\n")
    }

    #[test]
    fn uv_checks_its_lock() {
        let tools = project().file("uv.lock", "").script("uv", r#"echo "uv $@""#);
        let text = export_of(&tools).unwrap();
        assert!(
            text.content.ends_with(" --no-emit-project --locked\n"),
            "{}",
            text.content
        );
        assert_eq!(text.warnings, [""; 0]);
    }

    #[test]
    fn a_stale_lock_is_an_error_with_the_cure_and_nobody_else_is_asked() {
        let tools = project()
            .file("uv.lock", "")
            .script(
                "uv",
                "echo 'error: The lockfile at `uv.lock` needs to be updated' >&2; exit 1",
            )
            .script("poetry", "echo wrong==1");
        let error = export_of(&tools).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.hint().unwrap().contains("`uv lock`"), "{}", error.report());
        let tools = project()
            .file("poetry.lock", "")
            .script("uv", "echo wrong==1")
            .script(
                "poetry",
                "echo 'pyproject.toml changed significantly since poetry.lock was last generated.' >&2; exit 1",
            );
        let error = export_of(&tools).unwrap_err();
        assert!(
            error.hint().unwrap().contains("`poetry lock`"),
            "{}",
            error.report()
        );
    }

    #[test]
    fn a_missing_tool_is_an_error_that_names_the_lock() {
        let tools = project().file("poetry.lock", "").script("uv", "echo wrong==1");
        let error = export_of(&tools).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.report().contains("poetry.lock") && error.hint().unwrap().contains("Install poetry"));
        let tools = tools.script(
            "poetry",
            "echo 'The requested command export does not exist.' >&2; exit 1",
        );
        let error = export_of(&tools).unwrap_err();
        assert!(error.hint().unwrap().contains("poetry-plugin-export"));
    }

    #[test]
    fn the_lock_of_the_workspace_counts() {
        let member = Tools::new()
            .file("m/pyproject.toml", "[project]\n")
            .file("uv.lock", "");
        assert_eq!(find(&member.root().join("m")), None);
        let member = member.file("pyproject.toml", "[tool.uv.workspace]\nmembers = [\"m\"]\n");
        assert_eq!(
            find(&member.root().join("m")),
            Some(Lock::Uv(member.root().join("uv.lock")))
        );
    }

    #[test]
    fn other_indexes_are_told() {
        let lock = "source = { registry = \"https://pypi.org/simple\" }\nsource = { registry = \
                    \"https://download.pytorch.org/whl/cu124\" }\n";
        let tools = project()
            .file("uv.lock", lock)
            .script("uv", "echo torch==2.6.0+cu124");
        let text = export_of(&tools).unwrap();
        assert_eq!(text.warnings.len(), 1);
        assert!(text.warnings[0].contains("whl/cu124"));
    }

    #[test]
    fn lock_files_can_be_named_as_requirements() {
        let tools = project()
            .file("uv.lock", "")
            .file(
                "environment.yml",
                "dependencies: [python=3.11, pip, {pip: [six==1.16.0]}]",
            )
            .script("uv", "echo a==1");
        let read = |name: &str| read_as_requirements(&tools.environment(), &tools.root().join(name));
        assert_eq!(read("uv.lock").unwrap().unwrap().content, "a==1\n");
        assert_eq!(read("environment.yml").unwrap().unwrap().content, "six==1.16.0\n");
        assert_eq!(read("requirements.txt").unwrap(), None);
        assert_eq!(read("none.yml").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
