//! The Python environment that is active: its packages, its version, and its ZenML.

use std::path::{Path, PathBuf};

use wharf_core::{Error, ErrorKind, Result};

use super::ToolEnvironment;
use super::freeze::without_local_builds;
use super::pyproject::{NewLockFiles, without_header};
use super::requirement_files::read_lines;
use super::words::command_words;
use crate::inputs::{ActivePython, EnvironmentExport, LocalEnvironment, RequirementsText};

/// The parent image where there is no Python to take the version from, unless another one is configured.
pub const FALLBACK_PARENT_IMAGE: &str = "python:3.12-slim";

/// Says which Python runs, and which versions of the packages in its arguments are installed. Files of the
/// current directory must not take the place of the standard library's.
const PROBE: &str = "\
import sys
sys.path[:] = [entry for entry in sys.path if entry]
print(sys.version_info[0], sys.version_info[1])
try:
    from importlib.metadata import version
except ImportError:
    sys.exit()
for name in sys.argv[1:]:
    try:
        print(name, version(name))
    except Exception:
        pass
";

/// The Python environment that is active in a [`ToolEnvironment`].
///
/// Which one that is: the first directory of `PATH` that holds a `pip` or a Python decides. If the environment
/// that `VIRTUAL_ENV` or else `CONDA_PREFIX` names is not in `PATH` at all, it comes first.
///
/// ```no_run
/// # fn main() -> wharf_core::Result<()> {
/// use wharf_pipeline::gather::{SystemEnvironment, ToolEnvironment};
/// use wharf_pipeline::inputs::{EnvironmentExport, LocalEnvironment};
/// let environment = SystemEnvironment::new(ToolEnvironment::of_process("."));
/// let installed = environment.freeze(&EnvironmentExport::PipFreeze)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SystemEnvironment {
    tools: ToolEnvironment,
}

impl SystemEnvironment {
    /// Looks for Python in this environment. Nothing runs yet.
    #[must_use]
    pub fn new(tools: ToolEnvironment) -> Self {
        Self { tools }
    }

    /// The directories that may hold Python, the one that decides first.
    fn directories(&self) -> Vec<PathBuf> {
        let mut directories = self.tools.search_path();
        let active = ["VIRTUAL_ENV", "CONDA_PREFIX"]
            .iter()
            .find_map(|name| self.tools.variable(name))
            .map(|prefix| self.tools.directory().join(prefix).join("bin"));
        if let Some(active) = active
            && !directories.contains(&active)
        {
            directories.insert(0, active);
        }
        directories
    }

    /// The Pythons of the directory that decides.
    fn pythons(&self) -> Vec<PathBuf> {
        self.directories()
            .iter()
            .map(|directory| self.programs(directory, &["python3", "python"]))
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    fn programs(&self, directory: &Path, names: &[&str]) -> Vec<PathBuf> {
        names
            .iter()
            .filter_map(|name| self.tools.find(directory.join(name)))
            .collect()
    }

    fn pip_freeze(&self) -> Result<String> {
        for directory in self.directories() {
            if let Some(pip) = self.programs(&directory, &["pip"]).first() {
                return self.tools.run(pip, &["freeze"]);
            }
            if let Some(python) = self.programs(&directory, &["python3", "python"]).first() {
                return self.freeze_of(python);
            }
        }
        Err(
            Error::new(ErrorKind::NotFound, "there is no active Python environment")
                .with_hint("Activate one, or put the directory of its pip into PATH."),
        )
    }

    /// The packages of a Python beside which there is no pip, as in environments that uv made.
    fn freeze_of(&self, python: &Path) -> Result<String> {
        match self.tools.find("uv") {
            Some(uv) => {
                let arguments = [
                    "pip".as_ref(),
                    "freeze".as_ref(),
                    "--python".as_ref(),
                    python.as_os_str(),
                ];
                self.tools.run(uv, &arguments)
            }
            None => self.tools.run(python, &["-m", "pip", "freeze"]).map_err(|error| {
                error.with_hint("This environment has no pip. Install uv, which can read it, or pip into it.")
            }),
        }
    }

    /// Asks the active Python for its version and for those of packages.
    fn probe(&self, names: &[String]) -> Result<Option<Probed>> {
        let mut failure = None;
        for python in self.pythons() {
            let arguments = ["-c", PROBE].into_iter().chain(names.iter().map(String::as_str));
            let arguments: Vec<&str> = arguments.collect();
            match self.tools.run(&python, &arguments) {
                Ok(output) => return Probed::parse(&output, &python).map(Some),
                Err(error) => failure = Some(failure.unwrap_or(error)),
            }
        }
        failure.map_or(Ok(None), |error| {
            Err(error.with_operation("ask the active Python for its version"))
        })
    }

    fn versions(&self, names: &[String]) -> Result<Vec<(String, String)>> {
        Ok(self
            .probe(names)?
            .map(|probed| probed.packages)
            .unwrap_or_default())
    }
}

impl LocalEnvironment for SystemEnvironment {
    fn freeze(&self, how: &EnvironmentExport) -> Result<RequirementsText> {
        let text = match how {
            EnvironmentExport::PipFreeze => self.pip_freeze(),
            EnvironmentExport::PoetryExport => {
                let _cleanup = NewLockFiles::watch(self.tools.directory());
                self.tools.run("poetry", &["export", "--format=requirements.txt"])
            }
            EnvironmentExport::Command(command) => {
                let words = command_words(command)?;
                self.tools.run(&words[0], &words[1..])
            }
        };
        let text =
            text.map_err(|error| error.with_operation("list the packages of the local environment"))?;
        let cleaned = without_local_builds(&without_header(&text), &|names| self.versions(names))?;
        let mut found = read_lines(
            &self.tools,
            &cleaned.text,
            self.tools.directory(),
            "the local environment",
        )?;
        found.warnings.extend(cleaned.warnings);
        Ok(found)
    }

