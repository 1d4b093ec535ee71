//! The logins of this machine for package indexes, as pip and uv find them themselves.
//!
//! | where | for |
//! | --- | --- |
//! | `UV_INDEX_<NAME>_USERNAME` and `UV_INDEX_<NAME>_PASSWORD` | an index that the settings name: `index: name=https://…` |
//! | the file that `NETRC` names, else `.netrc` in the home directory | every host in it |
//!
//! Only the hosts that an image's settings and requirements name are looked up, and only their logins reach the
//! build: as a secret file in netrc's format, which both installers read.

use std::path::PathBuf;

use wharf_core::Secret;

use super::ToolEnvironment;
use super::requirement_lines::logical_lines;
use crate::inputs::{IndexLogin, IndexPlace};

/// Variables of an image that say where packages are.
pub(crate) const PLACE_VARIABLES: [&str; 8] = [
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX",
    "UV_INDEX_URL",
];

/// The places that a text names by `http` URLs which have no login in them. Comments do not count.
pub(crate) fn places(text: &str) -> Vec<IndexPlace> {
    let lines = logical_lines(text).map(|line| line.joined());
    let mut found: Vec<IndexPlace> = Vec::new();
    for line in lines {
        let words = line.split(|c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\''));
        for place in words.filter_map(place) {
            if !found.contains(&place) {
                found.push(place);
            }
        }
    }
    found
}

fn place(word: &str) -> Option<IndexPlace> {
    let (before, after) = word.split_once("://")?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let scheme = before.rsplit(|c| !is_part(c)).next()?;
    let authority = after.split(['/', '?', '#']).next()?;
    if !matches!(scheme, "http" | "https") || authority.contains('@') {
        return None;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => authority.split(':').next()?,
    };
    let name = before[..before.len() - scheme.len()].strip_suffix('=');
    let name = name.filter(|name| !name.is_empty() && !name.starts_with('-'));
    Some(IndexPlace {
        name: name.map(str::to_owned),
        host: Some(host.to_ascii_lowercase()).filter(|host| !host.is_empty())?,
    })
}

/// The login for an index, if this machine has one. A file that cannot be read has none, as for pip and uv.
pub(super) fn login(tools: &ToolEnvironment, place: &IndexPlace) -> Option<IndexLogin> {
    from_variables(tools, place).or_else(|| {
        let text = std::fs::read_to_string(netrc_path(tools)?).ok()?;
        in_netrc(&text, &place.host)
    })
}

fn from_variables(tools: &ToolEnvironment, place: &IndexPlace) -> Option<IndexLogin> {
    let name = place.name.as_deref()?;
    let upper = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(upper).collect();
    let variable = |what: &str| tools.text(&format!("UV_INDEX_{name}_{what}"));
    let (user, password) = (variable("USERNAME"), variable("PASSWORD"));
    (user.is_some() || password.is_some()).then(|| IndexLogin {
        user: user.unwrap_or_default().to_owned(),
        password: Secret::new(password.unwrap_or_default()),
    })
}

fn netrc_path(tools: &ToolEnvironment) -> Option<PathBuf> {
    match tools.variable("NETRC") {
        Some(path) => Some(tools.directory().join(path)),
        None => Some(PathBuf::from(tools.variable("HOME")?).join(".netrc")),
    }
}

/// The login for a host. The first entry counts, as for curl; `default` is for people who type.
fn in_netrc(text: &str, host: &str) -> Option<IndexLogin> {
    let mut words = words(text).into_iter();
    let mut found: Option<IndexLogin> = None;
    while let Some(word) = words.next() {
        match (word.as_str(), &mut found) {
            ("machine" | "default", Some(_)) => break,
            ("machine", None) => {
                let is_wanted = words.next().is_some_and(|name| name.eq_ignore_ascii_case(host));
                found = is_wanted.then(|| IndexLogin {
                    user: String::new(),
                    password: Secret::new(""),
                });
            }
            ("login" | "user", Some(login)) => login.user = words.next().unwrap_or_default(),
            ("password", Some(login)) => login.password = Secret::new(words.next().unwrap_or_default()),
            _ => {}
        }
    }
    found
}

