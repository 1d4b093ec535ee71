//! Finding the Dockerfile of a build.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::entry::read_failed;
use super::extra::{Extra, inside};
use super::{BuildContext, FileSource};
use crate::{Error, ErrorKind, Result};

/// The name of the Dockerfile unless another is given.
pub const DEFAULT_DOCKERFILE: &str = "Dockerfile";

/// Which Dockerfile a build uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// A file of the context: absolute, or relative to the root of the context. A file that was added to the
    /// context comes before one on disk.
    Path(PathBuf),
    /// A text that need not exist anywhere. It reaches the builder, but is not among the files that
    /// instructions of the Dockerfile can see.
    Bytes {
        /// The name inside the context. If the context has something of that name, another one is found.
        name: String,
        /// The text.
        content: Bytes,
    },
}

/// The Dockerfile of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedDockerfile {
    /// The path inside the context, relative: what an engine that gets an archive is told. Where the
    /// Dockerfile is a link inside of the context, this is the file that it leads to.
    pub name: PathBuf,
    /// The text.
    pub content: Bytes,
    /// Where it is on disk; none for a text that was given as bytes.
    pub path: Option<PathBuf>,
}

impl BuildContext {
    /// Finds the Dockerfile and reads it. It is read whether the ignore rules leave it out or not.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::NotFound`] if there is none; the hint lists files near it that look like Dockerfiles.
    /// * [`ErrorKind::InvalidInput`] if it is a directory, no file at all, or outside of the context.
    /// * [`ErrorKind::Io`] if it cannot be read.
    /// * The errors of the root, see [`BuildContext::scan`].
    pub fn dockerfile(&self) -> Result<ResolvedDockerfile> {
        match &self.dockerfile {
            Some(DockerfileSource::Bytes { name, content }) => Ok(ResolvedDockerfile {
                name: self.free_name(&inside(Path::new(name))?)?,
                content: content.clone(),
                path: None,
            }),
            Some(DockerfileSource::Path(path)) => self.dockerfile_at(path),
            None => self.dockerfile_at(Path::new(DEFAULT_DOCKERFILE)),
        }
    }

    /// The Dockerfile that travels in an archive: none if none was asked for and there is nothing of the default
    /// name that could be one.
    pub(super) fn dockerfile_if_any(&self) -> Result<Option<ResolvedDockerfile>> {
        let unfit = |error: &Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput);
        match self.dockerfile() {
            Err(error) if self.dockerfile.is_none() && unfit(&error) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The name by which the Dockerfile was asked for, relative to the root.
    pub(super) fn dockerfile_name(&self) -> &Path {
        match &self.dockerfile {
            Some(DockerfileSource::Bytes { name, .. }) => Path::new(name),
            Some(DockerfileSource::Path(path)) => path,
            None => Path::new(DEFAULT_DOCKERFILE),
        }
    }

    fn dockerfile_at(&self, path: &Path) -> Result<ResolvedDockerfile> {
        if let Some(found) = self.added_dockerfile(path)? {
            return Ok(found);
        }
        let Some(root) = self.real_root()? else {
            return Err(missing(path, &[]));
        };
        let full = root.join(path);
        let real = match full.canonicalize() {
            Ok(real) => real,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(missing(path, &lookalikes(&root, &full)));
            }
            Err(source) => return Err(unreadable(&full, source)),
        };
        let Ok(name) = real.strip_prefix(&root) else {
            return Err(outside(path, &root, &real));
        };
        Ok(ResolvedDockerfile {
            name: name.to_owned(),
            content: read_text(path, &real)?,
            path: Some(real.clone()),
        })
    }

    fn added_dockerfile(&self, path: &Path) -> Result<Option<ResolvedDockerfile>> {
        let Ok(name) = inside(path) else { return Ok(None) };
        let added = self.extras.iter().rev().find_map(|extra| match extra {
            Extra::File {
                name: added, source, ..
            } if *added == name => Some(source),
            _ => None,
        });
        Ok(match added {
            None => None,
            Some(FileSource::Bytes(content)) => Some(ResolvedDockerfile {
                name,
                content: content.clone(),
                path: None,
            }),
            Some(FileSource::Path(path)) => Some(ResolvedDockerfile {
                content: read_text(&name, path)?,
                name,
                path: Some(path.clone()),
            }),
        })
    }

