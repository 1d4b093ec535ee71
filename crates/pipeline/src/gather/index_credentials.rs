//! Credentials in the URLs of package indexes, and how to keep them out of images.
//!
//! A requirements file may say `--extra-index-url https://user:password@host/simple`. Copied into an image, the
//! password is in the image for good. So each line with credentials is taken out of the text, and given as a
//! [`Secret`]: all these lines together are a requirements file of their own, which pip and uv both take with a
//! further `-r`, and which reaches the build as a secret that is mounted while packages are installed. A
//! comment without credentials takes the line's place, so that another index is another text.

use wharf_core::{Error, ErrorKind, Result, Secret};

use super::requirement_lines::{LogicalLine, logical_lines};

/// User names that stand for "the password is a token" or for a keyring, and are no secrets.
const PUBLIC_USERS: [&str; 7] = [
    "git",
    "aws",
    "oauth2",
    "oauth2accesstoken",
    "vsssessiontoken",
    "__token__",
    "_json_key_base64",
];

/// How the comment begins that stands where a line was taken out.
pub(super) const SECRET_MARK: &str = "# from a build secret: ";

/// What takes the place of a user name and password in texts for people.
const HIDDEN: &str = "***";

/// A requirements text, and the lines of it that must not be in an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitRequirements {
    /// The text without credentials. A comment stands where a line was taken out.
    pub text: String,
    /// The lines that were taken out, in their order. Joined by line ends they are a requirements file.
    pub secret_lines: Vec<Secret>,
}

/// What a requirements text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Its packages are installed.
    Requirements,
    /// Its packages are only bounds for others.
    Constraints,
}

/// Takes the lines with credentials out of a requirements text.
///
/// `${NAME}` in the place of a user name or password is replaced by what `variable` says, as pip does when it
/// reads the file; a name it does not know stays in the text. Credentials in comments are overwritten.
#[must_use]
pub fn split_requirements(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> SplitRequirements {
    let mut split = SplitRequirements::default();
    for line in logical_lines(text) {
        match secret_line(&line, variable) {
            Some(secret) => {
                split.text.push_str(&secret_mark(line.requirement));
                split.text.push('\n');
                split.secret_lines.push(Secret::new(secret));
            }
            None => split.text.push_str(&without_comment_credentials(&line)),
        }
    }
    if !text.ends_with('\n') {
        split.text.truncate(split.text.trim_end_matches('\n').len());
    }
    split
}

/// The comment that stands for a secret line.
pub(crate) fn secret_mark(line: &str) -> String {
    format!("{SECRET_MARK}{}", hide_credentials(line))
}

/// What of a secret text could show up in a log: its lines, and the logins and passwords in them.
pub(crate) fn printable_parts(secret: &Secret) -> Vec<Secret> {
    let text = secret.expose();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let logins = logins(text).filter(Login::is_secret).flat_map(|login| {
        let password = login.text.split_once(':').map_or("", |(_, password)| password);
        [login.text, password]
    });
    let netrc = lines.clone().filter_map(|line| line.strip_prefix("password "));
    let parts = lines.chain(logins).chain(netrc);
    parts.filter(|part| !part.is_empty()).map(Secret::new).collect()
}

/// [`split_requirements`] for a file with a role: the bounds of a constraints file cannot be taken out, since as
/// part of a requirements file they would be installed.
pub(super) fn split_file(
    text: &str,
    role: Role,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<SplitRequirements> {
    let bound = logical_lines(text)
        .find(|line| !line.requirement.starts_with('-') && secret_line(line, variable).is_some());
    match (role, bound) {
        (Role::Constraints, Some(line)) => {
            let shown = hide_credentials(line.requirement);
            let message = format!("the constraint `{shown}` has credentials in it");
            Err(Error::new(ErrorKind::InvalidInput, message)
                .with_context("line", line.number.to_string())
                .with_hint("Move it to the requirements, where it can become a build secret."))
        }
        _ => Ok(split_requirements(text, variable)),
    }
}

/// Takes an argument of a package installer out, if its value has credentials: what is given back is the line
/// of a requirements file that says the same.
///
/// ```
/// # use wharf_pipeline::gather::index_credentials::secret_argument;
/// let line = secret_argument("extra-index-url", "https://me:pw@pypi.example.com/simple");
/// assert_eq!(line.unwrap().expose(), "--extra-index-url https://me:pw@pypi.example.com/simple");
/// assert!(secret_argument("extra-index-url", "https://pypi.example.com/simple").is_none());
/// ```
#[must_use]
pub fn secret_argument(name: &str, value: &str) -> Option<Secret> {
    let name = name.trim_start_matches('-').replace('_', "-");
    has_credentials(value).then(|| Secret::new(format!("--{name} {value}")))
}

/// Whether a text has a URL with a password or a token in it.
///
/// A user name alone counts as a token in `http` URLs, unless it is one of the names that services give to
/// everybody, such as `git` and `oauth2accesstoken`, or the owner of what the URL names, as in
/// `https://org@dev.azure.com/org/…`.
#[must_use]
pub fn has_credentials(text: &str) -> bool {
    logins(text).any(|login| login.is_secret())
}

/// The text with the credentials of every URL in it overwritten, for messages.
#[must_use]
pub fn hide_credentials(text: &str) -> String {
    replace_logins(text, |login| login.is_secret().then(|| HIDDEN.to_owned()))
}

/// A URL without user name and password, if it has any.
#[must_use]
pub fn without_login(url: &str) -> String {
    match logins(url).next() {
        Some(login) => format!("{}{}", &url[..login.start], &url[login.end + 1..]),
        None => url.to_owned(),
    }
}

/// The line with its variables filled in, if there are credentials in it then.
fn secret_line(line: &LogicalLine<'_>, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let joined = line.joined();
    let filled = replace_logins(&joined, |login| Some(fill(login.text, variable)));
    has_credentials(&filled).then_some(filled)
}

/// Replaces `${NAME}`; names are upper case as in pip's files, and one that is not known stays.
pub(super) fn fill(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let value = rest
            .find('}')
            .and_then(|end| Some((end, variable(placeholder(&rest[2..end])?)?)));
        match value {
            Some((end, value)) => {
                filled.push_str(&value);
                rest = &rest[end + 1..];
            }
            None => {
                filled.push_str("${");
                rest = &rest[2..];
            }
        }
    }
    filled + rest
}

fn placeholder(name: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (!name.is_empty() && name.bytes().all(allowed)).then_some(name)
}

fn without_comment_credentials(line: &LogicalLine<'_>) -> String {
    match line.comment {
        Some(at) => {
            let (before, comment) = line.raw.split_at(at);
            format!("{before}{}\n", hide_credentials(comment))
        }
        None => format!("{}\n", line.raw),
    }
}

/// The user name and password of a URL inside a text.
#[derive(Debug, Clone, Copy)]
struct Login<'t> {
    text: &'t str,
    scheme: &'t str,
    /// The first part of the path.
    owner: &'t str,
    start: usize,
    /// Where the `@` is.
    end: usize,
}

