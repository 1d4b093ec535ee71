//! The files that a build may use: what is in, in which order, and as which bytes it is sent.
//!
//! ```
//! use wharf_core::{ArchiveFormat, BuildContext, FileSource};
//! # fn main() -> wharf_core::Result<()> {
//! let mut context = BuildContext::empty();
//! context.add_file("Dockerfile", FileSource::Bytes("FROM scratch\nCOPY . /\n".into()), None)?;
//! context.add_file("src/train.py", FileSource::Bytes("print(1)\n".into()), None)?;
//!
//! let names: Vec<String> = context.files()?.iter().map(|entry| entry.display_name()).collect();
//! assert_eq!(names, ["Dockerfile", "src/", "src/train.py"]);
//!
//! let mut archive = Vec::new();
//! let summary = context.write_archive(ArchiveFormat::Tar, &mut archive, &mut |_progress| {})?;
//! assert_eq!(summary.files, 2);
//! # Ok(())
//! # }
//! ```
//!
//! Only files, directories and symbolic links can be in a context. Sockets, pipes and devices are passed over
//! with a warning. The module needs a Unix system: names are bytes and modes are kept.

mod archive;
mod digest;
mod dockerfile;
mod entry;
mod explain;
mod extra;
mod ignore;
mod ignore_file;
mod scan;
mod stream;
mod travel;
mod walk;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use archive::{ArchiveFormat, ArchiveSummary};
pub use dockerfile::{DEFAULT_DOCKERFILE, DockerfileSource, ResolvedDockerfile};
pub use entry::{ContextEntry, EntryKind, FileSource};
pub use explain::{ExplainedPath, Explanation, Presence, RuleReference, SizedPath};
pub use ignore::{IgnoreRules, MatchedRules};
pub use scan::{ContextScan, ContextTotals, LARGE_CONTEXT};
pub use stream::stream_entries;

use crate::event::EventSink;
use crate::{Error, ErrorKind, Result};
use entry::MODE_BITS;
use extra::{Extra, inside};
use ignore_file::IgnoreChoice;
use scan::Collector;

/// The files that a build may use: a directory under the rules of an ignore file, and what is added to it.
///
/// Nothing is read before one of the methods that give something is called, and each of them reads anew.
///
/// What is added with [`add_file`](Self::add_file) and [`add_directory`](Self::add_directory) lies over what
/// the root has, and is not subject to the ignore rules.
#[derive(Debug, Clone)]
pub struct BuildContext {
    root: Option<PathBuf>,
    ignore: IgnoreChoice,
    dockerfile: Option<DockerfileSource>,
    extras: Vec<Extra>,
    open_modes: bool,
}

