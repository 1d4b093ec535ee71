//! Requirements files together with everything that they include.
//!
//! A file that is included with `-r` or `-c` comes along under a name of its own, which stands in its place in
//! the text: all files then lie side by side in the image, wherever they lay on disk. Includes from a URL stay
//! as they are.

use std::collections::HashMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wharf_core::{Error, ErrorKind, Result};

use super::ToolEnvironment;
use super::decode::decode;
use super::index_credentials::{Role, fill, hide_credentials, split_file};
use super::requirement_lines::{LogicalLine, Meaning, local_path, logical_lines, meaning};
use crate::inputs::{IncludedFile, RequirementsText};

/// How many hexadecimal digits of a checksum are in the name of an included file.
const CHECKSUM_DIGITS: usize = 16;

/// Reads a requirements file with everything that it includes.
///
/// # Errors
///
/// As [`RequirementsSource::read`](crate::inputs::RequirementsSource::read).
pub(super) fn read_file(environment: &ToolEnvironment, path: &Path) -> Result<RequirementsText> {
    let text = read_text(path)?;
    let mut reader = Reader::new(environment);
    reader.open.push(normal(path));
    let directory = path.parent().unwrap_or(Path::new("/"));
    let source = Source {
        directory,
        label: "",
        name: Some(path),
        role: Role::Requirements,
    };
    let content = reader.rewrite(&text, source)?;
    Ok(reader.finish(content))
}

/// The same for a text; includes count from `directory`. `label` says where the text comes from.
pub(super) fn read_lines(
    environment: &ToolEnvironment,
    text: &str,
    directory: &Path,
    label: &str,
) -> Result<RequirementsText> {
    let mut reader = Reader::new(environment);
    let source = Source {
        directory,
        label,
        name: None,
        role: Role::Requirements,
    };
    let content = reader.rewrite(text, source)?;
    Ok(reader.finish(content))
}

/// The text of a requirements file itself.
///
/// # Errors
///
/// [`ErrorKind::NotFound`], and [`ErrorKind::InvalidInput`] for a directory and for an unknown encoding.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::new(
            ErrorKind::NotFound,
            format!("there is no requirements file {}", path.display()),
        ),
        io::ErrorKind::IsADirectory => Error::new(
            ErrorKind::InvalidInput,
            format!("the requirements file {} is a directory", path.display()),
        ),
        _ => Error::io("a requirements file cannot be read", path, source),
    })?;
    decode(&bytes).map_err(|error| error.with_context("file", path.display().to_string()))
}

/// Where a text comes from.
#[derive(Clone, Copy)]
struct Source<'s> {
    directory: &'s Path,
    /// What it is if it is no file.
    label: &'s str,
    /// The file.
    name: Option<&'s Path>,
    role: Role,
}

impl Source<'_> {
    /// A line of it, for people.
    fn place(&self, line: &LogicalLine<'_>) -> String {
        match self.name {
            Some(name) => format!("{}:{}", name.display(), line.number),
            None => self.label.to_owned(),
        }
    }
}

struct Reader<'e> {
    environment: &'e ToolEnvironment,
    /// The files that are being read, each included by the one before it.
    open: Vec<PathBuf>,
    /// The names of the files that were read.
    names: HashMap<PathBuf, String>,
    found: RequirementsText,
}

impl<'e> Reader<'e> {
    fn new(environment: &'e ToolEnvironment) -> Self {
        Self {
            environment,
            open: Vec::new(),
            names: HashMap::new(),
            found: RequirementsText::default(),
        }
    }

    fn finish(mut self, content: String) -> RequirementsText {
        let mut seen = std::collections::HashSet::new();
        self.found.included.retain(|file| seen.insert(file.name.clone()));
        RequirementsText {
            content,
            ..self.found
        }
    }

    /// The text with the names of the included files in it, and without credentials.
    fn rewrite(&mut self, text: &str, source: Source<'_>) -> Result<String> {
        let mut rewritten = String::with_capacity(text.len());
        for line in logical_lines(text) {
            match self.include_line(&line, source)? {
                Some(new) => rewritten.push_str(&new),
                None => rewritten.push_str(line.raw),
            }
            rewritten.push('\n');
        }
        if !text.ends_with('\n') {
            rewritten.pop();
        }
        let variable = |name: &str| self.environment.text(name).map(str::to_owned);
        let split =
            split_file(&rewritten, source.role, &variable).map_err(|error| with_file(error, source.name))?;
        self.found.secret_lines.extend(split.secret_lines);
        Ok(split.text)
    }

