//! A file that appears whole or not at all.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use tempfile::NamedTempFile;
use wharf_core::{Error, ErrorKind, Result};

/// A file under a temporary name beside its own, which it gets when it is [kept](AtomicFile::keep). Dropped
/// before, it is removed.
///
/// Nothing is made before something is written: a build context that is listed in the meantime must not hold
/// the temporary file. What is no regular file, such as `/dev/null` or a named pipe, is written directly.
#[derive(Debug)]
pub struct AtomicFile {
    named: PathBuf,
    path: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Nothing,
    Temporary(NamedTempFile),
    Direct(File),
}

impl AtomicFile {
    /// Checks that the file can be written, and makes nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when its directory does not exist, [`ErrorKind::InvalidInput`] when the path is
    /// a directory, [`ErrorKind::Io`] when nothing can be written there.
    pub fn create(path: &Path) -> Result<Self> {
        // A link to a file is kept: what it leads to is replaced.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if real.is_dir() {
            let message = "a directory is where the file should be written";
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_context("path", path.display().to_string())
                .with_hint("Name a file."));
        }
        let place = if is_special(&real) {
            real.as_path()
        } else {
            folder(&real)
        };
        rustix::fs::access(place, Access::WRITE_OK).map_err(|error| failed(path, error.into()))?;
        Ok(Self {
            named: path.to_owned(),
            path: real,
            state: State::Nothing,
        })
    }

    /// Gives the file its name, replacing what has it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the file cannot be written out or renamed.
    pub fn keep(mut self) -> Result<()> {
        let named = self.named.clone();
        // Something empty is also something.
        self.out().map_err(|error| failed(&named, error))?;
        match self.state {
            State::Temporary(file) => {
                let kept = file.persist(&self.path);
                kept.map(drop).map_err(|error| failed(&named, error.error))
            }
            State::Direct(_) | State::Nothing => Ok(()),
        }
    }

    fn out(&mut self) -> io::Result<&mut File> {
        if matches!(self.state, State::Nothing) {
            self.state = begin(&self.path)?;
        }
        match &mut self.state {
            State::Temporary(file) => Ok(file.as_file_mut()),
            State::Direct(file) => Ok(file),
            State::Nothing => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out()?.flush()
    }
}

fn begin(path: &Path) -> io::Result<State> {
    if is_special(path) {
        return OpenOptions::new().write(true).open(path).map(State::Direct);
    }
    // What the umask takes away of these is what it takes away of every new file.
    tempfile::Builder::new()
        .prefix(".wharf-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))
        .map(State::Temporary)
}

fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::new(ErrorKind::NotFound, "the directory of the file does not exist")
            .with_context("path", path.display().to_string())
            .with_hint("Make the directory first.");
    }
    Error::io("could not write the file", path, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn the_file_appears_when_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "before").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        assert_eq!(names(folder.path()), ["out"]);
        file.write_all(b"after").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        file.keep().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(names(folder.path()), ["out"]);
        AtomicFile::create(&path).unwrap().keep().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn nothing_stays_of_a_file_that_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(&folder.path().join("out")).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(file);
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| AtomicFile::create(path).unwrap_err().kind();
        assert_eq!(kind(folder.path()), ErrorKind::InvalidInput);
        assert_eq!(kind(&folder.path().join("no/such/file")), ErrorKind::NotFound);
    }

    #[test]
    fn a_link_and_a_device_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mut file = AtomicFile::create(&link).unwrap();
        file.write_all(b"x").unwrap();
        file.keep().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "x");

        let null = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        let mut file = AtomicFile::create(&null).unwrap();
        file.write_all(b"x").unwrap();
        file.keep().unwrap();
        assert!(is_special(Path::new("/dev/null")));
    }
}
