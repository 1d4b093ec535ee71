//! All rules of one ignore file, in order.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::clean::clean;
use super::file::{self, LineTooLong, MAX_LINE};
use super::pattern::{BadPattern, Candidate, Pattern};
use crate::{Error, ErrorKind, Result};

/// What an ignore file leaves out of a build context, exactly as BuildKit reads it.
///
/// # Which file is read
///
/// 1. The file given with
///    [`BuildContext::with_ignore_file`](crate::context::BuildContext::with_ignore_file), or none after
///    [`BuildContext::without_ignore_file`](crate::context::BuildContext::without_ignore_file).
/// 2. `<Dockerfile>.dockerignore` beside the Dockerfile.
/// 3. `.dockerignore` in the root of the context.
///
/// The first one that exists is the only one: rules are never merged, and an ignore file further down in the
/// tree is a file like any other.
///
/// # How a line is read
///
/// 1. Lines end with a line feed; one carriage return before it is dropped, and so is a byte order mark at the
///    very beginning. A line of 64 KiB or more is an error.
/// 2. A line that begins with `#` is a comment. A space before the `#` makes it a pattern.
/// 3. White space around the line is dropped, and white space behind a leading `!`. Empty lines mean nothing.
/// 4. The pattern gets its shortest form: `./a//b/` is `a/b`, `a/..` is `.`. A leading slash is dropped.
///
/// # How a path is judged
///
/// 1. Paths are relative to the root, and everything is in until a rule says otherwise.
/// 2. Rules are taken in their order. A rule without `!` takes a path out, a rule with `!` takes it back in.
///    The last rule that matches wins.
/// 3. A rule that matched a directory matches everything below it.
/// 4. So a later `!` rule takes back a file out of a directory that an earlier rule took out. The directory
///    then comes with it.
/// 5. A rule is not asked where its answer could change nothing (`a` for a path that is out already, `!a` for
///    one that is in), and what was not asked about a directory does not count for what is below it.
/// 6. If no `!` rule has a wildcard (`*` or `**` as its last component is none), a directory that is out is
///    only entered if the text of a `!` rule, without that last component, begins with the directory's path.
///
/// # What a pattern matches
///
/// 1. `*` is any text without a slash, `?` any character but a slash. `**` is any number of directories, and at
///    the end of the pattern everything.
/// 2. `[a-z]`, `[^a-z]` is one character of a class, which may be a slash. A class that is empty or not closed,
///    and a `-` or `]` in it without a backslash before it, make the pattern invalid.
/// 3. A backslash takes the next character as it is. Before a letter or digit it has the meaning it has in a
///    regular expression of the Go language, which is rarely what was meant: `\d` is a digit, and `src\lib` is
///    invalid, which is only noticed when a path is compared with it.
/// 4. Everything else stands for itself; case matters.
#[derive(Debug, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
    file: Option<PathBuf>,
    text: Bytes,
    /// No `!` rule has a wildcard before its last component.
    plain_exceptions: bool,
}

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    /// Counted from 1; 0 for patterns that came from no file.
    line: u32,
}

/// Which rules matched a directory, by their index. Empty: nothing is known, as at the root.
pub(crate) type Matched = Vec<bool>;

/// Which rules matched a directory, for [`IgnoreRules::excludes_below`]. The default is for the root.
#[derive(Debug, Clone, Default)]
pub struct MatchedRules(Matched);

/// What the rules say about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) excluded: bool,
    /// The rule that decided, by its index.
    pub(crate) rule: Option<usize>,
}

impl IgnoreRules {
    /// No rules: everything is in.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The rules in the text of an ignore file; `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] names file, line and pattern if a line is too long or a pattern invalid.
    pub fn parse(text: impl Into<Bytes>, file: impl Into<PathBuf>) -> Result<Self> {
        let (text, file) = (text.into(), file.into());
        let lines = file::lines(&text).map_err(|LineTooLong(line)| {
            let message = format!(
                "line {line} of {} is longer than {MAX_LINE} bytes",
                file.display()
            );
            Error::new(ErrorKind::InvalidInput, message).with_hint("Break the line up.")
        })?;
        let mut rules = Self {
            file: Some(file),
            text,
            ..Self::default()
        };
        for line in lines {
            rules.push(&line.pattern, line.number)?;
        }
        rules.finish();
        Ok(rules)
    }