    /// A line that includes a file of this machine, in its new form.
    fn include_line(&mut self, line: &LogicalLine<'_>, source: Source<'_>) -> Result<Option<String>> {
        let joined = line.joined();
        let meaning = meaning(joined.trim());
        let (flag, target, role) = match &meaning {
            Meaning::Requirements(target) => ("-r", *target, Role::Requirements),
            Meaning::Constraints(target) => ("-c", *target, Role::Constraints),
            other => {
                self.warn_of_local_path(other, line, source);
                return Ok(None);
            }
        };
        let target = fill(target, &|name| self.environment.text(name).map(str::to_owned));
        let path = target.strip_prefix("file://").unwrap_or(&target);
        if path.contains("://") {
            return Ok(None);
        }
        let place = source.place(line);
        let name = self.include(&normal(&source.directory.join(path)), role, &place)?;
        let comment = line.comment.map_or("", |at| &line.raw[at..]);
        Ok(name.map(|name| format!("{flag} {name}  {comment}").trim_end().to_owned()))
    }

    /// The name of an included file; none if there is no such file.
    fn include(&mut self, path: &Path, role: Role, place: &str) -> Result<Option<String>> {
        if let Some(name) = self.names.get(path) {
            return Ok(Some(name.clone()));
        }
        if self.open.iter().any(|open| open == path) {
            return Err(includes_itself(path, place));
        }
        let text = match read_text(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.found
                    .missing
                    .push(format!("{place} includes {}", path.display()));
                return Ok(None);
            }
            Err(error) => return Err(error.with_context("included from", place)),
        };
        // Files stand in the order in which they are named, but the name is known only when all that they
        // include is.
        let position = self.found.included.len();
        self.found.included.push(IncludedFile {
            name: String::new(),
            content: Vec::new(),
        });
        self.open.push(path.to_owned());
        let source = Source {
            directory: path.parent().unwrap_or(Path::new("/")),
            label: "",
            name: Some(path),
            role,
        };
        let content = self.rewrite(&text, source)?.into_bytes();
        self.open.pop();
        let name = name_in_image(path, &content);
        self.names.insert(path.to_owned(), name.clone());
        self.found.included[position] = IncludedFile {
            name: name.clone(),
            content,
        };
        Ok(Some(name))
    }

    fn warn_of_local_path(&mut self, meaning: &Meaning<'_>, line: &LogicalLine<'_>, source: Source<'_>) {
        if local_path(meaning).is_some() {
            let place = source.place(line);
            let shown = hide_credentials(&line.joined());
            self.found.warnings.push(format!(
                "`{shown}` ({place}) installs from this machine's disk, which is not in the image. Install local \
                 projects with `local_project_install_command`."
            ));
        }
    }
}

fn with_file(error: Error, name: Option<&Path>) -> Error {
    match name {
        Some(name) => error.with_context("file", name.display().to_string()),
        None => error,
    }
}

fn includes_itself(path: &Path, place: &str) -> Error {
    let message = format!("the requirements file {} includes itself", path.display());
    Error::new(ErrorKind::InvalidInput, message)
        .with_context("included from", place)
        .with_hint("Remove one of the `-r` and `-c` lines that lead back to it.")
}

/// `.name-checksum.txt`.
fn name_in_image(path: &Path, content: &[u8]) -> String {
    let part = |part: Option<&std::ffi::OsStr>| {
        let text = part.unwrap_or_default().to_string_lossy();
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            }
        };
        text.trim_start_matches('.')
            .chars()
            .map(plain)
            .collect::<String>()
    };
    let checksum: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(".{}-{}.txt", part(path.file_stem()), &checksum[..CHECKSUM_DIGITS])
}

