//! Where the code of a pipeline begins.

use std::io;
use std::path::{Path, PathBuf};

use wharf_core::{Error, ErrorKind, Result};

/// The directory that marks a source root, and holds what wharf stores in it.
pub const MARKER: &str = ".wharf";

/// ZenML's marker: its users need not mark their projects anew.
const ZENML_MARKER: &str = ".zen";

/// What is in the marker of a source root that was made one, and in no other: records of builds are kept below a
/// source root that nobody marked, too, and must not make it the source root of what lies below it.
const MARK: &str = ".gitignore";

/// Keeps what wharf stores below the marker out of version control, but not the marker: a clone of the
/// repository then has the same source root.
const IGNORE_ALL_BUT_THIS: &str = "*\n!.gitignore\n";

/// The source root of a pipeline.
///
/// 1. The nearest directory, from `current_directory` upwards, that [`init`] made one, or that holds ZenML's `.zen`.
/// 2. Else the directory of the pipeline's file, which counts from `current_directory`.
///
/// The path that is given back is absolute if `current_directory` is, and has its links resolved.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] if the directory of the file does not exist.
pub fn source_root(current_directory: &Path, pipeline_file: &Path) -> Result<PathBuf> {
    let start = resolved(current_directory)?;
    if let Some(marked) = start.ancestors().find(|directory| is_marked(directory)) {
        return Ok(marked.to_owned());
    }
    let file = start.join(pipeline_file);
    resolved(file.parent().unwrap_or(&start))
}

/// The [source root](source_root) of a pipeline's file as seen from the current directory of this process.
///
/// # Errors
///
/// As [`source_root`], and [`ErrorKind::Io`] when there is no current directory.
pub fn source_root_of_process(pipeline_file: &Path) -> Result<PathBuf> {
    let current = std::env::current_dir()
        .map_err(|source| Error::io("there is no current directory", Path::new("."), source))?;
    source_root(&current, pipeline_file)
}

fn is_marked(directory: &Path) -> bool {
    directory.join(MARKER).join(MARK).is_file() || directory.join(ZENML_MARKER).is_dir()
}

fn resolved(directory: &Path) -> Result<PathBuf> {
    directory.canonicalize().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => {
            let message = format!("the directory {} does not exist", directory.display());
            Error::new(ErrorKind::NotFound, message)
        }
        _ => Error::io("the source root cannot be read", directory, source),
    })
}

/// What [`init`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialized {
    /// The directory is a source root now.
    New,
    /// It was one already, and is unchanged.
    Already,
}

/// Makes a directory a source root: puts a directory `.wharf` into it, whose `.gitignore` keeps everything in
/// there but itself out of version control. Commit that file, and every clone has the same source root.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] if something else has the name `.wharf`; [`ErrorKind::NotFound`] if `directory` does
/// not exist; [`ErrorKind::Io`] if it cannot be written.
pub fn init(directory: &Path) -> Result<Initialized> {
    let marker = resolved(directory)?.join(MARKER);
    match std::fs::create_dir(&marker) {
        Ok(()) => {}
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists && marker.is_dir() => {}
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} is not a directory", marker.display());
            return Err(Error::new(ErrorKind::Conflict, message).with_hint("Remove it, or rename it."));
        }
        Err(source) => return Err(Error::io("the source root cannot be marked", &marker, source)),
    };
    let ignore = marker.join(MARK);
    match std::fs::File::create_new(&ignore).and_then(|mut file| write(&mut file)) {
        Ok(()) => Ok(Initialized::New),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Ok(Initialized::Already),
        Err(source) => Err(Error::io("the source root cannot be marked", &ignore, source)),
    }
}

fn write(file: &mut impl io::Write) -> io::Result<()> {
    file.write_all(IGNORE_ALL_BUT_THIS.as_bytes())
}

/// Whether a path in a source root is wharf's or ZenML's own and no code of the user.
pub(super) fn is_own(path: &Path) -> bool {
    path.components().any(|part| {
        [MARKER, ZENML_MARKER]
            .iter()
            .any(|marker| part.as_os_str() == *marker)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(directories: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for directory in directories {
            std::fs::create_dir_all(root.path().join(directory)).unwrap();
            if let Some(marked) = directory.strip_suffix("/.wharf") {
                init(&root.path().join(marked)).unwrap();
            }
        }
        root
    }

    fn found(root: &tempfile::TempDir, current: &str, file: &str) -> PathBuf {
        let base = root.path().canonicalize().unwrap();
        let found = source_root(&base.join(current), Path::new(file)).unwrap();
        found.strip_prefix(&base).unwrap().to_owned()
    }

    #[test]
    fn the_nearest_marker_above_the_current_directory_decides() {
        let root = tree(&["a/.wharf", "a/b/.zen", "a/b/c", "a/d"]);
        assert_eq!(found(&root, "a/b/c", "../../d/p.yaml"), Path::new("a/b"));
        assert_eq!(found(&root, "a/d", "p.yaml"), Path::new("a"));
    }

    #[test]
    fn without_a_marker_it_is_the_folder_of_the_file() {
        let root = tree(&["a/b", "marked/.wharf", "marked/sub"]);
        assert_eq!(found(&root, "a", "b/p.yaml"), Path::new("a/b"));
        // The marker counts from where one stands, not from where the file is.
        assert_eq!(found(&root, "a", "../marked/sub/../p.yaml"), Path::new("marked"));
        assert_eq!(found(&root, "a", "p.yaml"), Path::new("a"));
    }

    #[test]
    fn records_of_builds_mark_nothing() {
        let root = tree(&["a/.wharf/builds", "a/b"]);
        assert_eq!(found(&root, "a", "b/p.yaml"), Path::new("a/b"));
        assert_eq!(init(&root.path().join("a")).unwrap(), Initialized::New);
        assert_eq!(found(&root, "a", "b/p.yaml"), Path::new("a"));
    }

    #[test]
    fn a_file_named_like_the_marker_marks_nothing() {
        let root = tree(&["a/b"]);
        std::fs::write(root.path().join("a/.wharf"), "").unwrap();
        assert_eq!(found(&root, "a/b", "p.yaml"), Path::new("a/b"));
        let error = init(&root.path().join("a")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }

    #[test]
    fn init_marks_once_and_keeps_what_is_there() {
        let root = tree(&["p/sub"]);
        let project = root.path().join("p");
        assert_eq!(init(&project).unwrap(), Initialized::New);
        assert_eq!(found(&root, "p/sub", "x.yaml"), Path::new("p"));
        std::fs::write(project.join(".wharf/.gitignore"), "mine\n").unwrap();
        assert_eq!(init(&project).unwrap(), Initialized::Already);
        assert_eq!(
            std::fs::read_to_string(project.join(".wharf/.gitignore")).unwrap(),
            "mine\n"
        );
        let error = init(&root.path().join("none")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