    /// The rules for patterns that came from elsewhere, for example BuildKit's `exclude-patterns`. They get
    /// their shortest form, but keep a leading slash, and then match nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] names the pattern that is invalid.
    pub fn from_patterns<P: AsRef<[u8]>>(patterns: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut rules = Self::default();
        for pattern in patterns {
            rules.push(pattern.as_ref(), 0)?;
        }
        rules.finish();
        Ok(rules)
    }

    fn push(&mut self, pattern: &[u8], line: u32) -> Result<()> {
        match Pattern::parse(pattern) {
            Ok(None) => Ok(()),
            Ok(Some(pattern)) => {
                self.rules.push(Rule { pattern, line });
                Ok(())
            }
            Err(BadPattern) => Err(self.bad_pattern(pattern, line)),
        }
    }

    fn finish(&mut self) {
        let plain = self.exceptions().all(Rule::is_plain);
        self.plain_exceptions = plain;
    }

    /// The file the rules came from.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The text of that file.
    #[must_use]
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The patterns in their shortest form, with their `!`, in the form in which BuildKit takes
    /// `exclude-patterns`. Bytes that are not UTF-8 are replaced.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.rules.iter().map(Rule::to_string)
    }

    /// The line, counted from 1, and the pattern of a rule.
    pub(crate) fn describe(&self, rule: usize) -> Option<(u32, String)> {
        self.rules.get(rule).map(|rule| (rule.line, rule.to_string()))
    }

    /// Whether a path is out, seen on its own: a rule that matches a parent of the path matches the path.
    ///
    /// While a tree is walked, a rule that could change nothing for a directory is not asked about it, and so
    /// the answer for what is below can differ in rare cases. The contents of a context always follow the
    /// walk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] names the pattern that turned out to be invalid.
    pub fn excludes(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref().as_os_str().as_bytes();
        let parents = parents(path);
        let (path, parents) = (
            Candidate::new(path),
            parents.iter().map(|parent| Candidate::new(parent)),
        );
        let parents: Vec<_> = parents.collect();
        let mut excluded = false;
        for rule in &self.rules {
            if rule.pattern.negated != excluded {
                continue;
            }
            let mut matched = self.ask(rule, &path)?;
            for parent in &parents {
                matched = matched || self.ask(rule, parent)?;
            }
            if matched {
                excluded = !rule.pattern.negated;
            }
        }
        Ok(excluded)
    }

    /// Whether a path is out, as a step of a walk: `directory` is what this method answered for the directory
    /// the path lies in. The second answer is for what lies below the path.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] names the pattern that turned out to be invalid.
    pub fn excludes_below(
        &self,
        path: impl AsRef<Path>,
        directory: &MatchedRules,
    ) -> Result<(bool, MatchedRules)> {
        let mut own = MatchedRules::default();
        let verdict = self.judge(path.as_ref().as_os_str(), &directory.0, &mut own.0)?;
        Ok((verdict.excluded, own))
    }

    /// Judges a path below a directory for which the answers are known, and writes the answers for the path.
    pub(crate) fn judge(&self, path: &OsStr, parent: &[bool], own: &mut Matched) -> Result<Verdict> {
        let mut verdict = Verdict {
            excluded: false,
            rule: None,
        };
        own.clear();
        if self.rules.is_empty() {
            return Ok(verdict);
        }
        let path = Candidate::new(path.as_bytes());
        for (index, rule) in self.rules.iter().enumerate() {
            let inherited = parent.get(index).copied().unwrap_or_default();
            let changes = rule.pattern.negated == verdict.excluded;
            let matched = inherited || (changes && self.ask(rule, &path)?);
            own.push(matched);
            if matched {
                verdict = Verdict {
                    excluded: !rule.pattern.negated,
                    rule: Some(index),
                };
            }
        }
        Ok(verdict)
    }

    /// Whether a rule behind the one that took this directory out can take something below it back in.
    pub(crate) fn may_take_back_below(&self, directory: &OsStr, by: Option<usize>) -> bool {
        let directory = directory.as_bytes();
        let behind = by.map_or(0, |by| by + 1);
        let reached = self.rules[behind..]
            .iter()
            .any(|rule| rule.pattern.negated && rule.pattern.reach.goes_below(directory));
        reached && (!self.plain_exceptions || self.exceptions().any(|rule| rule.begins_with(directory)))
    }

    fn exceptions(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.pattern.negated)
    }

    fn ask(&self, rule: &Rule, path: &Candidate<'_>) -> Result<bool> {
        rule.pattern.matches(path).map_err(|BadPattern| {
            self.bad_pattern(rule.to_string().as_bytes(), rule.line)
                .with_hint(
                    "A backslash before a letter or digit has a special meaning. Write paths with `/`.",
                )
        })
    }

    fn bad_pattern(&self, pattern: &[u8], line: u32) -> Error {
        let pattern = String::from_utf8_lossy(pattern);
        let message = match &self.file {
            Some(file) => format!(
                "line {line} of {} has an invalid pattern: {pattern}",
                file.display()
            ),
            None => format!("invalid ignore pattern: {pattern}"),
        };
        Error::new(ErrorKind::InvalidInput, message).with_hint(
            "Close every `[`, put a backslash before `-` and `]` inside of brackets, and a name behind every `!`.",
        )
    }
}