impl Login<'_> {
    fn is_secret(&self) -> bool {
        let (user, password) = match self.text.split_once(':') {
            Some((user, password)) => (user, password),
            None => (self.text, ""),
        };
        if !password.is_empty() {
            // `${TOKEN}` that nobody filled in is no secret, and neither is what was overwritten.
            return !is_open(password) && password != HIDDEN;
        }
        let http = self.scheme.ends_with("http") || self.scheme.ends_with("https");
        let public = PUBLIC_USERS
            .iter()
            .chain([&self.owner])
            .any(|public| public.eq_ignore_ascii_case(user));
        http && !user.is_empty() && !public && !is_open(user) && user != HIDDEN
    }
}

fn is_open(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|text| text.strip_suffix('}'))
        .is_some_and(|name| placeholder(name).is_some())
}

/// The logins of all URLs in a text, in their order.
fn logins(text: &str) -> impl Iterator<Item = Login<'_>> {
    text.match_indices("://").filter_map(|(at, mark)| {
        let start = at + mark.len();
        let authority = text[start..]
            .split(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | ',') || c.is_whitespace())
            .next()?;
        // A password may hold an `@`, a host may not.
        let end = start + authority.rfind('@')?;
        let scheme = text[..at]
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .next()?;
        let path = text[start + authority.len()..]
            .strip_prefix('/')
            .unwrap_or_default();
        Some(Login {
            text: &text[start..end],
            scheme,
            owner: path.split('/').next().unwrap_or_default(),
            start,
            end,
        })
    })
}