/// The words of a netrc file. Double quotes hold a word together, a backslash protects the next character, `#` in
/// front of a word begins a comment, and a macro reaches to the next empty line.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_macro = false;
    for line in text.lines() {
        in_macro &= !line.trim().is_empty();
        if in_macro {
            continue;
        }
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, after) = word(rest);
            in_macro |= word == "macdef";
            words.push(word);
            rest = after.trim_start();
        }
    }
    words
}

fn word(text: &str) -> (String, &str) {
    let mut word = String::new();
    let quoted = text.starts_with('"');
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => word.extend(characters.next().map(|(_, c)| c)),
            '"' if quoted => return (word, &text[at + 1..]),
            c if c.is_whitespace() && !quoted => return (word, &text[at..]),
            c => word.push(c),
        }
    }
    (word, "")
}

/// Logins in netrc's format.
pub(crate) fn netrc(logins: &[(String, IndexLogin)]) -> Secret {
    let entries = logins.iter().map(|(host, login)| {
        let (user, password) = (quoted(&login.user), quoted(login.password.expose()));
        format!("machine {host}\nlogin {user}\npassword {password}\n")
    });
    Secret::new(entries.collect::<String>())
}

fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '#');
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tools;
    use super::*;

    fn place(name: Option<&str>, host: &str) -> IndexPlace {
        IndexPlace {
            name: name.map(str::to_owned),
            host: host.to_owned(),
        }
    }

    fn shown(login: Option<IndexLogin>) -> Option<(String, String)> {
        login.map(|login| (login.user, login.password.expose().to_owned()))
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn places_are_named_by_urls_without_a_login() {
        let text = "# https://comment.example\n--index-url https://A.example:8443/simple\n-f \\\n  http://b.example\n\
                    x @ https://c.example/x.whl  # https://d.example\ngit+https://g.example/r\n\
                    -i https://u:p@h.example/s\nmy-own=https://e.example/s https://a.example\n";
        let found = places(text);
        let expected = [
            place(None, "a.example"),
            place(None, "b.example"),
            place(None, "c.example"),
            place(Some("my-own"), "e.example"),
        ];
        assert_eq!(found, expected);
        assert_eq!(places("--index-url=http://[::1]:80/"), [place(None, "::1")]);
    }

    const FILE: &str = "# mine
machine a.example login me password \"p \\\" \\\\w\" account x
macdef init
machine evil login macro password macro

machine b.example
  login you # a comment
  password pl#ain
machine b.example login second password second
default login anybody password anything
";

    #[test]
    fn entries_of_a_netrc_file_are_found() {
        let find = |host| shown(in_netrc(FILE, host));
        assert_eq!(find("a.example"), pair("me", "p \" \\w"));
        assert_eq!(find("B.example"), pair("you", "pl#ain"));
        assert_eq!(find("evil"), None);
        assert_eq!(find("c.example"), None);
        assert_eq!(shown(in_netrc("machine", "a")), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (user, password) in [("me", "p"), ("a b", "q\"\\#"), ("", "#x"), ("é", "")] {
            let login = IndexLogin {
                user: user.to_owned(),
                password: Secret::new(password),
            };
            let text = netrc(&[("h.example".to_owned(), login)]);
            assert_eq!(shown(in_netrc(text.expose(), "h.example")), pair(user, password));
        }
    }

    #[test]
    fn files_and_variables_are_looked_at_in_their_order() {
        let tools = Tools::new().file(".netrc", "machine h login home password home");
        let root = tools.root();
        let environment = tools.environment().with("HOME", &root);
        let find = |environment: &ToolEnvironment, name| shown(login(environment, &place(name, "h")));
        assert_eq!(find(&environment, None), pair("home", "home"));
        let named = environment
            .clone()
            .with("UV_INDEX_MY_OWN_USERNAME", "v")
            .with("UV_INDEX_MY_OWN_PASSWORD", "w");
        assert_eq!(find(&named, Some("my-own")), pair("v", "w"));
        assert_eq!(find(&named, Some("other")), pair("home", "home"));
        let elsewhere = environment.with("NETRC", "none");
        assert_eq!(find(&elsewhere, None), None);
        assert_eq!(
            shown(login(&ToolEnvironment::empty(&root), &place(None, "h"))),
            None
        );
    }
}
