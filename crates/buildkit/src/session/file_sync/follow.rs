//! Symbolic links on the way to the paths the daemon wants.
//!
//! `COPY link/x /` needs the link and what it points to. The daemon cannot see the links, so it names the path
//! in `followpaths`, and the client adds every link it meets and the path behind it, within the root: a link
//! that leads out of the directory leads to its root, as it would in a chroot.

use std::collections::BTreeSet;

use super::glob;
use super::source::{SyncEntry, SyncKind};
use super::tree::{Node, Tree, compare, is_inside, parent};

/// The paths to be included so that each of `paths` can be reached; none means everything.
pub(crate) fn resolve(tree: &Tree, entries: &[SyncEntry], paths: &[String]) -> Option<Vec<String>> {
    let mut resolver = Resolver {
        tree,
        entries,
        resolved: BTreeSet::new(),
    };
    for path in paths {
        resolver.add(path);
    }
    without_nested(resolver.resolved)
}

struct Resolver<'a> {
    tree: &'a Tree,
    entries: &'a [SyncEntry],
    resolved: BTreeSet<String>,
}

impl Resolver<'_> {
    /// Walks along a path. A link ends the walk and begins another at what it points to; a link that was
    /// walked before ends it for good, so that circles end too.
    fn add(&mut self, path: &str) {
        let path = clean(path);
        let mut rest = path.as_str();
        let mut current = String::new();
        loop {
            let (name, after) = rest.split_once('/').unwrap_or((rest, ""));
            current = join(&current, name);
            rest = after;
            let targets = self.targets(&current);
            if rest.is_empty() || !targets.is_empty() {
                if !self.resolved.insert(current) {
                    return;
                }
                for target in targets {
                    self.add(&join(&target, rest));
                }
                return;
            }
        }
    }

    /// Where the link at a path points; where all links point that match a path whose last name has wildcards.
    fn targets(&self, path: &str) -> Vec<String> {
        let dir = parent(path);
        let name = &path[path.len().min(dir.len() + usize::from(!dir.is_empty()))..];
        if !glob::has_wildcards(name) {
            return self
                .tree
                .get(path)
                .and_then(|node| self.target(node))
                .into_iter()
                .collect();
        }
        let children = self.tree.children(dir);
        let matching = children.filter(|node| glob::matches(name, file_name(&node.path)));
        matching.filter_map(|node| self.target(node)).collect()
    }

    fn target(&self, node: &Node) -> Option<String> {
        let SyncKind::Symlink { target } = &self.entries[node.entry?].kind else {
            return None;
        };
        let target = target.to_string_lossy();
        Some(match target.starts_with('/') {
            true => target.into_owned(),
            false => format!("{}/{target}", parent(&node.path)),
        })
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn join(dir: &str, name: &str) -> String {
    match (dir, name) {
        ("", name) => name.to_owned(),
        (dir, "") => dir.to_owned(),
        (dir, name) => format!("{dir}/{name}"),
    }
}

/// The path without empty names, `.` and `..`, seen from the root; the root is empty.
fn clean(path: &str) -> String {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}

/// Leaves out what lies inside of another path of the set; nothing at all if the root is in it.
fn without_nested(paths: BTreeSet<String>) -> Option<Vec<String>> {
    if paths.contains("") {
        return None;
    }
    let mut sorted: Vec<String> = paths.into_iter().collect();
    sorted.sort_by(|a, b| compare(a, b));
    let mut out: Vec<String> = Vec::with_capacity(sorted.len());
    for path in sorted {
        if !out.last().is_some_and(|kept| is_inside(&path, kept)) {
            out.push(path);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// Paths, a link written as `path -> target`.
    fn follow(listing: &[&str], paths: &[&str]) -> Option<Vec<String>> {
        let entry = |line: &&str| {
            let (path, kind) = match line.split_once(" -> ") {
                Some((path, target)) => (
                    path,
                    SyncKind::Symlink {
                        target: target.into(),
                    },
                ),
                None => (*line, SyncKind::File),
            };
            SyncEntry {
                path: path.into(),
                kind,
                mode: 0,
                size: 0,
                modified: SystemTime::UNIX_EPOCH,
            }
        };
        let entries: Vec<_> = listing.iter().map(entry).collect();
        let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
        resolve(&Tree::new(&entries).unwrap(), &entries, &paths)
    }

    fn found(listing: &[&str], paths: &[&str]) -> Vec<String> {
        follow(listing, paths).expect("not everything")
    }

    #[test]
    fn plain_paths_stay() {
        assert_eq!(
            found(&["a/b", "c"], &["a/b", "/c", "missing/x"]),
            ["a/b", "c", "missing/x"]
        );
        assert_eq!(found(&["a/b"], &["a", "a/b", "a.b"]), ["a", "a.b"]);
    }

    #[test]
    fn links_are_followed_within_the_root() {
        let listing = [
            "dir/real/file",
            "dir/link -> real",
            "top -> /dir/link",
            "out -> ../../../dir",
        ];
        assert_eq!(
            found(&listing, &["top/file"]),
            ["dir/link", "dir/real/file", "top"]
        );
        assert_eq!(found(&listing, &["out/real"]), ["dir/real", "out"]);
    }

    #[test]
    fn circles_end() {
        assert_eq!(found(&["a -> b", "b -> a"], &["a/x"]), ["a", "b"]);
        assert_eq!(found(&["self -> self"], &["self"]), ["self"]);
    }

    #[test]
    fn wildcards_find_links() {
        let listing = [
            "lib/one -> /data/1",
            "lib/two",
            "lib/only -> ../data/2",
            "data/1",
            "data/2",
        ];
        assert_eq!(found(&listing, &["lib/o*"]), ["data/1", "data/2", "lib/o*"]);
        assert_eq!(found(&listing, &["lib/t?o"]), ["lib/t?o"]);
        // Only links are followed through a wildcard; what it finds besides is left to the include patterns.
        assert_eq!(found(&listing, &["l*/one"]), ["l*/one"]);
        assert_eq!(found(&["to -> lib", "lib/x"], &["t*/x"]), ["lib/x", "t*"]);
    }

    #[test]
    fn the_root_means_everything() {
        assert_eq!(follow(&["a"], &["."]), None);
        assert_eq!(follow(&["l -> ."], &["l"]), None);
        assert_eq!(follow(&["a"], &["a", "/"]), None);
    }
}
