//! What planning needs to know from the world outside, as small traits.
//!
//! Planning itself is a function of settings and of the answers given here: it starts no program, opens no
//! file and speaks with no network. Real answers come from the implementations in `gather`; tests give their
//! own. The methods may block, and are asked at most once for each distinct question of a plan.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_core::{Result, Secret};

/// Everything that planning asks the outside.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The directory that holds the code. Relative paths in settings count from here.
    pub source_root: PathBuf,
    /// The active Python environment.
    pub environment: Arc<dyn LocalEnvironment>,
    /// Requirement files, projects and Dockerfiles.
    pub files: Arc<dyn RequirementsSource>,
    /// The local checkout of a code repository.
    pub repositories: Arc<dyn CodeRepositories>,
}

/// The Python environment that is active where wharf runs.
pub trait LocalEnvironment: Debug + Send + Sync {
    /// The packages of the environment, as the text of a requirements file. What another machine cannot
    /// install, because it lies on this machine's disk, is left out with a warning.
    ///
    /// # Errors
    ///
    /// [`NotFound`](wharf_core::ErrorKind::NotFound) when the program is not there,
    /// [`InvalidInput`](wharf_core::ErrorKind::InvalidInput) when it fails: with the command, its exit status
    /// and the end of what it wrote to standard error.
    fn freeze(&self, how: &EnvironmentExport) -> Result<RequirementsText>;

    /// Which Python is active, and which ZenML is installed in it. `None`: there is no Python.
    ///
    /// # Errors
    ///
    /// When a Python is there and does not answer.
    fn python(&self) -> Result<Option<ActivePython>>;
}

/// How the packages of the local environment are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnvironmentExport {
    /// `pip freeze`, or `uv pip freeze` in an environment without pip.
    PipFreeze,
    /// `poetry export --format=requirements.txt`.
    PoetryExport,
    /// The user's own command, run as it is, without a shell. A single word with blanks in it is split as a
    /// shell would split it.
    Command(Vec<String>),
}

/// A Python and what of it matters to the choice of a parent image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivePython {
    /// The major version: 3.
    pub major: u32,
    /// The minor version: 11.
    pub minor: u32,
    /// The version of ZenML in the environment, if there is one.
    pub zenml: Option<String>,
}

/// Requirement files and what else of the project's files a plan reads. Paths are absolute.
pub trait RequirementsSource: Debug + Send + Sync {
    /// A requirements file with everything that it includes.
    ///
    /// # Errors
    ///
    /// [`NotFound`](wharf_core::ErrorKind::NotFound) naming the file; included files that are not there are
    /// [`missing`](RequirementsText::missing) instead. [`InvalidInput`](wharf_core::ErrorKind::InvalidInput)
    /// for a directory, a text that is not UTF-8, and files that include each other.
    fn read(&self, path: &Path) -> Result<RequirementsText>;

    /// The same for requirements that stand in the settings themselves; includes count from `directory`.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    fn resolve(&self, requirements: &[String], directory: &Path) -> Result<RequirementsText>;

    /// The dependencies of a project. Without a command: its lock file as it stands, `uv export`, or
    /// `poetry export`. In the words of a command `{directory}` stands for the project's directory, and
    /// doubled braces for single ones.
    ///
    /// # Errors
    ///
    /// [`NotFound`](wharf_core::ErrorKind::NotFound) when the project or every program is missing;
    /// [`InvalidInput`](wharf_core::ErrorKind::InvalidInput) when the command failed, or a lock file does not
    /// fit its project.
    fn export(&self, pyproject: &Path, command: Option<&[String]>) -> Result<RequirementsText>;

    /// Which requirements the source root has, for settings that name none: `requirements.txt` before
    /// `pyproject.toml`.
    ///
    /// # Errors
    ///
    /// When the source root cannot be read.
    fn detect(&self, source_root: &Path) -> Result<Option<DetectedRequirements>>;

    /// The login that this machine has for a package index. None by default: only what stands in URLs is used.
    fn login(&self, place: &IndexPlace) -> Option<IndexLogin> {
        let _ = place;
        None
    }

    /// The text of a file, for Dockerfiles of the user's own.
    ///
    /// # Errors
    ///
    /// [`NotFound`](wharf_core::ErrorKind::NotFound) when there is none,
    /// [`InvalidInput`](wharf_core::ErrorKind::InvalidInput) for a directory and a text that is not UTF-8.
    fn text(&self, path: &Path) -> Result<String>;
}

