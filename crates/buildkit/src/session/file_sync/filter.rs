//! Which paths of a directory the daemon gets to see.

use wharf_core::Result;

use super::follow;
use super::metadata::Wanted;
use super::patterns::Patterns;
use super::source::SyncEntry;
use super::tree::{Tree, is_inside};

/// The places in the tree of what is to be sent, in sending order: what matches, and the directories on the way
/// there.
///
/// A path matches when an include pattern (if there is any) matches it or a directory above it, and the last
/// exclude pattern that does so has a `!`, or there is none.
pub(crate) fn select(tree: &Tree, entries: &[SyncEntry], wanted: &Wanted) -> Result<Vec<usize>> {
    let include = Patterns::new(&includes(tree, entries, wanted))?;
    let exclude = Patterns::new(&wanted.exclude)?;
    let matches = |path: &str| {
        include.as_ref().is_none_or(|include| include.matches(path))
            && !exclude.as_ref().is_some_and(|exclude| exclude.matches(path))
    };
    let mut selected = Vec::new();
    let mut parents: Vec<usize> = Vec::new();
    for (place, node) in tree.nodes().iter().enumerate() {
        while parents
            .last()
            .is_some_and(|last| !is_inside(&node.path, &tree.nodes()[*last].path))
        {
            parents.pop();
        }
        if matches(&node.path) {
            // These directories matched nothing, and are there for what is in them.
            selected.append(&mut parents);
            selected.push(place);
        } else if node.is_dir {
            parents.push(place);
        }
    }
    Ok(selected)
}

fn includes(tree: &Tree, entries: &[SyncEntry], wanted: &Wanted) -> Vec<String> {
    let mut include = wanted.include.clone();
    if !wanted.follow.is_empty() {
        include.extend(
            follow::resolve(tree, entries, &wanted.follow)
                .into_iter()
                .flatten(),
        );
    }
    include
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::session::file_sync::source::SyncKind;

    fn selected(files: &[&str], wanted: &Wanted) -> Vec<String> {
        let entry = |path: &&str| SyncEntry {
            path: path.into(),
            kind: SyncKind::File,
            mode: 0,
            size: 0,
            modified: SystemTime::UNIX_EPOCH,
        };
        let entries: Vec<_> = files.iter().map(entry).collect();
        let tree = Tree::new(&entries).unwrap();
        let places = select(&tree, &entries, wanted).unwrap();
        places
            .into_iter()
            .map(|place| tree.nodes()[place].path.clone())
            .collect()
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn directories_are_sent_for_what_is_in_them() {
        let wanted = Wanted {
            include: strings(&["a/b/keep", "d"]),
            ..Wanted::default()
        };
        let found = selected(&["a/b/keep", "a/b/other", "a/c/x", "d/e/f", "z"], &wanted);
        assert_eq!(found, ["a", "a/b", "a/b/keep", "d", "d/e", "d/e/f"]);
    }

    #[test]
    fn an_exception_brings_its_directories_back() {
        let wanted = Wanted {
            exclude: strings(&["a", "!a/b/keep"]),
            ..Wanted::default()
        };
        let found = selected(&["a/b/keep", "a/b/other", "a/c", "d"], &wanted);
        assert_eq!(found, ["a", "a/b", "a/b/keep", "d"]);
    }

    #[test]
    fn excludes_take_from_what_is_included() {
        let wanted = Wanted {
            exclude: strings(&["src/a.pyc"]),
            follow: strings(&["src"]),
            ..Wanted::default()
        };
        assert_eq!(
            selected(&["src/a.py", "src/a.pyc", "x.py"], &wanted),
            ["src", "src/a.py"]
        );
    }

    #[test]
    fn no_patterns_mean_everything() {
        let all = Wanted {
            follow: strings(&["."]),
            ..Wanted::default()
        };
        assert_eq!(selected(&["a/x", "b"], &Wanted::default()), ["a", "a/x", "b"]);
        assert_eq!(selected(&["a/x", "b"], &all), ["a", "a/x", "b"]);
    }
}
