//! The code of a pipeline as an archive in an artifact store, stored once for each content.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use wharf_core::artifact_store::ArtifactStore;
use wharf_core::{ArchiveFormat, BuildContext, Error, ErrorKind, FileSource, Result};

use super::git::GitCheckout;
use super::source_root::MARKER;

/// Where in a store the archives are.
const FOLDER: &str = "code";

/// The archive of some code in an artifact store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCode {
    /// Its name below the store's root: `code/<digest>.tar.gz`.
    pub name: String,
    /// Where it is, for whoever unpacks it.
    pub uri: String,
    /// `sha256:<hex>` of the uncompressed archive.
    pub digest: String,
    /// The size of the compressed archive in bytes.
    pub size: u64,
    /// Whether it was stored now; else it was there already.
    pub is_new: bool,
}

/// The code below a source root: the files whose content and place make its digest.
///
/// 1. In a Git checkout: what Git tracks, and what it neither tracks nor ignores. Submodules and other checkouts
///    inside come with their files. That is what ZenML uploads, too.
/// 2. Elsewhere: every file, but for `__pycache__`, `*.pyc`, `.git` and virtual environments (directories with a
///    `pyvenv.cfg`). An ignore file for images has no say here, as with ZenML.
/// 3. What wharf keeps in `.wharf` is never code; the file that marks the source root is.
///
/// Links stay links. Of a file's mode only the right to execute it counts, so that two clones of a repository
/// are the same code.
///
/// # Errors
///
/// [`ErrorKind::Io`] if a file or the checkout cannot be read.
pub fn code_context(source_root: &Path) -> Result<BuildContext> {
    let mut context = BuildContext::empty();
    for name in code_files(source_root)? {
        let path = source_root.join(&name);
        let failed = |source| Error::io("the code cannot be read", &path, source);
        let metadata = path.symlink_metadata().map_err(failed)?;
        if metadata.is_symlink() {
            context.add_symlink(name, path.read_link().map_err(failed)?)?;
        } else if metadata.is_file() {
            let mode = mode(&metadata);
            context.add_file(name, FileSource::Path(path), Some(mode))?;
        }
    }
    Ok(context)
}

fn mode(metadata: &Metadata) -> u32 {
    match metadata.permissions().mode() & 0o111 {
        0 => 0o644,
        _ => 0o755,
    }
}

/// Stores the code below a source root, unless the store has it.
///
/// Dropping the future stores nothing; reading the files goes on for a moment.
///
/// # Errors
///
/// * Those of [`code_context`] and of the store.
/// * [`ErrorKind::Conflict`] if the code changes meanwhile; what was stored is deleted again.
pub async fn store_code(source_root: &Path, store: &dyn ArtifactStore) -> Result<StoredCode> {
    let (context, digest) = read(source_root).await?;
    let name = archive_name(&digest);
    if let Some(info) = store.info(&name).await? {
        return Ok(StoredCode {
            name,
            uri: info.uri,
            digest,
            size: info.size,
            is_new: false,
        });
    }
    let archive = Box::pin(context.stream_archive(ArchiveFormat::TarGz));
    let info = store
        .put(&name, archive)
        .await
        .map_err(|error| error.with_operation("store the code"))?;
    // The name is a promise about the content.
    let (_, now) = read(source_root).await?;
    if now != digest {
        store.delete(&name).await?;
        return Err(
            Error::new(ErrorKind::Conflict, "the code changed while it was stored")
                .with_hint("Try again.")
                .set_retryable(true),
        );
    }
    Ok(StoredCode {
        name,
        uri: info.uri,
        digest,
        size: info.size,
        is_new: true,
    })
}

fn archive_name(digest: &str) -> String {
    let hex = digest.rsplit(':').next().unwrap_or(digest);
    format!("{FOLDER}/{hex}.tar.gz")
}

