//! `wharf context`: what a build may use.

mod archive;
mod explain;

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wharf_core::context::{ContextEntry, DockerfileSource};
use wharf_core::event::{EventSink, Warning};
use wharf_core::{BuildContext, Result};

use crate::args::build::FileArgs;
use crate::args::{ContextArgs, ContextCommand, GlobalArgs};
use crate::display::Running;
use crate::exit_code;
use crate::failure::Failure;
use crate::output::{self, Shown};

/// Runs one of the commands about contexts.
///
/// # Errors
/// Whatever stood in the way of reading the context or writing the result.
pub async fn run(global: &GlobalArgs, command: &ContextCommand) -> Result<u8, Failure> {
    match command {
        ContextCommand::Ls(args) => list(global, args).await?,
        ContextCommand::Digest(args) => digest(global, args)?,
        ContextCommand::Explain(args) => explain::run(global, &args.context).await?,
        ContextCommand::Archive(args) => return archive::run(global, args).await,
    }
    Ok(exit_code::OK)
}

/// The context that the arguments name. Nothing is read yet.
#[must_use]
pub fn open(root: &Path, files: &FileArgs) -> BuildContext {
    let mut context = BuildContext::new(root);
    if let Some(path) = &files.dockerfile {
        context = context.with_dockerfile(DockerfileSource::Path(located(root, path)));
    }
    match &files.dockerignore {
        Some(path) => context.with_ignore_file(path),
        None => context,
    }
}

/// As in Docker, a Dockerfile is named relative to the working directory. Where nothing is there, the name
/// inside the context is meant.
fn located(root: &Path, path: &Path) -> PathBuf {
    if path.exists() {
        return std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    }
    // So that a root-relative path given with the root in front of it is not looked for twice below it.
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

/// Shows warnings as a build would.
async fn warn(global: &GlobalArgs, warnings: Vec<Warning>) -> Result<()> {
    let progress = global.progress.for_stderr()?;
    let (sink, stream) = EventSink::channel();
    let display = Running::start(stream, progress);
    warnings.into_iter().for_each(|warning| sink.warn(warning));
    display.finish().await;
    Ok(())
}

async fn list(global: &GlobalArgs, args: &ContextArgs) -> Result<()> {
    let scan = open(&args.root, &args.files).scan()?;
    warn(global, scan.warnings).await?;
    output::print(global.output, &List::new(&scan.entries))
}

/// Paths for people and for programs, each sorted by its bytes.
struct List {
    lines: Vec<Vec<u8>>,
    json: Vec<String>,
}

impl List {
    fn new(entries: &[ContextEntry]) -> Self {
        let mut lines: Vec<Vec<u8>> = entries.iter().map(name_bytes).collect();
        lines.sort_unstable();
        let json = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned());
        Self {
            json: json.collect(),
            lines,
        }
    }
}

fn name_bytes(entry: &ContextEntry) -> Vec<u8> {
    let mut name = entry.name.as_os_str().as_bytes().to_vec();
    if entry.is_directory() {
        name.push(b'/');
    }
    name
}

/// A name in one line: control characters are escaped, everything else stays, UTF-8 or not.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for byte in name {
        if byte.is_ascii_control() {
            out.extend(byte.escape_ascii());
        } else {
            out.push(*byte);
        }
    }
    out
}

impl Shown for List {
    type Json = [String];

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for line in &self.lines {
            out.write_all(&escaped(line))?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn json(&self) -> &[String] {
        &self.json
    }
}

fn digest(global: &GlobalArgs, args: &ContextArgs) -> Result<()> {
    let digest = open(&args.root, &args.files).digest()?.to_string();
    let json = json!({ "digest": digest });
    output::print(global.output, &Digest { digest, json })
}

struct Digest {
    digest: String,
    json: Value,
}

impl Shown for Digest {
    type Json = Value;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.digest)
    }

    fn json(&self) -> &Value {
        &self.json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_one_line_and_keep_their_bytes() {
        assert_eq!(escaped(b"a\nb\x1b"), b"a\\nb\\x1b");
        assert_eq!(escaped("ü\u{9b}".as_bytes()), "ü\u{9b}".as_bytes());
        assert_eq!(escaped(b"\xff \\"), b"\xff \\");
    }

    #[test]
    fn a_dockerfile_is_found_from_the_working_directory_or_in_the_context() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("build.dockerfile");
        std::fs::write(&inside, "").unwrap();
        assert_eq!(located(folder.path(), &inside), inside);
        let name = Path::new("build.dockerfile");
        assert_eq!(located(folder.path(), name), name);
        let missing = folder.path().join("gone");
        assert_eq!(located(folder.path(), &missing), Path::new("gone"));
    }
}
