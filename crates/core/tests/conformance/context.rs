//! Build contexts and ignore rules, compared with what BuildKit answers.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are no test functions to clippy"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde::Deserialize;
use wharf_core::context::DockerfileSource;
use wharf_core::{BuildContext, ContextEntry, ErrorKind, IgnoreRules, Result};

#[derive(Deserialize)]
struct Cases<T> {
    cases: Vec<T>,
}

#[derive(Deserialize)]
struct Tree {
    name: String,
    tree: Vec<Node>,
    dockerignore: Option<String>,
    buildkit_included: Option<Vec<String>>,
    buildkit_error: Option<String>,
    buildkit_agrees: Option<bool>,
    sent_own_dockerfile: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Node {
    Path(String),
    Link { path: String, target: String },
}

#[derive(Deserialize)]
struct Question {
    name: String,
    patterns: Vec<String>,
    path: String,
    expected: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    case: String,
    reason: String,
}

/// How a case deviates, by the case.
type Found = BTreeMap<String, String>;

fn read<T: for<'de> Deserialize<'de>>(file: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/conformance")
        .join(file);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Fails on a deviation that is not listed, and on a listed one of this file of cases that is none.
fn judge(file: &str, cases: usize, found: &Found) {
    println!("{file}: {cases} cases, {} deviations", found.len());
    let listed: Vec<Deviation> = read("context_deviations.json");
    assert!(
        listed.iter().all(|deviation| !deviation.reason.is_empty()),
        "a deviation without a reason"
    );
    let listed: BTreeSet<&str> = listed.iter().map(|deviation| deviation.case.as_str()).collect();
    let unlisted = found.iter().filter(|(case, _)| !listed.contains(case.as_str()));
    let unlisted: Vec<String> = unlisted.map(|(case, how)| format!("{case}\n    {how}")).collect();
    assert!(
        unlisted.is_empty(),
        "unlisted deviations:\n{}",
        unlisted.join("\n")
    );
    let agree = listed
        .iter()
        .filter(|case| case.starts_with(file) && !found.contains_key(**case));
    let agree: Vec<_> = agree.collect();
    assert!(agree.is_empty(), "listed as deviations, but agree: {agree:?}");
}

fn grow(root: &Path, case: &Tree) {
    for node in &case.tree {
        match node {
            Node::Path(path) if path.ends_with('/') => fs::create_dir_all(root.join(path)).unwrap(),
            Node::Path(path) => {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "one line\n").unwrap();
            }
            Node::Link { path, target } => {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                symlink(target, path).unwrap();
            }
        }
    }
    if let Some(text) = &case.dockerignore {
        fs::write(root.join(".dockerignore"), text).unwrap();
    }
}

fn names(entries: &[ContextEntry]) -> Vec<String> {
    entries.iter().map(ContextEntry::display_name).collect()
}

/// Where the answer is not the recorded one: what it is.
fn compare(answer: Result<Vec<ContextEntry>>, case: &Tree) -> Option<String> {
    match (answer, &case.buildkit_included) {
        (Ok(entries), Some(expected)) => {
            let mut names = names(&entries);
            names.sort();
            let mut expected = expected.clone();
            expected.sort();
            (names != expected).then(|| format!("expected {expected:?}, got {names:?}"))
        }
        (Err(error), None) => {
            assert!(case.buildkit_error.is_some());
            let names_the_file =
                error.message().contains(".dockerignore") && error.message().contains("line ");
            let good = error.kind() == ErrorKind::InvalidInput && names_the_file && error.hint().is_some();
            (!good).then(|| format!("a poor error: {}", error.report()))
        }
        (Ok(entries), None) => Some(format!("expected an error, got {:?}", names(&entries))),
        (Err(error), Some(_)) => Some(format!("unexpected error: {}", error.report())),
    }
}

/// Directories left aside: the CLI does not send a directory that is left out and holds something that is not.
fn compare_archive(context: &BuildContext, expected: &[String]) -> Option<String> {
    let entries = match context.archive_entries() {
        Ok(entries) => entries,
        Err(error) => return Some(format!("no archive: {}", error.report())),
    };
    let sent: BTreeSet<String> = names(&entries)
        .into_iter()
        .filter(|name| !name.ends_with('/'))
        .collect();
    let expected: BTreeSet<String> = expected
        .iter()
        .filter(|name| !name.ends_with('/'))
        .cloned()
        .collect();
    (sent != expected).then(|| format!("archive: expected {expected:?}, got {sent:?}"))
}

#[test]
fn every_tree_is_read_as_buildkit_reads_it() {
    let cases: Cases<Tree> = read("dockerignore.json");
    let mut found = Found::new();
    for case in &cases.cases {
        let root = tempfile::tempdir().unwrap();
        grow(root.path(), case);
        let outside = DockerfileSource::Bytes {
            name: "the-dockerfile-of-the-test".into(),
            content: "FROM scratch\nCOPY . /ctx/\n".into(),
        };
        let context = BuildContext::new(root.path()).with_dockerfile(outside);
        let mut how = compare(context.files(), case);
        if let (None, Some(true), Some(expected)) = (&how, case.buildkit_agrees, &case.sent_own_dockerfile) {
            how = compare_archive(&BuildContext::new(root.path()), expected);
        }
        found.extend(how.map(|how| (format!("dockerignore/{}", case.name), how)));
    }
    assert_eq!(cases.cases.len(), 294);
    judge("dockerignore", cases.cases.len(), &found);
}

#[test]
fn every_pattern_matches_what_the_library_matches() {
    let cases: Cases<Question> = read("pattern_match.json");
    let mut found = Found::new();
    for case in &cases.cases {
        let answer = IgnoreRules::from_patterns(&case.patterns).and_then(|rules| rules.excludes(&case.path));
        let answer = answer.ok();
        if answer != case.expected {
            let how = format!("expected {:?}, got {answer:?}", case.expected);
            found.insert(format!("pattern_match/{}", case.name), how);
        }
    }
    assert_eq!(cases.cases.len(), 793);
    judge("pattern_match", cases.cases.len(), &found);
}