async fn read(source_root: &Path) -> Result<(BuildContext, String)> {
    let source_root = source_root.to_owned();
    let task = tokio::task::spawn_blocking(move || {
        let context = code_context(&source_root)?;
        let digest = context.digest()?;
        Ok((context, digest))
    });
    task.await
        .map_err(|source| Error::new(ErrorKind::Unexpected, "reading the code stopped").with_source(source))?
}

/// The files of the code, relative to the source root, sorted.
fn code_files(source_root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = match GitCheckout::around(source_root)? {
        Some(checkout) => with_checkouts_inside(source_root, checkout.files()?)?,
        None => {
            let mut found = Vec::new();
            walk(source_root, Path::new(""), &mut found)?;
            found
        }
    };
    files.retain(|file| is_code(file));
    files.sort();
    Ok(files)
}

/// For Git a checkout inside of another is one path; here it is the files in it.
fn with_checkouts_inside(source_root: &Path, paths: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let inside = source_root.join(&path);
        let is_directory = inside.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if !is_directory {
            files.push(path);
        } else if inside.join(".git").exists() {
            files.extend(code_files(&inside)?.iter().map(|file| path.join(file)));
        }
    }
    Ok(files)
}

/// Whether a path is the user's: of what wharf keeps in a source root only the file that marks it is.
fn is_code(file: &Path) -> bool {
    let mut parts = file.components().map(|part| part.as_os_str());
    match parts.position(|part| part == MARKER) {
        Some(_) => parts.eq([OsStr::new(".gitignore")]),
        None => true,
    }
}

