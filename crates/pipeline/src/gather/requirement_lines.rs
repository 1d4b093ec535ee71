//! The lines of a requirements file: comments, continuations, and what a line says.

use std::borrow::Cow;

/// A line of a requirements file, together with the lines that it is continued on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogicalLine<'t> {
    /// The number of its first line, counted from 1.
    pub(super) number: usize,
    /// All of it, continuations and comment included, without the last line end.
    pub(super) raw: &'t str,
    /// Without comment and blanks around; continuations are still in it. Empty for a comment.
    pub(super) requirement: &'t str,
    /// Where in [`raw`](Self::raw) the comment begins.
    pub(super) comment: Option<usize>,
}

impl<'t> LogicalLine<'t> {
    /// The requirement on one line.
    pub(super) fn joined(&self) -> Cow<'t, str> {
        match self.requirement.contains('\\') {
            true => Cow::Owned(self.requirement.replace("\\\r\n", "").replace("\\\n", "")),
            false => Cow::Borrowed(self.requirement),
        }
    }
}

/// The logical lines of a text, empty ones included. A backslash at the end of a line continues it, unless the
/// line is a comment. A comment begins with `#`, at the start of a line or after a blank.
pub(super) fn logical_lines(text: &str) -> impl Iterator<Item = LogicalLine<'_>> {
    let mut rest = text;
    let mut number = 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = logical_end(rest);
        let raw = rest[..end].strip_suffix('\n').unwrap_or(&rest[..end]);
        let line = logical_line(raw.strip_suffix('\r').unwrap_or(raw), number);
        number += rest[..end].matches('\n').count();
        rest = &rest[end..];
        Some(line)
    })
}

fn logical_line(raw: &str, number: usize) -> LogicalLine<'_> {
    let comment = comment_start(raw);
    LogicalLine {
        number,
        raw,
        requirement: raw[..comment.unwrap_or(raw.len())].trim(),
        comment,
    }
}

/// Where the first logical line of a text ends, after its line end.
fn logical_end(text: &str) -> usize {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        end += line.len();
        let content = line.strip_suffix('\n').unwrap_or(line);
        let content = content.strip_suffix('\r').unwrap_or(content);
        if !content.ends_with('\\') || comment_start(content).is_some() {
            break;
        }
    }
    end
}

fn comment_start(line: &str) -> Option<usize> {
    line.match_indices('#')
        .map(|(at, _)| at)
        .find(|at| line[..*at].chars().next_back().is_none_or(char::is_whitespace))
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning<'t> {
    /// Nothing: it is empty or a comment.
    Nothing,
    /// `-r FILE`.
    Requirements(&'t str),
    /// `-c FILE`.
    Constraints(&'t str),
    /// `-e PROJECT`.
    Editable(&'t str),
    /// An option for the whole file, such as `--index-url`.
    Option,
    /// A package, with whatever belongs to it.
    Package(&'t str),
}

/// Reads a line that continues nowhere.
pub(super) fn meaning<'t>(line: &'t str) -> Meaning<'t> {
    type Make<'t> = fn(&'t str) -> Meaning<'t>;
    let file_options: [(&str, &str, Make<'t>); 3] = [
        ("-r", "--requirement", Meaning::Requirements),
        ("-c", "--constraint", Meaning::Constraints),
        ("-e", "--editable", Meaning::Editable),
    ];
    if line.is_empty() {
        return Meaning::Nothing;
    }
    for (short, long, meaning) in file_options {
        if let Some(value) = option_value(line, short, long) {
            return meaning(value);
        }
    }
    match line.starts_with('-') {
        true => Meaning::Option,
        false => Meaning::Package(line),
    }
}

/// The value of an option: `-r x`, `-rx`, `--requirement x`, `--requirement=x`.
fn option_value<'t>(line: &'t str, short: &str, long: &str) -> Option<&'t str> {
    let value = match line.strip_prefix(long) {
        Some(rest) => rest
            .strip_prefix('=')
            .or_else(|| rest.strip_prefix([' ', '\t']))?,
        None => line.strip_prefix(short).filter(|rest| !rest.starts_with('-'))?,
    };
    let value = value.trim();
    let unquoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Some(unquoted.unwrap_or(value)).filter(|value| !value.is_empty())
}

/// The name of the package that a line begins with, in its normal form: lower case, with single dashes. None
/// for a path or URL.
pub(super) fn package_name(requirement: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = requirement.find(|c| !allowed(c)).unwrap_or(requirement.len());
    let (name, rest) = requirement.split_at(end);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = rest.trim_start();
    let goes_on =
        rest.is_empty() || rest.starts_with(['=', '<', '>', '!', '~', ';', '@', '[', '(', ',', '-']);
    (begins && goes_on).then(|| normal_name(name))
}

