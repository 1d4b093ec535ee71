//! The commands that users write into their settings, as words for a program that is started without a shell.
//!
//! Existing settings were written for a shell that got all words joined by blanks. What they need of it, and
//! nothing more, works here:
//!
//! 1. A command of one word with blanks in it is split as a shell splits it: `"uv export --extra 'a b'"`.
//!    Operators of a shell in it (`;`, `|`, `&`, `<`, `>`, `$`, a backtick) are refused unless they are quoted.
//! 2. In a command of several words each word is an argument as it stands, but a word that stands whole in
//!    quotes loses them: `["awk", "'{{print}}'", "locked.txt"]`.

use std::path::Path;

use wharf_core::{Error, ErrorKind, Result};

/// The words of a command in settings.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for a command without a program, for quotes that do not close, and for one that
/// only a shell understands.
pub(super) fn command_words(command: &[String]) -> Result<Vec<String>> {
    let words = match command {
        [line] if line.contains(char::is_whitespace) => split_line(line)?,
        words => words.iter().map(|word| unquoted(word).to_owned()).collect(),
    };
    match words.first().is_some_and(|program| !program.is_empty()) {
        true => Ok(words),
        false => Err(
            Error::new(ErrorKind::InvalidInput, "the command names no program")
                .with_hint("Write the program and its arguments as a list."),
        ),
    }
}

fn split_line(line: &str) -> Result<Vec<String>> {
    if let Some(operator) = shell_operator(line) {
        let message = format!("the command `{line}` needs a shell: it has `{operator}` in it");
        return Err(Error::new(ErrorKind::InvalidInput, message).with_hint(
            "Commands are run without a shell. Write one as a list to get it: [\"sh\", \"-c\", \"…\"].",
        ));
    }
    shlex::split(line).ok_or_else(|| {
        let message = format!("the quotes in the command `{line}` do not close");
        Error::new(ErrorKind::InvalidInput, message)
    })
}

/// The first character that a shell would not take literally, other than blanks and quotes.
fn shell_operator(line: &str) -> Option<char> {
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => drop(characters.next()),
            (None, '\'' | '"') => quote = Some(character),
            (_, '$' | '`') => return Some(character),
            (None, ';' | '|' | '&' | '<' | '>' | '\n') => return Some(character),
            _ => {}
        }
    }
    None
}

/// A word without the one pair of quotes that it stands in.
fn unquoted(word: &str) -> &str {
    ['\'', '"']
        .into_iter()
        .find_map(|quote| {
            let inner = word.strip_prefix(quote)?.strip_suffix(quote)?;
            (!inner.contains(quote)).then_some(inner)
        })
        .unwrap_or(word)
}

/// Replaces `{directory}` in a word; doubled braces stand for single ones.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for any other brace.
pub(super) fn with_directory(word: &str, directory: &Path) -> Result<String> {
    let mut filled = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{directory}") {
            filled.push_str(directory_text(directory)?);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{{") {
            filled.push('{');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("}}") {
            filled.push('}');
            rest = after;
        } else {
            let message = format!("the braces in `{word}` hold something other than `directory`");
            return Err(Error::new(ErrorKind::InvalidInput, message).with_hint(
                "Only {directory} is replaced. Double every brace that is meant as one: {{ and }}.",
            ));
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn directory_text(directory: &Path) -> Result<&str> {
    directory.to_str().ok_or_else(|| {
        let message = format!("the path {} is not UTF-8", directory.display());
        Error::new(ErrorKind::InvalidInput, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &[&str]) -> Result<Vec<String>> {
        command_words(&command.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn words_of_a_list_stay_as_they_are() {
        assert_eq!(
            words(&["sh", "-c", "a; b | c", "it's", "a 'b' c", ""]).unwrap(),
            ["sh", "-c", "a; b | c", "it's", "a 'b' c", ""]
        );
    }

    #[test]
    fn quotes_around_a_whole_word_go() {
        assert_eq!(
            words(&["awk", "'{{print}}'", "\"a b\"", "'a' 'b'", "'"]).unwrap(),
            ["awk", "{{print}}", "a b", "'a' 'b'", "'"]
        );
    }

    #[test]
    fn a_single_line_is_split_like_a_shell_does() {
        assert_eq!(
            words(&[r#"uv export --extra 'a; b' "c|d" e\ f {directory}/x"#]).unwrap(),
            ["uv", "export", "--extra", "a; b", "c|d", "e f", "{directory}/x"]
        );
        assert_eq!(words(&["locked.sh"]).unwrap(), ["locked.sh"]);
    }

    #[test]
    fn what_needs_a_shell_is_refused_and_not_run() {
        for line in [
            "echo x==1; echo y",
            "a | b",
            "a && b",
            "a > b",
            "echo $HOME",
            "echo \"$HOME\"",
            "echo `x`",
        ] {
            let error = words(&[line]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{line}");
            assert!(error.hint().is_some_and(|hint| hint.contains("sh")), "{line}");
        }
        for empty in [&[][..], &[""], &["  "]] {
            assert!(words(empty).is_err(), "{empty:?}");
        }
        assert!(words(&["echo 'a"]).is_err());
    }

    #[test]
    fn only_the_directory_is_replaced() {
        let fill = |word| with_directory(word, Path::new("/a b/{c}"));
        assert_eq!(fill("--directory={directory}").unwrap(), "--directory=/a b/{c}");
        assert_eq!(fill("{{print}}").unwrap(), "{print}");
        assert_eq!(fill("{{{directory}}}").unwrap(), "{/a b/{c}}");
        assert_eq!(fill("{{directory}}").unwrap(), "{directory}");
        for bad in ["{x}", "{", "}", "{directory", "{ directory }"] {
            assert_eq!(fill(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }
}