    fn python(&self) -> Result<Option<ActivePython>> {
        let Some(probed) = self.probe(&["zenml".to_owned()])? else {
            return Ok(None);
        };
        Ok(Some(ActivePython {
            major: probed.major,
            minor: probed.minor,
            zenml: probed.packages.into_iter().next().map(|(_, version)| version),
        }))
    }
}

/// What [`PROBE`] said.
struct Probed {
    major: u32,
    minor: u32,
    packages: Vec<(String, String)>,
}

impl Probed {
    fn parse(output: &str, python: &Path) -> Result<Self> {
        let mut pairs = output.lines().filter_map(|line| line.split_once(' '));
        let version = pairs
            .next()
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = version.ok_or_else(|| {
            Error::new(
                ErrorKind::Unexpected,
                "the active Python does not tell its version",
            )
            .with_context("python", python.display().to_string())
            .with_hint("Name the parent image with `parent_image`.")
        })?;
        let packages = pairs.map(|(name, version)| (name.to_owned(), version.trim().to_owned()));
        Ok(Self {
            major,
            minor,
            packages: packages.collect(),
        })
    }
}

/// The parent image of settings that name none.
///
/// 1. The published ZenML image, if the active Python has ZenML: same ZenML, same Python.
/// 2. Else the slim image of the same Python.
/// 3. Without any Python, `fallback`; [`FALLBACK_PARENT_IMAGE`] unless another one is configured.
///
/// ```
/// use wharf_pipeline::gather::default_parent_image;
/// use wharf_pipeline::inputs::ActivePython;
/// let mut python = ActivePython { major: 3, minor: 11, zenml: Some("0.98.0".into()) };
/// assert_eq!(default_parent_image(Some(&python), None), "zenmldocker/zenml:0.98.0-py3.11");
/// python.zenml = None;
/// assert_eq!(default_parent_image(Some(&python), None), "python:3.11-slim");
/// ```
#[must_use]
pub fn default_parent_image(python: Option<&ActivePython>, fallback: Option<&str>) -> String {
    match python {
        Some(ActivePython {
            major,
            minor,
            zenml: Some(version),
        }) => {
            format!("zenmldocker/zenml:{version}-py{major}.{minor}")
        }
        Some(ActivePython { major, minor, .. }) => format!("python:{major}.{minor}-slim"),
        None => fallback.unwrap_or(FALLBACK_PARENT_IMAGE).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::testing::{Tools, real_python, write_script};
    use super::*;

    const PIP: &str = r"[ $# = 1 ] && [ $1 = freeze ] && printf 'numpy==1.26.4\npandas==2.2.0\n'";

    fn freeze(environment: ToolEnvironment, how: &EnvironmentExport) -> Result<String> {
        Ok(SystemEnvironment::new(environment).freeze(how)?.content)
    }

    #[test]
    fn pip_comes_before_uv() {
        let tools = Tools::new().script("pip", PIP).script("uv", "echo numpy==9");
        let text = freeze(tools.environment(), &EnvironmentExport::PipFreeze).unwrap();
        assert_eq!(text, "numpy==1.26.4\npandas==2.2.0\n");
    }

    #[test]
    fn an_environment_without_pip_is_read_by_uv() {
        let tools = Tools::new().script("uv", r#"echo "seen==1 # $*""#);
        let venv = tools.root().join("venv");
        write_script(&venv.join("bin/python"), "exit 9");
        // The pip further down in PATH belongs to another Python.
        let other = tools.root().join("other");
        write_script(&other.join("pip"), "echo wrong==1");
        let path = format!(
            "{}:{}:{}",
            venv.join("bin").display(),
            other.display(),
            tools.bin().display()
        );
        let environment = tools.environment().with("PATH", path);
        let text = freeze(environment, &EnvironmentExport::PipFreeze).unwrap();
        let python = venv.join("bin/python");
        assert_eq!(
            text,
            format!("seen==1 # pip freeze --python {}\n", python.display())
        );
    }

    #[test]
    fn the_active_environment_counts_even_when_it_is_not_in_path() {
        let tools = Tools::new().script("pip", "echo outer==1");
        write_script(&tools.root().join("venv/bin/pip"), "echo inner==1");
        write_script(&tools.root().join("conda/bin/pip"), "echo conda==1");
        let base = tools.environment();
        let conda = base.clone().with("CONDA_PREFIX", tools.root().join("conda"));
        let venv = conda.clone().with("VIRTUAL_ENV", tools.root().join("venv"));
        let freeze = |environment| freeze(environment, &EnvironmentExport::PipFreeze).unwrap();
        assert_eq!(freeze(base.clone()), "outer==1\n");
        assert_eq!(freeze(conda), "conda==1\n");
        assert_eq!(freeze(venv), "inner==1\n");
        // In PATH behind something else, it is the something else that is active.
        let path = format!(
            "{}:{}",
            tools.bin().display(),
            tools.root().join("venv/bin").display()
        );
        let behind = base.with("VIRTUAL_ENV", tools.root().join("venv"));
        assert_eq!(freeze(behind.with("PATH", format!("{path}:/bin"))), "outer==1\n");
    }

    #[test]
    fn without_python_there_is_nothing_to_list() {
        let error = freeze(Tools::new().environment(), &EnvironmentExport::PipFreeze).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn poetry_and_commands_run_as_they_are() {
        let tools = Tools::new().script("poetry", r##"echo "# poetry $@""##);
        let export = |how| freeze(tools.environment(), &how);
        assert_eq!(
            export(EnvironmentExport::PoetryExport).unwrap(),
            "# poetry export --format=requirements.txt\n"
        );
        let command =
            |words: &[&str]| EnvironmentExport::Command(words.iter().map(ToString::to_string).collect());
        assert_eq!(export(command(&["echo", "a==1"])).unwrap(), "a==1\n");
        assert_eq!(export(command(&["true"])).unwrap(), "");
        let error = export(command(&["exit", "3"])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(
            error.operation(),
            Some("list the packages of the local environment")
        );
        assert!(export(command(&["echo x==1; echo y==2"])).is_err());
    }

    #[test]
    fn local_projects_are_left_out_and_told() {
        let tools = Tools::new().file("proj/pyproject.toml", "");
        let project = tools.root().join("proj");
        let pip = format!(
            "echo '# Editable install with no version control (proj==0.1)'; echo '-e {0}'; echo numpy==1; echo \
             'lib @ file://{0}'",
            project.display()
        );
        let tools = tools.script("pip", &pip);
        let found = SystemEnvironment::new(tools.environment())
            .freeze(&EnvironmentExport::PipFreeze)
            .unwrap();
        assert_eq!(found.content, "numpy==1\n");
        assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
    }

    #[test]
    fn paths_of_a_package_builder_become_versions() {
        let tools = Tools::new().script(
            "pip",
            "echo 'numpy @ file:///croot/numpy_1/work'; echo 'Six_x @ file:///tmp/gone/six_x-1.2-py3-none-any.whl'",
        );
        let tools = tools.script("python3", "echo 3 11; echo numpy 1.26.4");
        let found = SystemEnvironment::new(tools.environment())
            .freeze(&EnvironmentExport::PipFreeze)
            .unwrap();
        assert_eq!(found.content, "numpy==1.26.4\nSix_x==1.2\n");
    }

    #[test]
    fn the_version_and_zenml_of_a_real_python_are_read() {
        let python = real_python();
        let tools = Tools::new();
        // A project may have files with the names of standard modules.
        let tools = tools
            .file("importlib.py", "raise SystemExit(7)")
            .file("json.py", "raise SystemExit(7)");
        symlink(&python, tools.bin().join("python3")).unwrap();
        let site = tools.root().join("site");
        let metadata = site.join("zenml-0.98.0.dist-info/METADATA");
        std::fs::create_dir_all(metadata.parent().unwrap()).unwrap();
        std::fs::write(&metadata, "Metadata-Version: 2.1\nName: zenml\nVersion: 0.98.0\n").unwrap();
        // Reading the version must not import it.
        std::fs::create_dir_all(site.join("zenml")).unwrap();
        std::fs::write(site.join("zenml/__init__.py"), "raise SystemExit(7)").unwrap();
        let bare = SystemEnvironment::new(tools.environment())
            .python()
            .unwrap()
            .unwrap();
        assert_eq!((bare.major, bare.zenml), (3, None));
        let with = tools.environment().with("PYTHONPATH", site);
        let with = SystemEnvironment::new(with).python().unwrap().unwrap();
        assert_eq!((with.minor, with.zenml.as_deref()), (bare.minor, Some("0.98.0")));
    }

    /// Writes what an installer leaves behind.
    fn install(site: &Path, name: &str, version: &str, direct_url: Option<&str>) {
        let directory = site.join(format!("{name}-{version}.dist-info"));
        std::fs::create_dir_all(&directory).unwrap();
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        std::fs::write(directory.join("METADATA"), metadata).unwrap();
        std::fs::write(directory.join("RECORD"), "").unwrap();
        if let Some(url) = direct_url {
            std::fs::write(directory.join("direct_url.json"), url).unwrap();
        }
    }

    #[test]
    fn a_real_environment_is_listed_as_another_machine_can_install_it() {
        let tools = Tools::new().file("proj/pyproject.toml", "[project]\nname = \"proj\"\n");
        let venv = tools.root().join("venv");
        let made = std::process::Command::new(real_python())
            .args(["-m", "venv"])
            .arg(&venv)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let environment = tools.environment().with("VIRTUAL_ENV", &venv);
        let version = SystemEnvironment::new(environment.clone())
            .python()
            .unwrap()
            .unwrap();
        let site = venv.join(format!(
            "lib/python{}.{}/site-packages",
            version.major, version.minor
        ));
        let project = tools.root().join("proj").display().to_string();
        install(&site, "six", "1.16.0", None);
        install(
            &site,
            "proj",
            "0.1",
            Some(&format!(
                r#"{{"url": "file://{project}", "dir_info": {{"editable": true}}}}"#
            )),
        );
        install(
            &site,
            "numpy",
            "1.26.4",
            Some(r#"{"url": "file:///croot/numpy_1/work", "dir_info": {}}"#),
        );
        let found = SystemEnvironment::new(environment)
            .freeze(&EnvironmentExport::PipFreeze)
            .unwrap();
        assert_eq!(found.content, "numpy==1.26.4\nsix==1.16.0\n");
        assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
        assert!(found.warnings[0].contains(&project));
    }

    #[test]
    fn a_python_that_does_not_answer_is_an_error_and_none_is_none() {
        let tools = Tools::new();
        let environment = SystemEnvironment::new(tools.environment());
        assert_eq!(environment.python().unwrap(), None);
        assert_eq!(default_parent_image(None, None), FALLBACK_PARENT_IMAGE);
        assert_eq!(default_parent_image(None, Some("my:1")), "my:1");
        write_script(
            &tools.bin().join("python3"),
            "echo 'python3: command not found' >&2; exit 127",
        );
        let error = environment.python().unwrap_err();
        assert!(error.report().contains("command not found"), "{}", error.report());
        write_script(&tools.bin().join("python"), "echo 3 9");
        let found = environment.python().unwrap().unwrap();
        assert_eq!((found.major, found.minor, found.zenml), (3, 9, None));
        write_script(&tools.bin().join("python3"), "echo hello");
        assert_eq!(environment.python().unwrap_err().kind(), ErrorKind::Unexpected);
    }
}