/// A path without `.` and, where that does not change what it names, without `..`.
fn normal(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if normal.file_name().is_some() => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tools;
    use super::*;

    fn read(tools: &Tools, name: &str) -> Result<RequirementsText> {
        read_file(&tools.environment(), &tools.root().join(name))
    }

    fn content<'t>(text: &'t RequirementsText, beginning: &str) -> (&'t str, &'t str) {
        let file = text
            .included
            .iter()
            .find(|file| file.name.starts_with(beginning))
            .unwrap();
        (&file.name, std::str::from_utf8(&file.content).unwrap())
    }

    #[test]
    fn includes_come_along_side_by_side() {
        let tools = Tools::new()
            .file(
                "reqs/train.txt",
                "# all\n-r ../base.txt  # shared\n-c=x\n--constraint c/pins.txt\ntorch\n",
            )
            .file("base.txt", "-r reqs/c/more.txt\nnumpy")
            .file("reqs/c/pins.txt", "numpy==1\n")
            .file("reqs/c/more.txt", "pandas\n");
        let text = read(&tools, "reqs/train.txt").unwrap();
        let (base, base_content) = content(&text, ".base-");
        let (pins, _) = content(&text, ".pins-");
        let (more, more_content) = content(&text, ".more-");
        assert_eq!(
            text.content,
            format!("# all\n-r {base}  # shared\n-c=x\n-c {pins}\ntorch\n")
        );
        assert_eq!(
            (base_content, more_content),
            (&*format!("-r {more}\nnumpy"), "pandas\n")
        );
        let names: Vec<_> = text.included.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, [base, more, pins]);
        assert_eq!(base.len(), ".base-.txt".len() + CHECKSUM_DIGITS);
    }

    #[test]
    fn a_change_deep_inside_changes_every_name_above() {
        let tools = |pin: &str| {
            Tools::new()
                .file("r.txt", "-r a.txt\n")
                .file("a.txt", "-r b.txt\n")
                .file("b.txt", pin)
        };
        let (one, other) = (tools("x==1"), tools("x==2"));
        let (one, other) = (read(&one, "r.txt").unwrap(), read(&other, "r.txt").unwrap());
        assert_ne!(one.content, other.content);
        assert_ne!(one.included[0].name, other.included[0].name);
    }

    #[test]
    fn a_file_that_is_included_twice_comes_once() {
        let tools = Tools::new()
            .file("r.txt", "-r a.txt\n-r ./a.txt\n-r d/../a.txt\n")
            .file("d/x", "")
            .file("a.txt", "x");
        let text = read(&tools, "r.txt").unwrap();
        assert_eq!(text.included.len(), 1);
        let line = format!("-r {}\n", text.included[0].name);
        assert_eq!(text.content, line.repeat(3));
    }

    #[test]
    fn a_cycle_is_an_error_with_the_line_that_closes_it() {
        let tools = Tools::new()
            .file("r.txt", "-r a.txt")
            .file("a.txt", "x\n-r r.txt");
        let error = read(&tools, "r.txt").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.report().contains("a.txt:2"), "{}", error.report());
    }

    #[test]
    fn a_missing_file_is_an_error_and_a_missing_include_is_told() {
        let tools = Tools::new().file("r.txt", "# base\n\nnumpy # pinned later\n\n-r other.txt\n");
        let text = read(&tools, "r.txt").unwrap();
        assert_eq!(text.content, "# base\n\nnumpy # pinned later\n\n-r other.txt\n");
        assert_eq!(text.missing.len(), 1);
        assert!(text.missing[0].contains("r.txt:5") && text.missing[0].ends_with("work/other.txt"));
        assert_eq!(read(&tools, "none.txt").unwrap_err().kind(), ErrorKind::NotFound);
        let error = read(&tools, ".").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().ends_with("is a directory"));
    }

    #[test]
    fn remote_includes_and_hashes_stay() {
        let written =
            "-r https://h/r.txt\na==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n--no-binary :all:\n";
        let tools = Tools::new().file("r.txt", written);
        let text = read(&tools, "r.txt").unwrap();
        assert_eq!((text.content.as_str(), text.included.len()), (written, 0));
    }

    #[test]
    fn marks_line_ends_and_variables_are_understood() {
        let tools = Tools::new()
            .file("r.txt", "\u{feff}numpy\r\n-r ${SUB}/a.txt\r\n")
            .file("s/a.txt", "x\r\n");
        let environment = tools.environment().with("SUB", "s");
        let text = read_file(&environment, &tools.root().join("r.txt")).unwrap();
        assert_eq!(text.content, format!("numpy\n-r {}\n", text.included[0].name));
        assert_eq!(text.included[0].content, b"x\n");
    }

    #[test]
    fn credentials_leave_every_file() {
        let tools = Tools::new()
            .file("r.txt", "-i https://u:${PW}@h/s\n-r a.txt\nnumpy\n")
            .file("a.txt", "--extra-index-url https://u:hunter2@i/s\nx\n");
        let environment = tools.environment().with("PW", "geheim");
        let text = read_file(&environment, &tools.root().join("r.txt")).unwrap();
        let lines: Vec<_> = text.secret_lines.iter().map(wharf_core::Secret::expose).collect();
        assert_eq!(
            lines,
            [
                "--extra-index-url https://u:hunter2@i/s",
                "-i https://u:geheim@h/s"
            ]
        );
        let all = format!("{text:?}{}", String::from_utf8_lossy(&text.included[0].content));
        assert!(!all.contains("hunter2") && !all.contains("geheim"), "{all}");
        // A new password gives the same files.
        let other = tools.environment().with("PW", "neu");
        let other = read_file(&other, &tools.root().join("r.txt")).unwrap();
        assert_eq!((other.content, other.included), (text.content, text.included));
    }

    #[test]
    fn local_projects_are_told() {
        let tools = Tools::new().file("r.txt", "-e .\nnumpy\n./lib\n");
        let text = read(&tools, "r.txt").unwrap();
        assert_eq!(text.warnings.len(), 2);
        assert!(text.warnings[0].starts_with("`-e .` ("), "{}", text.warnings[0]);
        assert_eq!(text.content, "-e .\nnumpy\n./lib\n");
    }

    #[test]
    fn settings_may_include_files_too() {
        let tools = Tools::new().file("a.txt", "x");
        let text = read_lines(&tools.environment(), "-r a.txt\nnumpy", &tools.root(), "x").unwrap();
        assert_eq!(text.content, format!("-r {}\nnumpy", text.included[0].name));
        let text = read_lines(&tools.environment(), "notes.txt\nnumpy", &tools.root(), "x").unwrap();
        assert_eq!(text, RequirementsText::plain("notes.txt\nnumpy"));
    }
}