impl Rule {
    /// The pattern without a last component of `*` or `**`.
    fn stem(&self) -> &[u8] {
        let text = self.pattern.text.as_slice();
        let text = text.strip_suffix(b"/**").unwrap_or(text);
        text.strip_suffix(b"/*").unwrap_or(text)
    }

    fn is_plain(&self) -> bool {
        !self.stem().iter().any(|byte| br"*[]?^\".contains(byte))
    }

    fn begins_with(&self, directory: &[u8]) -> bool {
        match self.stem().strip_prefix(directory) {
            Some(rest) => rest.is_empty() || rest[0] == b'/',
            None => false,
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.pattern.negated { "!" } else { "" };
        write!(f, "{mark}{}", String::from_utf8_lossy(&self.pattern.text))
    }
}

/// The directories above a path, by its text, the topmost first.
fn parents(path: &[u8]) -> Vec<Vec<u8>> {
    let Some(slash) = path.iter().rposition(|byte| *byte == b'/') else {
        return Vec::new();
    };
    let parent = clean(&path[..=slash]);
    let ends = (0..parent.len())
        .filter(|at| parent[*at] == b'/')
        .chain([parent.len()]);
    ends.map(|end| parent[..end].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> IgnoreRules {
        IgnoreRules::parse(text.to_owned(), ".dockerignore").unwrap()
    }

    fn walk(rules: &IgnoreRules, path: &str) -> Verdict {
        let mut matched = Matched::new();
        let mut verdict = None;
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let parent = std::mem::take(&mut matched);
            verdict = Some(rules.judge(path[..end].as_ref(), &parent, &mut matched).unwrap());
        }
        verdict.unwrap()
    }

    #[test]
    fn the_last_rule_that_matches_wins_and_is_named() {
        let rules = rules("# all\n*\n!src\nsrc/*.log\n");
        let verdict = |excluded, rule| Verdict { excluded, rule };
        assert_eq!(walk(&rules, "README"), verdict(true, Some(0)));
        assert_eq!(walk(&rules, "src/a.py"), verdict(false, Some(1)));
        assert_eq!(walk(&rules, "src/a.log"), verdict(true, Some(2)));
        assert_eq!(rules.describe(2), Some((4, "src/*.log".to_owned())));
    }

    #[test]
    fn an_answer_that_was_not_needed_is_not_inherited() {
        // BuildKit's walk keeps `a/b` out: `!a` was not asked about the directory `a`, which was in anyway.
        let rules = rules("a/b\n!a\n");
        assert!(walk(&rules, "a/b").excluded);
        assert!(!rules.excludes("a/b").unwrap());
    }

    #[test]
    fn only_rules_behind_can_take_back() {
        let rules = rules("!data/keep\n*\n!src/*.py\n!**/x.txt\n");
        assert!(rules.may_take_back_below("data".as_ref(), Some(1)));
        let rules = self::rules("!data/keep\n*\n!src/*.py\n");
        assert!(!rules.may_take_back_below("data".as_ref(), Some(1)));
        assert!(rules.may_take_back_below("src".as_ref(), Some(1)));
        assert!(!rules.may_take_back_below("src/deep".as_ref(), Some(1)));
    }

    #[test]
    fn without_wildcards_the_text_of_exceptions_decides() {
        // A quirk of BuildKit that its users see: `a/*/**` counts as `a`, and `a/b` is not below it.
        let rules = rules("*\n!a/*/**\n");
        assert!(rules.may_take_back_below("a".as_ref(), Some(0)));
        assert!(!rules.may_take_back_below("a/b".as_ref(), Some(0)));
    }

    #[test]
    fn an_invalid_pattern_is_named_with_its_place() {
        let error = IgnoreRules::parse("a\n\n[b\n", "sub/x.dockerignore").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            error.to_string(),
            "line 3 of sub/x.dockerignore has an invalid pattern: [b"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_windows_path_is_an_error_only_when_it_is_used() {
        let rules = rules("src\\lib\n");
        let error = rules.excludes("a").unwrap_err();
        assert!(error.to_string().contains("src\\lib") && error.hint().unwrap().contains('/'));
        assert!(!self::rules("!src\\lib\n").excludes("a").unwrap());
    }

    type Enter = fn(&IgnoreRules, &OsStr, Option<usize>) -> bool;

    /// What is in of a tree with two names on each of four levels, and how many directories were looked at.
    fn included(rules: &IgnoreRules, directory: &str, parent: &[bool], enter: Enter) -> (Vec<String>, usize) {
        let (mut found, mut looked_at) = (Vec::new(), 1);
        for name in ["a", "ab"] {
            let path = format!("{directory}{name}");
            let mut matched = Matched::new();
            let verdict = rules.judge(path.as_ref(), parent, &mut matched).unwrap();
            if !verdict.excluded {
                found.push(path.clone());
            }
            let deepest = path.matches('/').count() == 3;
            if !deepest && (!verdict.excluded || enter(rules, path.as_ref(), verdict.rule)) {
                let (below, count) = included(rules, &format!("{path}/"), &matched, enter);
                found.extend(below);
                looked_at += count;
            }
        }
        (found, looked_at)
    }

    #[test]
    fn directories_that_are_not_entered_hold_nothing() {
        // BuildKit enters more: it only looks at the text, and only where no exception has a wildcard.
        let buildkit: Enter = |rules, directory, _| {
            let begins = |rule: &Rule| rule.begins_with(directory.as_bytes());
            !rules.plain_exceptions || rules.exceptions().any(begins)
        };
        let components = ["a", "ab", "*", "?", "a*", "**", "[^b]", "*b", "a"];
        let mut seed: usize = 7;
        let mut below = |limit: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % limit
        };
        let (mut ours, mut theirs) = (0, 0);
        for _ in 0..400 {
            let mut text = String::new();
            for _ in 0..=below(5) {
                let depth = 1 + below(4);
                let pattern: Vec<&str> = (0..depth).map(|_| components[below(components.len())]).collect();
                let mark = ["", "!"][below(2)];
                text += &format!("{mark}{}\n", pattern.join("/"));
            }
            let rules = self::rules(&text);
            let (found, count) = included(&rules, "", &[], IgnoreRules::may_take_back_below);
            let (expected, more) = included(&rules, "", &[], buildkit);
            assert_eq!(found, expected, "{text}");
            (ours, theirs) = (ours + count, theirs + more);
        }
        assert!(
            ours < theirs,
            "{ours} directories, {theirs} without looking ahead"
        );
    }
}
