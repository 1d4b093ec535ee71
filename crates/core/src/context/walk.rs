//! Walking a tree on disk under the rules of an ignore file.

use std::ffi::OsString;
use std::fs::{DirEntry, FileType, Metadata, read_dir};
use std::io;
use std::path::{Path, PathBuf};

use super::entry::{ContextEntry, read_failed};
use super::ignore::{IgnoreRules, Matched};
use crate::Result;

/// What a walk leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// A file or link.
    NoDirectory,
    /// A directory with everything in it. It was not even opened.
    Whole,
    /// A directory that is looked through nevertheless, because a rule may take back something in it.
    Searched,
}

/// Who is told what a walk finds. Directories come before what is in them, names sorted by their bytes in each
/// directory: the order of paths that are compared component by component.
pub(super) trait Visitor {
    /// Something is in the context. `rule`: the rule that decided. A directory that is out, but has something
    /// in it that is in, comes right before the first such thing.
    fn kept(&mut self, entry: ContextEntry, rule: Option<usize>) -> Result<()>;

    /// Something is out of the context.
    fn dropped(&mut self, name: &Path, what: Dropped, rule: Option<usize>) {
        let _ = (name, what, rule);
    }

    /// A socket, pipe or device is passed over.
    fn passed_over(&mut self, name: &Path);

    /// A directory is opened. An error stops the walk.
    fn opening(&mut self) -> Result<()>;
}

/// Walks the tree below `root` and names what is found relative to `prefix`, which is empty where there are
/// rules: they judge the names.
pub(super) fn walk(root: &Path, prefix: &Path, rules: &IgnoreRules, visitor: &mut dyn Visitor) -> Result<()> {
    visitor.opening()?;
    let mut walk = Walk {
        rules,
        visitor,
        levels: Vec::new(),
        matched: Matched::new(),
    };
    let children = read_children(root, 0).map_err(|source| read_failed(root, source))?;
    walk.levels.push(Level {
        name: prefix.to_owned(),
        path: root.to_owned(),
        children: children.into_iter(),
        matched: Matched::new(),
        unneeded: false,
    });
    while let Some(level) = walk.levels.last_mut() {
        match level.children.next() {
            Some(child) => walk.child(&child)?,
            None => drop(walk.levels.pop()),
        }
    }
    Ok(())
}

struct Walk<'a> {
    rules: &'a IgnoreRules,
    visitor: &'a mut dyn Visitor,
    levels: Vec<Level>,
    /// The answers about the current path; room that is used again and again.
    matched: Matched,
}

/// A directory that is being looked through.
struct Level {
    name: PathBuf,
    path: PathBuf,
    children: std::vec::IntoIter<Child>,
    matched: Matched,
    /// The directory is out, and nothing in it was in so far.
    unneeded: bool,
}

struct Child {
    file_name: OsString,
    file_type: FileType,
    /// Holds the directory open, which makes [`Child::metadata`] faster.
    open: Option<DirEntry>,
}

/// Directories further down are not held open while what is in them is walked: a process may open some
/// hundreds of files only.
const MAX_OPEN: usize = 64;

impl Child {
    fn metadata(&self, path: &Path) -> Result<Metadata> {
        match &self.open {
            Some(open) => open.metadata(),
            None => path.symlink_metadata(),
        }
        .map_err(|source| read_failed(path, source))
    }
}

impl Walk<'_> {
    fn child(&mut self, child: &Child) -> Result<()> {
        let Some(level) = self.levels.last() else {
            return Ok(());
        };
        let (name, path) = (
            level.name.join(&child.file_name),
            level.path.join(&child.file_name),
        );
        let verdict = self
            .rules
            .judge(name.as_os_str(), &level.matched, &mut self.matched)?;
        match (child.file_type.is_dir(), verdict.excluded) {
            (false, false) => self.keep(name, path, child, verdict.rule),
            (false, true) => {
                self.visitor.dropped(&name, Dropped::NoDirectory, verdict.rule);
                Ok(())
            }
            (true, false) => {
                self.keep(name.clone(), path.clone(), child, verdict.rule)?;
                self.enter(name, path, false)
            }
            (true, true) if self.rules.may_take_back_below(name.as_os_str(), verdict.rule) => {
                self.visitor.dropped(&name, Dropped::Searched, verdict.rule);
                self.enter(name, path, true)
            }
            (true, true) => {
                self.visitor.dropped(&name, Dropped::Whole, verdict.rule);
                Ok(())
            }
        }
    }

    /// Goes into a directory. One that is out and cannot be read, or is gone, is simply out.
    fn enter(&mut self, name: PathBuf, path: PathBuf, excluded: bool) -> Result<()> {
        self.visitor.opening()?;
        let children = match read_children(&path, self.levels.len()) {
            Ok(children) => children.into_iter(),
            Err(source) if excluded && may_be_missed(&source) => return Ok(()),
            Err(source) => return Err(read_failed(&path, source)),
        };
        self.levels.push(Level {
            name,
            path,
            children,
            matched: std::mem::take(&mut self.matched),
            unneeded: excluded,
        });
        Ok(())
    }

    fn keep(&mut self, name: PathBuf, path: PathBuf, child: &Child, rule: Option<usize>) -> Result<()> {
        let metadata = child.metadata(&path)?;
        let Some(entry) = ContextEntry::from_disk(name.clone(), path, &metadata)? else {
            self.visitor.passed_over(&name);
            return Ok(());
        };
        for level in &mut self.levels {
            if std::mem::take(&mut level.unneeded) {
                let metadata = level.path.symlink_metadata();
                let metadata = metadata.map_err(|source| read_failed(&level.path, source))?;
                let parent = ContextEntry::from_disk(level.name.clone(), level.path.clone(), &metadata)?;
                parent.map_or(Ok(()), |parent| self.visitor.kept(parent, None))?;
            }
        }
        self.visitor.kept(entry, rule)
    }
}

fn read_children(directory: &Path, depth: usize) -> io::Result<Vec<Child>> {
    let mut children = Vec::new();
    for child in read_dir(directory)? {
        let child = child?;
        children.push(Child {
            file_name: child.file_name(),
            file_type: child.file_type()?,
            open: Some(child).filter(|_| depth < MAX_OPEN),
        });
    }
    children.sort_unstable_by(|one, other| one.file_name.cmp(&other.file_name));
    Ok(children)
}

fn may_be_missed(source: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(source.kind(), NotADirectory | NotFound | PermissionDenied)
}
