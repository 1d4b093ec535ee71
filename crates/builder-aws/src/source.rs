//! The source of a build: one zip with the context's files and, beside them, what `docker` is to be told.
//!
//! | in the zip | holds |
//! | --- | --- |
//! | `context/…` | the files of the context, with their modes and links, the Dockerfile and the ignore rules among them |
//! | `wharf/arguments/0000`, … | the arguments of `docker build`, one in a file, byte for byte |
//! | `wharf/names/0000`, … | the names to push |
//! | `wharf/probe/executable`, `wharf/probe/link` | whether modes and links survive the unpacking, which only CodeBuild knows |

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wharf_core::artifact_store::ArtifactStream;
use wharf_core::context::stream_entries;
use wharf_core::event::ContextProgress;
use wharf_core::{ArchiveFormat, BuildContext, ContextEntry, Error, ErrorKind, FileSource, Result};

use crate::plan::BuildPlan;

/// ZenML's folder in the artifact store, so that rules for its lifetime hold here too.
pub(crate) const FOLDER: &str = "code-build-contexts";

/// The source of one build.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The artifact's name: the same for the same content.
    pub(crate) name: String,
    context: BuildContext,
    data: Vec<ContextEntry>,
}

impl Source {
    /// The source of a plan, without its name yet.
    pub(crate) fn prepare(plan: &BuildPlan) -> Result<Self> {
        Ok(Self {
            name: String::new(),
            context: plan.context.clone(),
            data: data(plan)?,
        })
    }

    /// Reads all files once, for the name. Blocks.
    pub(crate) fn hash(self) -> Result<Self> {
        let mut hasher = Sha256::new();
        hasher.update(self.context.digest()?);
        for entry in &self.data {
            let content = match &entry.source {
                FileSource::Bytes(bytes) => bytes.clone(),
                FileSource::Path(_) => Bytes::new(),
            };
            for part in [entry.display_name().as_bytes(), &content] {
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        }
        let digest = hasher.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(Self {
            name: format!("{FOLDER}/{digest}.zip"),
            ..self
        })
    }

    /// The zip, made while it is taken. Blocks for the list of files.
    pub(crate) fn stream(
        &self,
        progress: impl FnMut(ContextProgress) + Send + 'static,
    ) -> Result<ArtifactStream> {
        let mut entries = self.context.archive_entries()?;
        for entry in &mut entries {
            entry.name = Path::new("context").join(&entry.name);
        }
        entries.extend(self.data.iter().cloned());
        Ok(Box::pin(stream_entries(entries, ArchiveFormat::Zip, progress)))
    }
}

/// The arguments of `docker build`. Its working directory is the unpacked source.
pub(crate) fn arguments(plan: &BuildPlan) -> Result<Vec<String>> {
    let mut arguments = plan.options.command_line();
    for name in &plan.names {
        arguments.extend(["--tag".to_owned(), name.familiar()]);
    }
    let dockerfile = Path::new("context").join(&plan.dockerfile.name);
    let dockerfile = dockerfile.into_os_string().into_string().map_err(|name| {
        Error::new(ErrorKind::InvalidInput, "the Dockerfile's name is not UTF-8")
            .with_context("path", name.display().to_string())
            .with_hint("Rename it: the builder takes the name as a text.")
    })?;
    arguments.extend(["--file".to_owned(), dockerfile, "context".to_owned()]);
    Ok(arguments)
}

fn data(plan: &BuildPlan) -> Result<Vec<ContextEntry>> {
    let mut data = BuildContext::empty();
    let names = plan.names.iter().map(|name| name.familiar());
    for (folder, words) in [("arguments", arguments(plan)?), ("names", names.collect())] {
        for (number, word) in words.into_iter().enumerate() {
            if word.contains('\0') {
                let message = "a build option holds a NUL byte, which no command line can";
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
            data.add_file(
                format!("wharf/{folder}/{number:04}"),
                FileSource::Bytes(word.into()),
                None,
            )?;
        }
    }
    data.add_file(
        "wharf/probe/executable",
        FileSource::Bytes(Bytes::new()),
        Some(0o755),
    )?;
    data.add_symlink("wharf/probe/link", "executable")?;
    data.files()
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use serde_json::json;

    use super::*;
    use crate::plan::test_plan;

    #[test]
    fn the_name_follows_from_the_content() {
        let name = |options| Source::prepare(&test_plan(options)).unwrap().hash().unwrap().name;
        let one = name(json!({}));
        assert!(one.starts_with("code-build-contexts/") && one.ends_with(".zip"));
        assert_eq!(one, name(json!({})));
        assert_ne!(one, name(json!({"build_args": {"A": "1"}})));
        assert_ne!(
            name(json!({"build_args": {"A": "1"}})),
            name(json!({"labels": {"A": "1"}}))
        );
    }

    #[test]
    fn every_argument_is_a_file_byte_for_byte() {
        let value = "it's \"x\" $(id); `y`: \nz=é\n";
        let data = data(&test_plan(json!({"build_args": {"A": value}}))).unwrap();
        let content = |name: &str| {
            let entry = data.iter().find(|entry| entry.name == Path::new(name)).unwrap();
            match &entry.source {
                FileSource::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                FileSource::Path(_) => panic!("{name} is on disk"),
            }
        };
        assert_eq!(content("wharf/arguments/0000"), "--build-arg");
        assert_eq!(content("wharf/arguments/0001"), format!("A={value}"));
        assert_eq!(content("wharf/arguments/0006"), "context");
        assert_eq!(content("wharf/names/0000"), "r.example:5000/app:1");
        assert!(super::data(&test_plan(json!({"target": "a\0b"}))).is_err());
    }

    #[tokio::test]
    async fn the_zip_holds_context_and_data_side_by_side() {
        let source = Source::prepare(&test_plan(json!({}))).unwrap().hash().unwrap();
        let mut stream = source.stream(|_| {}).unwrap();
        let mut zip = Vec::new();
        while let Some(chunk) = stream.next().await {
            zip.extend_from_slice(&chunk.unwrap());
        }
        let holds = |name: &str| zip.windows(name.len()).any(|window| window == name.as_bytes());
        for name in [
            "context/Dockerfile",
            "wharf/arguments/0000",
            "wharf/names/0000",
            "wharf/probe/link",
        ] {
            assert!(holds(name), "{name}");
        }
    }
}
