//! Words and values in the forms that Dockerfiles and shells read back as they were.

use std::fmt::Write as _;

/// The build argument that stands for a newline inside `ENV` values.
///
/// No form of `ENV` can hold a newline: every parser of Dockerfiles joins or ends lines before it looks at
/// quotes, and has no escape for one. A variable is replaced after that, and its value is not looked into
/// again, so the one value that cannot be written comes in from outside.
pub const NEWLINE_ARGUMENT: &str = "WHARF_NEWLINE";

/// A value for `ENV name=…` that the classic builder, BuildKit and Kaniko read back exactly.
///
/// Inside double quotes a backslash protects a double quote, a dollar sign and a backslash, and nothing else is
/// special. A newline becomes a reference to [`NEWLINE_ARGUMENT`].
pub(super) fn env_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '$' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => {
                let _ = write!(out, "${{{NEWLINE_ARGUMENT}}}");
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list in JSON, as instructions take it in place of a shell's line.
pub(super) fn json_words<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| serde_json::Value::from(word.as_ref()).to_string())
        .collect();
    format!("[{}]", words.join(", "))
}

/// The words of a program as the rest of a `RUN` line: for a shell where one line can hold them, else in JSON,
/// which no shell sees.
pub(super) fn run_words(words: &[String]) -> String {
    let has_control = words.iter().any(|word| word.contains(char::is_control));
    match has_control {
        true => json_words(words),
        false => words
            .iter()
            .map(|word| shell_word(word))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// A word that no shell changes: as it is, or in single quotes.
fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// A shell's command as the rest of a `RUN` line: as it is where a line can hold it and a Dockerfile's parser
/// sees nothing in it, else in JSON for `/bin/sh`.
pub(super) fn run_shell(command: &str) -> String {
    let is_plain = !command.contains(char::is_control)
        && !command.contains("<<")
        && !command.starts_with(|c: char| c == '[' || c == '-' || c == '#' || c.is_whitespace())
        && !command.trim_end().ends_with('\\');
    match is_plain {
        true => command.to_owned(),
        false => json_words(&["/bin/sh", "-c", command]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_values_protect_what_is_special_in_double_quotes() {
        for (value, expected) in [
            ("", r#""""#),
            ("it's", r#""it's""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            ("$A ${A}", r#""\$A \${A}""#),
            (r"c:\temp\n\", r#""c:\\temp\\n\\""#),
            ("é日本☺ `id` #", r#""é日本☺ `id` #""#),
            ("a\nb", r#""a${WHARF_NEWLINE}b""#),
        ] {
            assert_eq!(env_value(value), expected);
        }
    }

    #[test]
    fn a_shell_sees_nothing_in_words() {
        let words = ["pip", "--x=a b", "$HOME", "it's", "*", "", "a\\"].map(str::to_owned);
        let line = run_words(&words);
        assert_eq!(shlex::split(&line).unwrap(), words);
        assert_eq!(line, r"pip '--x=a b' '$HOME' 'it'\''s' '*' '' 'a\'");
        let words = ["pip".to_owned(), "a\nb".to_owned()];
        assert_eq!(run_words(&words), r#"["pip", "a\nb"]"#);
    }

    #[test]
    fn a_command_of_several_lines_reaches_the_shell_whole() {
        assert_eq!(
            run_shell("cd src && pip install -e '.[x]'"),
            "cd src && pip install -e '.[x]'"
        );
        assert_eq!(run_shell("a\nb \"c\""), r#"["/bin/sh", "-c", "a\nb \"c\""]"#);
        for odd in ["cat <<E", "[ -f x ]", "--mount=x", "a \\"] {
            assert!(run_shell(odd).starts_with('['), "{odd}");
        }
    }
}
