//! Which ignore file applies.

use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};

use super::BuildContext;
use super::ignore::IgnoreRules;
use crate::{Error, ErrorKind, Result};

/// The name of the ignore file in the root.
pub(super) const IGNORE_FILE: &str = ".dockerignore";

/// What the caller said about ignore files.
#[derive(Debug, Clone)]
pub(super) enum IgnoreChoice {
    Find,
    File(PathBuf),
    Text(Bytes, PathBuf),
    None,
}

/// Rules, and where they lie in the context.
#[derive(Debug, Default)]
pub(super) struct LoadedRules {
    pub(super) rules: IgnoreRules,
    /// The ignore file's name inside the context, if it was found there.
    pub(super) name: Option<PathBuf>,
}

impl BuildContext {
    /// Reads the rules that apply.
    pub(super) fn load_rules(&self) -> Result<LoadedRules> {
        match &self.ignore {
            IgnoreChoice::None => Ok(LoadedRules::default()),
            IgnoreChoice::Text(text, file) => Ok(LoadedRules {
                rules: IgnoreRules::parse(text.clone(), file)?,
                name: None,
            }),
            IgnoreChoice::Find => self.find_rules(),
            IgnoreChoice::File(path) => match read(path)? {
                Some(rules) => Ok(LoadedRules { rules, name: None }),
                None => {
                    let message = format!("there is no ignore file at {}", path.display());
                    Err(Error::new(ErrorKind::NotFound, message)
                        .with_hint("Name an ignore file that exists, or none."))
                }
            },
        }
    }

    fn find_rules(&self) -> Result<LoadedRules> {
        let Some(root) = self.real_root()? else {
            return Ok(LoadedRules::default());
        };
        for name in [self.specific_ignore_file(), PathBuf::from(IGNORE_FILE)] {
            let path = root.join(&name);
            if let Some(rules) = read(&path)? {
                let name = path.strip_prefix(&root).map(Path::to_owned).ok();
                return Ok(LoadedRules { rules, name });
            }
        }
        Ok(LoadedRules::default())
    }

    /// `<Dockerfile>.dockerignore`, where the Dockerfile was said to be.
    pub(super) fn specific_ignore_file(&self) -> PathBuf {
        let mut name = self.dockerfile_name().as_os_str().to_owned();
        name.push(IGNORE_FILE);
        // `./Dockerfile` and `Dockerfile` are the same name.
        PathBuf::from(name)
            .components()
            .filter(|part| part.as_os_str() != ".")
            .collect()
    }
}

fn read(path: &Path) -> Result<Option<IgnoreRules>> {
    let failed = |source| Error::io("the ignore file cannot be read", path, source);
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(source) => match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => return Ok(None),
            _ => return Err(failed(source)),
        },
    };
    // A pipe gives its text only once, and none for as long as nobody writes into it.
    if !metadata.is_file() {
        let what = if metadata.is_dir() {
            "a directory"
        } else {
            "no regular file"
        };
        let message = format!("the ignore file {} is {what}", path.display());
        return Err(
            Error::new(ErrorKind::InvalidInput, message).with_hint("Remove it, or name another ignore file.")
        );
    }
    let text = std::fs::read(path).map_err(failed)?;
    IgnoreRules::parse(text, path).map(Some)
}