/// The form in which names of packages are compared.
pub(super) fn normal_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.push(other.to_ascii_lowercase()),
        }
    }
    normal
}

/// What a line installs from this machine's disk: the path as the line says it, without a `file:` in front.
pub(super) fn local_path<'t>(meaning: &Meaning<'t>) -> Option<&'t str> {
    let target = match meaning {
        Meaning::Editable(target) => target,
        Meaning::Package(line) => *line,
        _ => return None,
    };
    let target = match target.split_once(" @ ").or_else(|| target.split_once("@ ")) {
        Some((name, url)) if package_name(name).is_some() => url.trim_start(),
        _ => target,
    };
    let target = target.split([';', ' ', '\t']).next().unwrap_or(target);
    let target = target.split('#').next().unwrap_or(target);
    if let Some(path) = target.strip_prefix("file:") {
        return Some(path.strip_prefix("//").unwrap_or(path)).filter(|path| path.starts_with('/'));
    }
    let remote = target.contains("://")
        || target
            .split_once('@')
            .is_some_and(|(user, host)| !user.contains('/') && host.contains(':'));
    if remote {
        return None;
    }
    let editable = matches!(meaning, Meaning::Editable(_));
    let path = target.split('[').next().unwrap_or(target);
    let archive = [".whl", ".tar.gz", ".zip"].iter().any(|end| path.ends_with(end));
    let looks = path.starts_with(['.', '/']) || path.contains('/') || archive;
    (editable || looks).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_continued_but_comments_are_not() {
        let text = "a==1 \\\n  --hash=x\r\n# c \\\nb # d \\\n\nc\\";
        let lines: Vec<_> = logical_lines(text)
            .map(|line| (line.number, line.requirement))
            .collect();
        assert_eq!(
            lines,
            [(1, "a==1 \\\n  --hash=x"), (3, ""), (4, "b"), (5, ""), (6, "c\\")]
        );
        assert_eq!(logical_lines(text).next().unwrap().joined(), "a==1   --hash=x");
    }

    #[test]
    fn a_number_sign_inside_a_url_is_no_comment() {
        let line = logical_lines("git+https://h/r#egg=r  # why").next().unwrap();
        assert_eq!(line.requirement, "git+https://h/r#egg=r");
    }

    #[test]
    fn options_have_many_forms() {
        for line in [
            "-r a.txt",
            "-ra.txt",
            "--requirement a.txt",
            "--requirement=a.txt",
            "-r 'a.txt'",
        ] {
            assert_eq!(meaning(line), Meaning::Requirements("a.txt"), "{line}");
        }
        assert_eq!(meaning("--constraint=c.txt"), Meaning::Constraints("c.txt"));
        assert_eq!(meaning("-e ."), Meaning::Editable("."));
        assert_eq!(meaning("--index-url x"), Meaning::Option);
        assert_eq!(meaning("--require-hashes"), Meaning::Option);
        assert_eq!(meaning("--requirements-x y"), Meaning::Option);
        assert_eq!(meaning(""), Meaning::Nothing);
    }

    #[test]
    fn names_are_normal() {
        for (line, name) in [
            ("Foo_Bar.baz==1", "foo-bar-baz"),
            ("torch ; x", "torch"),
            ("uvicorn[standard]>=1", "uvicorn"),
            ("pkg@ https://h", "pkg"),
            ("numpy", "numpy"),
        ] {
            assert_eq!(package_name(line).as_deref(), Some(name));
        }
        for line in ["./x", "/x", "https://h/x.whl", "git+https://h", "x/y", ""] {
            assert_eq!(package_name(line), None, "{line}");
        }
    }

    #[test]
    fn local_paths_are_found_in_every_form() {
        for (line, path) in [
            ("-e .", "."),
            ("-e ./pkg[extra]", "./pkg"),
            ("-e src", "src"),
            ("-e file:///a/b#egg=b", "/a/b"),
            ("../lib", "../lib"),
            ("libs/x-1.0-py3-none-any.whl", "libs/x-1.0-py3-none-any.whl"),
            ("x-1.0-py3-none-any.whl", "x-1.0-py3-none-any.whl"),
            ("x @ file:///a/x.whl ; python_version > '3'", "/a/x.whl"),
            ("file:///a/x", "/a/x"),
        ] {
            assert_eq!(local_path(&meaning(line)), Some(path), "{line}");
        }
        for line in [
            "numpy==1",
            "git+https://h/r.git@v1#egg=r",
            "https://h/x-1.0-py3-none-any.whl",
            "pkg @ https://h/p.tar.gz",
            "-e git+https://h/r#egg=r",
            "-e git@github.com:o/r.git",
            "-r x/y.txt",
            "tomli; python_version < \"3.11\"",
        ] {
            assert_eq!(local_path(&meaning(line)), None, "{line}");
        }
    }
}