fn replace_logins(text: &str, replacement: impl Fn(&Login<'_>) -> Option<String>) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut done = 0;
    for login in logins(text) {
        if let Some(new) = replacement(&login) {
            replaced.push_str(&text[done..login.start]);
            replaced.push_str(&new);
            done = login.end;
        }
    }
    replaced + &text[done..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (String, Vec<String>) {
        let split = split_requirements(text, &|name| (name == "TOKEN").then(|| "t0ken".to_owned()));
        let lines = split.secret_lines.iter().map(|line| line.expose().to_owned());
        (split.text, lines.collect())
    }

    #[test]
    fn lines_with_credentials_leave_the_text() {
        let text = "numpy==1\n--extra-index-url https://u:p@ss@h/simple  # mine\npandas\n";
        let (public, secret) = split(text);
        assert_eq!(
            public,
            "numpy==1\n# from a build secret: --extra-index-url https://***@h/simple\npandas\n"
        );
        assert_eq!(secret, ["--extra-index-url https://u:p@ss@h/simple"]);
    }

    #[test]
    fn every_kind_of_url_is_seen() {
        for line in [
            "-i https://u:p@h/s",
            "--index-url=https://tok3n@h/s",
            "--find-links 'http://u:p@h/'",
            "pkg @ https://u:p@h/x.whl ; python_version > '3'",
            "git+https://ghp_x@github.com/o/r.git@v1#egg=r",
            "git+ssh://u:p@h/r",
            "--extra-index-url https://:p@h:8080",
        ] {
            let (public, secret) = split(line);
            assert_eq!(secret, [line]);
            assert!(public.starts_with('#') && !has_credentials(&public), "{public}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "--index-url https://h/simple\n",
            "git+ssh://git@github.com/o/r.git",
            "git+https://git@github.com/o/r@main",
            "git+https://org@dev.azure.com/org/p/_git/r",
            "-i https://oauth2accesstoken@europe-python.pkg.dev/p/r/simple/",
            "pkg @ https://h/a@b/x.whl\r\n",
            "-e git@github.com:o/r.git#egg=r",
            "--extra-index-url https://${OTHER}@h/s",
            "--extra-index-url https://u:${OTHER}@h/s",
            "",
            "a\n\n\nb",
        ] {
            assert_eq!(split(text), (text.replace("\r\n", "\n"), Vec::new()));
        }
    }

    #[test]
    fn variables_in_a_login_are_filled_in() {
        let (public, secret) = split("-i https://u:${TOKEN}@h/${TOKEN}\n");
        assert_eq!(secret, ["-i https://u:t0ken@h/${TOKEN}"]);
        assert!(!public.contains("t0ken"));
        let (_, secret) = split("-i https://${TOKEN}@h");
        assert_eq!(secret, ["-i https://t0ken@h"]);
    }

    #[test]
    fn a_continued_line_leaves_whole() {
        let (public, secret) =
            split("a @ https://u:p@h/a.whl \\\n    --hash=sha256:1 \\\n  --hash=sha256:2\nb");
        assert_eq!(
            secret,
            ["a @ https://u:p@h/a.whl     --hash=sha256:1   --hash=sha256:2"]
        );
        assert!(
            !public.contains("--hash=sha256:2\n--") && public.ends_with("\nb"),
            "{public}"
        );
        assert!(!public.contains("u:p"));
    }

    #[test]
    fn comments_lose_their_credentials_and_stay_comments() {
        let (public, secret) = split("# -i https://u:p@h\nnumpy # see https://u:p@h/x\n");
        assert_eq!(public, "# -i https://***@h\nnumpy # see https://***@h/x\n");
        assert!(secret.is_empty());
    }

    #[test]
    fn a_bound_with_credentials_is_refused() {
        let split = |text| split_file(text, Role::Constraints, &|_| None);
        let error = split("a==1\nb @ https://u:hunter2@h/b.whl").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!error.report().contains("hunter2") && error.report().contains("line: 2"));
        assert_eq!(split("-i https://u:p@h\na==1").unwrap().secret_lines.len(), 1);
    }

    #[test]
    fn every_part_of_a_secret_is_known() {
        let parts = |text: &str| {
            let parts = printable_parts(&Secret::new(text));
            parts
                .iter()
                .map(|part| part.expose().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            parts("-i https://me:pw@h/s\n-f https://t0ken@h\n"),
            [
                "-i https://me:pw@h/s",
                "-f https://t0ken@h",
                "me:pw",
                "pw",
                "t0ken"
            ]
        );
        let netrc = parts("machine h\nlogin me\npassword hunter2\n");
        assert_eq!(netrc.last().map(String::as_str), Some("hunter2"));
    }

    #[test]
    fn hiding_and_removing_touch_the_login_alone() {
        assert_eq!(
            hide_credentials("x=https://u:p@h/s, https://***@h git+ssh://git@h"),
            "x=https://***@h/s, https://***@h git+ssh://git@h"
        );
        assert_eq!(without_login("https://u:p@h:8/a@b"), "https://h:8/a@b");
        assert_eq!(without_login("ssh://git@h/r"), "ssh://h/r");
        assert_eq!(without_login("/a/b"), "/a/b");
    }
}
