//! Which paths of a directory the daemon gets to see.

use wharf_core::context::MatchedRules;
use wharf_core::{Error, ErrorKind, IgnoreRules, Result};

use super::follow;
use super::metadata::Wanted;
use super::source::SyncEntry;
use super::tree::{Node, Tree, is_inside};

/// The places in the tree of what is to be sent, in sending order: what matches, and the directories on the way
/// there.
///
/// A path matches when an include pattern (if there is any) matches it or a directory above it, and the last
/// exclude pattern that does so has a `!`, or there is none. Both lists are read as an ignore file's rules.
pub(crate) fn select(tree: &Tree, entries: &[SyncEntry], wanted: &Wanted) -> Result<Vec<usize>> {
    let filter = Filter::new(&includes(tree, entries, wanted), &wanted.exclude)?;
    let mut selected = Vec::new();
    let mut parents: Vec<Parent> = Vec::new();
    for (place, node) in tree.nodes().iter().enumerate() {
        while let Some(last) = parents.last()
            && !is_inside(&node.path, &tree.nodes()[last.place].path)
        {
            parents.pop();
        }
        let (wanted, matched) = filter.judge(node, parents.last())?;
        if wanted {
            // These directories matched nothing, and are there for what is in them.
            let unsent = parents.iter_mut().filter(|parent| !parent.sent);
            selected.extend(unsent.map(|parent| {
                parent.sent = true;
                parent.place
            }));
            selected.push(place);
        }
        if node.is_dir {
            parents.push(Parent {
                place,
                sent: wanted,
                matched,
            });
        }
    }
    Ok(selected)
}

/// A directory that a path lies in.
struct Parent {
    place: usize,
    sent: bool,
    matched: Matched,
}

/// Which patterns matched a directory.
#[derive(Default)]
struct Matched {
    include: MatchedRules,
    exclude: MatchedRules,
}

struct Filter {
    /// None: everything.
    include: Option<IgnoreRules>,
    exclude: IgnoreRules,
}

impl Filter {
    fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        let include = rules(include)?;
        Ok(Self {
            include: (!include.is_empty()).then_some(include),
            exclude: rules(exclude)?,
        })
    }

    fn judge(&self, node: &Node, parent: Option<&Parent>) -> Result<(bool, Matched)> {
        let root = Matched::default();
        let above = parent.map_or(&root, |parent| &parent.matched);
        let (included, include) = match &self.include {
            Some(include) => include.excludes_below(&node.path, &above.include)?,
            None => (true, MatchedRules::default()),
        };
        let (excluded, exclude) = self.exclude.excludes_below(&node.path, &above.exclude)?;
        Ok((included && !excluded, Matched { include, exclude }))
    }
}

fn rules(patterns: &[String]) -> Result<IgnoreRules> {
    IgnoreRules::from_patterns(patterns).map_err(|error| {
        Error::new(
            ErrorKind::InvalidInput,
            "the daemon asks for files by a pattern that is not valid",
        )
        .with_source(error)
    })
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
            exclude: strings(&["**/*.pyc"]),
            follow: strings(&["src"]),
            ..Wanted::default()
        };
        assert_eq!(
            selected(&["src/a.py", "src/a.pyc", "x.py"], &wanted),
            ["src", "src/a.py"]
        );
    }

    #[test]
    fn patterns_are_asked_as_in_a_walk() {
        // The last pattern is not asked about `d.d`, which is out already, and so does not count below it.
        let wanted = Wanted {
            exclude: strings(&["*.d", "!d.d/f", "d.d"]),
            ..Wanted::default()
        };
        assert_eq!(selected(&["d.d/f", "d.d/g"], &wanted), ["d.d", "d.d/f"]);
    }

    #[test]
    fn an_invalid_pattern_is_named() {
        let wanted = Wanted {
            include: strings(&["a[b"]),
            ..Wanted::default()
        };
        let entries = [];
        let error = select(&Tree::new(&entries).unwrap(), &entries, &wanted).unwrap_err();
        assert!(error.report().contains("a[b"), "{}", error.report());
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