    /// The name, or one like it that nothing in the context has.
    fn free_name(&self, name: &Path) -> Result<PathBuf> {
        if name.as_os_str().is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the Dockerfile has an empty name",
            ));
        }
        let root = self.real_root()?;
        let mut free = name.to_owned();
        let mut number = 0;
        while self.extras.iter().any(|extra| extra.name() == free)
            || root
                .as_ref()
                .is_some_and(|root| root.join(&free).symlink_metadata().is_ok())
        {
            number += 1;
            let mut file_name = name.file_name().unwrap_or_default().to_owned();
            file_name.push(format!(".wharf-{number}"));
            free = name.with_file_name(file_name);
        }
        Ok(free)
    }
}

fn read_text(path: &Path, real: &Path) -> Result<Bytes> {
    let metadata = real.metadata().map_err(|source| unreadable(real, source))?;
    if metadata.is_dir() {
        let message = format!("{} is a directory, not a Dockerfile", path.display());
        return Err(Error::new(ErrorKind::InvalidInput, message).with_hint(format!(
            "Name the file in it: {}",
            path.join(DEFAULT_DOCKERFILE).display()
        )));
    }
    if !metadata.is_file() {
        let message = format!(
            "{} is no regular file and cannot be the Dockerfile",
            path.display()
        );
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    match std::fs::read(real) {
        Ok(text) => Ok(text.into()),
        Err(source) => Err(unreadable(real, source)),
    }
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => read_failed(path, source),
        _ => Error::io("the Dockerfile cannot be read", path, source),
    }
}

fn outside(path: &Path, root: &Path, real: &Path) -> Error {
    let message = format!(
        "the Dockerfile {} is outside of the build context",
        path.display()
    );
    Error::new(ErrorKind::InvalidInput, message)
        .with_context("dockerfile", real.display().to_string())
        .with_context("context", root.display().to_string())
        .with_hint("Move it into the context, or choose a context that holds it.")
}

fn missing(path: &Path, lookalikes: &[PathBuf]) -> Error {
    let error = Error::new(
        ErrorKind::NotFound,
        format!("there is no Dockerfile at {}", path.display()),
    );
    let names: Vec<String> = lookalikes.iter().map(|name| name.display().to_string()).collect();
    error.with_hint(match names.as_slice() {
        [] => "Write one, or name the file that holds the build instructions.".to_owned(),
        [name] => format!("There is {name}. Name it if it is the one you mean."),
        names => format!("There are {}. Name the one you mean.", names.join(", ")),
    })
}

/// The most names that a hint lists.
const MAX_LOOKALIKES: usize = 5;

/// Files in the root, in the directories right below it, and where one was looked for, that are called like a
/// Dockerfile; relative to the root.
fn lookalikes(root: &Path, wanted: &Path) -> Vec<PathBuf> {
    let mut directories = vec![root.to_owned()];
    directories.extend(wanted.parent().map(Path::to_owned));
    directories.extend(names_in(root).into_iter().filter(|path| path.is_dir()));
    let mut found: Vec<PathBuf> = directories
        .iter()
        .flat_map(|directory| names_in(directory))
        .filter(|path| looks_like_dockerfile(path) && path.is_file())
        .filter_map(|path| path.strip_prefix(root).map(Path::to_owned).ok())
        .collect();
    found.sort_by_key(|path| (path.components().count(), path.clone()));
    found.dedup();
    found.truncate(MAX_LOOKALIKES);
    found
}

fn names_in(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn looks_like_dockerfile(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    (name.contains("dockerfile") || name.contains("containerfile")) && !name.ends_with(".dockerignore")
}