impl BuildContext {
    /// The context of a directory. A root that is a link to a directory is that directory.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: Some(root.into()),
            ..Self::empty()
        }
    }

    /// A context of nothing but what is added to it.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            root: None,
            ignore: IgnoreChoice::Find,
            dockerfile: None,
            extras: Vec::new(),
            open_modes: false,
        }
    }

    /// Uses the rules of this file, which may lie anywhere, instead of those that are found. A relative path
    /// counts from the current directory. A file that does not exist is an error once the rules are needed.
    #[must_use]
    pub fn with_ignore_file(self, path: impl Into<PathBuf>) -> Self {
        Self {
            ignore: IgnoreChoice::File(path.into()),
            ..self
        }
    }

    /// Uses no rules, whatever ignore files there are.
    #[must_use]
    pub fn without_ignore_file(self) -> Self {
        Self {
            ignore: IgnoreChoice::None,
            ..self
        }
    }

    /// Uses this Dockerfile; the default is [`DEFAULT_DOCKERFILE`] in the root. Its name also decides which
    /// ignore file is found.
    #[must_use]
    pub fn with_dockerfile(self, dockerfile: DockerfileSource) -> Self {
        Self {
            dockerfile: Some(dockerfile),
            ..self
        }
    }

    /// Gives everybody the permissions that the owner has: 0640 becomes 0666, 0755 becomes 0777.
    ///
    /// Images are run by users who are neither owner nor in the group of what was copied into them. It also makes
    /// the archive of a checkout independent of the umask under which it was made.
    #[must_use]
    pub fn with_open_modes(self) -> Self {
        Self {
            open_modes: true,
            ..self
        }
    }

    /// Adds a file. It replaces a file of the same name, on disk or added before. A path is read when it is
    /// needed; a link is followed.
    ///
    /// `mode` holds the permission bits. Default: those of the file on disk, `0o644` for bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an empty or absolute name, for one with `..`, and for a mode above
    /// `0o7777`.
    pub fn add_file(
        &mut self,
        name: impl Into<PathBuf>,
        source: FileSource,
        mode: Option<u32>,
    ) -> Result<()> {
        let name = inside(&name.into())?;
        if name.as_os_str().is_empty() {
            let message = "a file that is added to the build context needs a name";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        if let Some(mode) = mode.filter(|mode| mode & !MODE_BITS != 0) {
            let message = format!("{mode:#o} is no file mode");
            return Err(
                Error::new(ErrorKind::InvalidInput, message).with_hint("A mode has at most the bits 0o7777.")
            );
        }
        self.extras.push(Extra::File { name, source, mode });
        Ok(())
    }

    /// Adds a symbolic link. What it says is kept as it is, whether there is such a thing or not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an empty or absolute name, and for one with `..`.
    pub fn add_symlink(&mut self, name: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Result<()> {
        let (name, target) = (inside(&name.into())?, target.into());
        if name.as_os_str().is_empty() {
            let message = "a link that is added to the build context needs a name";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.extras.push(Extra::Symlink { name, target });
        Ok(())
    }

    /// Adds a directory from disk with everything in it, under this name; `.` is the root of the context.
    /// Ignore files in it are files like any other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an absolute name and for one with `..`.
    pub fn add_directory(&mut self, name: impl Into<PathBuf>, path: impl Into<PathBuf>) -> Result<()> {
        let (name, path) = (inside(&name.into())?, path.into());
        self.extras.push(Extra::Directory { name, path });
        Ok(())
    }

    /// Applies the rules in a text in place of an ignore file's; errors in it are told as those of this file.
    #[must_use]
    pub fn with_ignore_text(mut self, text: impl Into<Bytes>, file: impl Into<PathBuf>) -> Self {
        self.ignore = IgnoreChoice::Text(text.into(), file.into());
        self
    }

    /// The root directory, as it was given.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The rules of the ignore file that applies; see [`IgnoreRules`] for which one that is.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::InvalidInput`] for an invalid pattern, with file and line, and for an ignore file that
    ///   is a directory or another thing that is no regular file.
    /// * [`ErrorKind::NotFound`] if the file of [`with_ignore_file`](Self::with_ignore_file) does not exist.
    /// * [`ErrorKind::Io`] if it cannot be read.
    pub fn ignore_rules(&self) -> Result<IgnoreRules> {
        Ok(self.load_rules()?.rules)
    }

    /// What `COPY . /ctx/` would take: files, links and directories, sorted component by component, each
    /// directory before what is in it. A directory that the rules leave out is in if something in it is.
    ///
    /// # Errors
    ///
    /// As [`scan`](Self::scan).
    pub fn files(&self) -> Result<Vec<ContextEntry>> {
        Ok(self.scan()?.entries)
    }

    /// What an archive of the context holds: [`files`](Self::files), the Dockerfile, and the ignore file.
    ///
    /// The Dockerfile travels even if the rules leave it out; that there is none is only an error if it was asked
    /// for with [`with_dockerfile`](Self::with_dockerfile).
    ///
    /// Engines apply the ignore file that they find in an archive once more, and so it holds the rules in
    /// force:
    ///
    /// 1. An ignore file that was found in the root travels under its name, left out by its rules or not.
    /// 2. Rules from elsewhere, and none at all, take the place of `<Dockerfile>.dockerignore` if the files
    ///    hold one, else that of `.dockerignore`.
    /// 3. A `!` line follows for everything that was added and that the rules would leave out, and a line for
    ///    what travels but is not among the files: the text of [`DockerfileSource::Bytes`], and an ignore file
    ///    that exists only in the archive.
    ///
    /// # Errors
    ///
    /// As [`scan`](Self::scan) and [`dockerfile`](Self::dockerfile).
    pub fn archive_entries(&self) -> Result<Vec<ContextEntry>> {
        Ok(self.archive_scan_until(&|| false)?.0)
    }

    /// Lists the context, with sums and warnings. No file is opened but the ignore file, and a directory that
    /// is left out whole is not either.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::NotFound`] if the root, or something that was added, does not exist.
    /// * [`ErrorKind::InvalidInput`] if the root is no directory, an added file is none, or if an added file
    ///   would have to be a directory at the same time.
    /// * [`ErrorKind::Io`] if a directory cannot be read, [`ErrorKind::Conflict`] if it vanishes meanwhile.
    /// * The errors of [`ignore_rules`](Self::ignore_rules).
    pub fn scan(&self) -> Result<ContextScan> {
        let rules = self.ignore_rules()?;
        scan::scan(self, &rules, &mut Collector::new(&|| false))
    }

    /// Lists the context in a thread of its own and tells its warnings, before anything of it is sent: what is wrong
    /// with it is an error then, not in the middle of a build.
    ///
    /// # Errors
    ///
    /// As [`scan`](Self::scan).
    pub async fn check(&self, events: &EventSink) -> Result<()> {
        let context = self.clone();
        let scan = tokio::task::spawn_blocking(move || context.scan())
            .await
            .map_err(|source| {
                Error::new(ErrorKind::Unexpected, "reading the build context stopped").with_source(source)
            })??;
        scan.warnings.into_iter().for_each(|warning| events.warn(warning));
        Ok(())
    }

    /// The root with every link in its path resolved.
    fn real_root(&self) -> Result<Option<PathBuf>> {
        let Some(root) = &self.root else { return Ok(None) };
        let real = root.canonicalize().map_err(|source| bad_root(root, source))?;
        let metadata = real.metadata().map_err(|source| bad_root(root, source))?;
        if !metadata.is_dir() {
            let message = format!("the build context {} is not a directory", root.display());
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_hint("Name the directory that holds the files of the build."));
        }
        Ok(Some(real))
    }
}

fn bad_root(root: &Path, source: io::Error) -> Error {
    let message = format!("the build context {} does not exist", root.display());
    match source.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, message)
            .with_hint("Name the directory that holds the files of the build."),
        io::ErrorKind::NotADirectory => Error::new(ErrorKind::InvalidInput, message).with_source(source),
        _ => Error::io("the build context cannot be read", root, source),
    }
}