fn walk(directory: &Path, name: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |source| Error::io("the code cannot be read", directory, source);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        if entry.file_type().map_err(failed)?.is_dir() {
            let left_out = ["__pycache__", ".git"]
                .iter()
                .any(|left_out| entry.file_name() == *left_out);
            if !left_out && !path.join("pyvenv.cfg").is_file() {
                walk(&path, &name, found)?;
            }
        } else if path.extension() != Some(OsStr::new("pyc")) && entry.file_name() != ".git" {
            found.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use futures_util::TryStreamExt;
    use wharf_core::artifact_store::LocalArtifactStore;

    use super::super::git_tests::Sandbox;
    use super::super::testing::Tools;
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let files = code_context(root).unwrap().files().unwrap();
        let files = files.iter().filter(|entry| !entry.is_directory());
        files.map(|entry| entry.display_name()).collect()
    }

    #[test]
    fn outside_of_git_everything_but_rubbish_is_code() {
        let tools = Tools::new()
            .file("train.py", "")
            .file(".dockerignore", "train.py\n")
            .file("data/x.csv", "")
            .file("a/__pycache__/x.pyc", "")
            .file("a/y.pyc", "")
            .file(".venv/pyvenv.cfg", "")
            .file(".venv/lib/z.py", "")
            .file(".wharf/.gitignore", "*\n")
            .file(".wharf/builds/1.json", "");
        symlink("../gone", tools.root().join("data/link")).unwrap();
        assert_eq!(
            names(&tools.root()),
            [
                ".dockerignore",
                ".wharf/.gitignore",
                "data/link",
                "data/x.csv",
                "train.py"
            ]
        );
    }

    #[test]
    fn in_a_checkout_git_decides_and_clones_are_the_same_code() {
        let sandbox = Sandbox::new();
        sandbox.write("work/x.log", "ignored");
        sandbox.write("work/new.py", "");
        sandbox.write("work/.dockerignore", "sub\n");
        symlink("sub", sandbox.path("work/link")).unwrap();
        assert_eq!(
            names(&sandbox.path("work")),
            [
                ".dockerignore",
                ".gitignore",
                "link",
                "new.py",
                "sub/step.py",
                "train.py"
            ]
        );
        assert_eq!(names(&sandbox.path("work/sub")), ["step.py"]);
        sandbox.commit("work");
        sandbox.git("work", &["push", "-q", "origin", "main"]);
        sandbox.git("", &["clone", "-q", "remote.git", "clone"]);
        let mode = PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(sandbox.path("clone/train.py"), mode).unwrap();
        let digest = |name| code_context(&sandbox.path(name)).unwrap().digest().unwrap();
        assert_eq!(digest("work"), digest("clone"));
        let mode = PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(sandbox.path("clone/train.py"), mode).unwrap();
        assert_ne!(digest("work"), digest("clone"));
    }

    #[test]
    fn submodules_come_with_their_files() {
        let sandbox = Sandbox::new();
        sandbox.git("work", &["submodule", "add", "-q", "../remote.git", "lib"]);
        sandbox.commit("work");
        sandbox.write("work/lib/new.py", "");
        let names = names(&sandbox.path("work"));
        assert!(names.contains(&"lib/new.py".to_owned()) && names.contains(&"lib/sub/step.py".to_owned()));
        assert!(!names.iter().any(|name| name.contains(".git/")), "{names:?}");
    }

    #[tokio::test]
    async fn code_is_stored_once_and_can_be_unpacked() {
        let tools = Tools::new()
            .file("train.py", "print(1)\n")
            .file(".dockerignore", "train.py\n");
        let directory = tempfile::tempdir().unwrap();
        let store = LocalArtifactStore::new(directory.path());
        let first = store_code(&tools.root(), &store).await.unwrap();
        let second = store_code(&tools.root(), &store).await.unwrap();
        assert!(first.is_new && !second.is_new);
        assert_eq!(
            (&first.name, &first.uri, first.size),
            (&second.name, &second.uri, second.size)
        );
        let output = Command::new("tar").args(["tzf", &first.uri]).output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            ".dockerignore\ntrain.py\n"
        );
        let output = Command::new("tar")
            .args(["xzOf", &first.uri, ".dockerignore"])
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"train.py\n");
        let tools = tools.file("train.py", "print(2)\n");
        let other = store_code(&tools.root(), &store).await.unwrap();
        assert!(other.is_new && other.name != first.name);
        assert_eq!(store.list("code/").await.unwrap().len(), 2);
    }

    /// A store whose user goes on editing.
    #[derive(Debug)]
    struct WhileEditing(LocalArtifactStore, PathBuf);

    #[async_trait::async_trait]
    impl ArtifactStore for WhileEditing {
        fn flavor(&self) -> &str {
            self.0.flavor()
        }
        fn uri(&self) -> &str {
            self.0.uri()
        }
        fn is_local(&self) -> bool {
            true
        }
        async fn put(
            &self,
            name: &str,
            content: wharf_core::artifact_store::ArtifactStream,
        ) -> Result<wharf_core::artifact_store::ArtifactInfo> {
            let chunks: Vec<_> = content.try_collect().await?;
            std::fs::write(&self.1, "edited").unwrap();
            let chunks = futures_util::stream::iter(chunks.into_iter().map(Ok));
            self.0.put(name, Box::pin(chunks)).await
        }
        async fn info(&self, name: &str) -> Result<Option<wharf_core::artifact_store::ArtifactInfo>> {
            self.0.info(name).await
        }
        async fn get(&self, name: &str) -> Result<wharf_core::artifact_store::ArtifactStream> {
            self.0.get(name).await
        }
        async fn delete(&self, name: &str) -> Result<()> {
            self.0.delete(name).await
        }
        async fn list(&self, prefix: &str) -> Result<Vec<wharf_core::artifact_store::ArtifactInfo>> {
            self.0.list(prefix).await
        }
    }

    #[tokio::test]
    async fn code_that_changes_meanwhile_does_not_stay_under_a_wrong_name() {
        let tools = Tools::new().file("train.py", "print(1)\n");
        let directory = tempfile::tempdir().unwrap();
        let store = WhileEditing(
            LocalArtifactStore::new(directory.path()),
            tools.root().join("train.py"),
        );
        let error = store_code(&tools.root(), &store).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Conflict && error.is_retryable());
        assert_eq!(store.list("").await.unwrap(), []);
    }
}
