//! A directory's entries in the order in which file sync sends them.

use std::cmp::Ordering;

use wharf_core::{Error, ErrorKind, Result};

use super::source::{SyncEntry, SyncKind};

/// One path that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Names joined by `/`; bytes that are not UTF-8 are replaced, so that patterns can still be tried.
    pub(crate) path: String,
    /// Its place among the source's entries; none for a directory the source did not list.
    pub(crate) entry: Option<usize>,
    /// Whether it is a directory.
    pub(crate) is_dir: bool,
}

/// All paths, each directory directly before what is in it, names sorted by their bytes.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// Sorts the entries and adds the directories that are missing between them.
    pub(crate) fn new(entries: &[SyncEntry]) -> Result<Self> {
        let mut sorted = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            sorted.push(Node {
                path: wire_path(entry)?,
                entry: Some(index),
                is_dir: entry.kind == SyncKind::Directory,
            });
        }
        sorted.sort_by(|a, b| compare(&a.path, &b.path));
        let mut nodes: Vec<Node> = Vec::with_capacity(sorted.len());
        for node in sorted {
            add_missing_parents(&mut nodes, &node.path)?;
            push(&mut nodes, node)?;
        }
        Ok(Self { nodes })
    }

    /// All paths in sending order.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What is at a path.
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        let place = self.nodes.binary_search_by(|node| compare(&node.path, path));
        place.ok().map(|place| &self.nodes[place])
    }

    /// What lies directly in a directory; the root is the empty path.
    pub(crate) fn children<'a>(&'a self, dir: &'a str) -> impl Iterator<Item = &'a Node> {
        let start = match dir {
            "" => 0,
            dir => self
                .nodes
                .partition_point(|node| compare(&node.path, dir) != Ordering::Greater),
        };
        let inside = self.nodes[start..]
            .iter()
            .take_while(move |node| is_inside(&node.path, dir));
        inside.filter(move |node| parent(&node.path) == dir)
    }
}

/// Compares component by component: a directory's content comes before a sibling whose name only begins alike.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}

/// The directory a path lies in; empty for the root.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Whether a path lies in a directory, at any depth.
pub(crate) fn is_inside(path: &str, dir: &str) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

fn wire_path(entry: &SyncEntry) -> Result<String> {
    let mut path = String::new();
    for component in entry.path.components() {
        let std::path::Component::Normal(name) = component else {
            return Err(bad_path(
                &entry.path.to_string_lossy(),
                "is not relative to its root",
            ));
        };
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&name.to_string_lossy());
    }
    match path.is_empty() {
        true => Err(bad_path("", "is the root itself")),
        false => Ok(path),
    }
}

fn add_missing_parents(nodes: &mut Vec<Node>, path: &str) -> Result<()> {
    let known = nodes.last().map_or(0, |last| shared_directories(last, path));
    for (end, _) in path.match_indices('/').filter(|(end, _)| *end > known) {
        let directory = Node {
            path: path[..end].to_owned(),
            entry: None,
            is_dir: true,
        };
        push(nodes, directory)?;
    }
    Ok(())
}

/// How many bytes of a path are directories that are open after the last node.
fn shared_directories(last: &Node, path: &str) -> usize {
    let open = if last.is_dir {
        &last.path
    } else {
        parent(&last.path)
    };
    let mut shared = 0;
    for (end, _) in path.match_indices('/') {
        let dir = &path[..end];
        if open != dir && !is_inside(open, dir) {
            break;
        }
        shared = end;
    }
    shared
}

fn push(nodes: &mut Vec<Node>, node: Node) -> Result<()> {
    if nodes.last().is_some_and(|last| last.path == node.path) {
        return Err(bad_path(&node.path, "is there twice"));
    }
    nodes.push(node);
    Ok(())
}

fn bad_path(path: &str, what: &str) -> Error {
    Error::new(ErrorKind::Unexpected, format!("a path to be sent {what}")).with_context("path", path)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn entry(path: &str, kind: SyncKind) -> SyncEntry {
        SyncEntry {
            path: path.into(),
            kind,
            mode: 0o644,
            size: 0,
            modified: SystemTime::UNIX_EPOCH,
        }
    }

    fn tree(files: &[&str], dirs: &[&str]) -> Result<Tree> {
        let files = files.iter().map(|path| entry(path, SyncKind::File));
        let dirs = dirs.iter().map(|path| entry(path, SyncKind::Directory));
        Tree::new(&files.chain(dirs).collect::<Vec<_>>())
    }

    fn paths<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Vec<&'a str> {
        nodes.into_iter().map(|node| node.path.as_str()).collect()
    }

    #[test]
    fn a_directory_comes_directly_before_its_content() {
        let tree = tree(
            &["foo.txt", "foo/b", "foo-bar", "foo/a/c", "foo0"],
            &["foo", "foo/a"],
        )
        .unwrap();
        // Bytewise `-` and `.` sort before `/`, but the daemon compares component by component.
        let order = ["foo", "foo/a", "foo/a/c", "foo/b", "foo-bar", "foo.txt", "foo0"];
        assert_eq!(paths(tree.nodes()), order);
    }

    #[test]
    fn missing_directories_are_added_once() {
        let tree = tree(&["a/b/c/1", "a/b/c/2", "a/b/d/1", "a/z", "e"], &["a/b/empty"]).unwrap();
        let order = [
            "a",
            "a/b",
            "a/b/c",
            "a/b/c/1",
            "a/b/c/2",
            "a/b/d",
            "a/b/d/1",
            "a/b/empty",
            "a/z",
            "e",
        ];
        assert_eq!(paths(tree.nodes()), order);
        assert!(
            tree.get("a/b")
                .is_some_and(|node| node.is_dir && node.entry.is_none())
        );
    }

    #[test]
    fn children_are_those_directly_inside() {
        let tree = tree(&["a/x/1", "a/y", "ab", "b"], &[]).unwrap();
        assert_eq!(paths(tree.children("a")), ["a/x", "a/y"]);
        assert_eq!(paths(tree.children("")), ["a", "ab", "b"]);
        assert_eq!(paths(tree.children("b")), Vec::<&str>::new());
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(tree(&["a", "a/b"], &[]).unwrap_err().report().contains("twice"));
        assert!(tree(&["a", "a"], &[]).is_err());
        assert!(tree(&["../a"], &[]).is_err());
        assert!(tree(&["/a"], &[]).is_err());
    }
}