/// The text of a requirements file, and the files that it includes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequirementsText {
    /// The text. Includes in it name files of [`included`](Self::included), without a directory.
    pub content: String,
    /// The included files, each once, in the order in which they are first named.
    pub included: Vec<IncludedFile>,
    /// What the user should know: full sentences.
    pub warnings: Vec<String>,
    /// Includes of files that do not exist; their lines stand unchanged in the text. Nothing can be built from
    /// it, but everything else can be said about it.
    pub missing: Vec<String>,
    /// The lines of all these texts that hold credentials, in the form of a requirements file. A comment stands
    /// in the place of each. See [`index_credentials`](crate::gather::index_credentials).
    pub secret_lines: Vec<Secret>,
}

impl RequirementsText {
    /// A text that includes nothing.
    #[must_use]
    pub fn plain(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            ..Self::default()
        }
    }
}

/// A package index, or another place that packages are installed from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexPlace {
    /// What it is called, where uv is given it by name: `name=https://…`.
    pub name: Option<String>,
    /// Its host, without a port.
    pub host: String,
}

/// Who may use a package index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexLogin {
    /// The user name; may be empty.
    pub user: String,
    /// The password or token; may be empty.
    pub password: Secret,
}

/// A file that a requirements file includes with `-r` or `-c`, or installs from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    /// Its name in the image, beside the file that includes it: without a directory, beginning with a dot, and
    /// with enough of a checksum of the content in it that equal names mean equal contents.
    pub name: String,
    /// Its content; what it includes is named as in [`RequirementsText::content`].
    pub content: Vec<u8>,
}

/// What the source root has in the way of requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetectedRequirements {
    /// A `requirements.txt`.
    File(PathBuf),
    /// A `pyproject.toml`.
    Project(PathBuf),
}

/// Finds the local checkout of a code repository.
pub trait CodeRepositories: Debug + Send + Sync {
    /// The checkout that the source root lies in, and whether its code can be fetched from elsewhere.
    ///
    /// # Errors
    ///
    /// When a checkout is there and cannot be read.
    fn local(&self, source_root: &Path) -> Result<LocalRepository>;
}

/// The state of the checkout that the source root lies in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LocalRepository {
    /// The source root is in no checkout, or in one whose repository wharf is not to use.
    #[default]
    None,
    /// The checkout has just what the repository has.
    Usable(RepositoryCode),
    /// The checkout has something that the repository has not.
    Unusable(RepositoryDifference),
}

/// Where the code of a step can be fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryCode {
    /// The kind of repository: `github`, `gitlab`, `git`.
    pub kind: String,
    /// The remote's URL, without credentials.
    pub url: String,
    /// The commit: 40 or 64 hexadecimal digits.
    pub commit: String,
    /// The branch that is checked out; none for a detached head.
    pub branch: Option<String>,
    /// The source root inside the repository; empty for its root.
    pub subdirectory: String,
    /// Python packages that fetching the code needs inside the image.
    pub requirements: Vec<String>,
}

/// What keeps the code of a checkout from being fetched from its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RepositoryDifference {
    /// Files that differ from the commit.
    Uncommitted(Vec<String>),
    /// Files that Git does not know.
    Untracked(Vec<String>),
    /// A commit that no remote has.
    Unpushed(String),
    /// There is no remote, or no commit.
    NoRemote,
}

/// How many files a message names.
const SHOWN_FILES: usize = 3;

impl fmt::Display for RepositoryDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncommitted(files) => write!(f, "uncommitted changes ({})", some_of(files)),
            Self::Untracked(files) => write!(f, "untracked files ({})", some_of(files)),
            Self::Unpushed(commit) => write!(f, "the commit {commit:.12} is not pushed"),
            Self::NoRemote => f.write_str("no remote has the commit"),
        }
    }
}

fn some_of(files: &[String]) -> String {
    let shown = files.iter().take(SHOWN_FILES).map(String::as_str);
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if files.len() > SHOWN_FILES {
        text.push_str(&format!(" and {} more", files.len() - SHOWN_FILES));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_a_few_files_and_counts_the_rest() {
        let files = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        assert_eq!(
            RepositoryDifference::Uncommitted(files).to_string(),
            "uncommitted changes (a, b, c and 2 more)"
        );
        let unpushed = RepositoryDifference::Unpushed("0123456789abcdef".into());
        assert_eq!(unpushed.to_string(), "the commit 0123456789ab is not pushed");
    }
}
