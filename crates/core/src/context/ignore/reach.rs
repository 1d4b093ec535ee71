//! How deep an exception reaches, so that directories in which it matches nothing are never entered.

use super::clean::chars;

/// What is known of the paths that a pattern can match: its leading components as long as they are simple.
#[derive(Debug)]
pub(super) struct Reach {
    components: Vec<Vec<Token>>,
    /// Something follows that may match any number of components.
    open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Many,
}

impl Reach {
    pub(super) fn new(pattern: &[u8]) -> Self {
        let mut components = Vec::new();
        for component in pattern.split(|byte| *byte == b'/') {
            match simple(component) {
                Some(tokens) => components.push(tokens),
                None => {
                    return Self {
                        components,
                        open: true,
                    };
                }
            }
        }
        Self {
            components,
            open: false,
        }
    }

    /// How many slashes every path has that the pattern matches, if that is certain.
    pub(super) fn slashes(&self) -> Option<usize> {
        (!self.open).then(|| self.components.len().saturating_sub(1))
    }

    /// Whether the pattern can match a path below this directory.
    pub(super) fn goes_below(&self, directory: &[u8]) -> bool {
        let mut depth = 0;
        for component in directory.split(|byte| *byte == b'/') {
            match self.components.get(depth) {
                Some(tokens) if !matches(tokens, component) => return false,
                Some(_) => depth += 1,
                None => return self.open,
            }
        }
        self.open || depth < self.components.len()
    }
}

/// The tokens of a component that matches within one component; none if that is not certain.
fn simple(component: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = chars(component).peekable();
    while let Some(char) = chars.next() {
        tokens.push(match char {
            '*' if chars.peek() == Some(&'*') => return None,
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => Token::Char(chars.next().filter(char::is_ascii_punctuation)?),
            '[' | ']' | '^' | '\u{feff}' => return None,
            _ => Token::Char(char),
        });
    }
    Some(tokens)
}

/// Wildcard matching in time of at most pattern times text: after a mismatch only the last `*` is retried.
fn matches(tokens: &[Token], component: &[u8]) -> bool {
    let text: Vec<char> = chars(component).collect();
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match tokens.get(token) {
            Some(Token::Many) => {
                retry = Some((token + 1, at));
                token += 1;
            }
            Some(Token::One) => (token, at) = (token + 1, at + 1),
            Some(Token::Char(char)) if *char == text[at] => (token, at) = (token + 1, at + 1),
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (token, at) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    tokens[token..].iter().all(|rest| *rest == Token::Many)
}

#[cfg(test)]
mod tests {
    use super::Reach;

    fn goes_below(pattern: &str, directory: &str) -> bool {
        Reach::new(pattern.as_bytes()).goes_below(directory.as_bytes())
    }

    #[test]
    fn a_pattern_reaches_as_deep_as_it_has_components() {
        assert!(!goes_below("*.py", "src"));
        assert!(goes_below("src/*.py", "src") && !goes_below("src/*.py", "lib"));
        assert!(!goes_below("src/*.py", "src/deep"));
        assert!(goes_below("s*/?/x", "src/a") && !goes_below("s*/?/x", "src/ab"));
        assert!(goes_below("a*b*c/x", "aXbYbc") && !goes_below("a*b*c/x", "aXbYb"));
    }

    #[test]
    fn slashes_are_only_known_where_nothing_can_match_one() {
        let slashes = |pattern: &str| Reach::new(pattern.as_bytes()).slashes();
        assert_eq!(
            (slashes("a"), slashes("*/b?"), slashes(r"a/\[/c")),
            (Some(0), Some(1), Some(2))
        );
        for unknown in ["**", "a/**/b", "x**", "a[^b]c", r"\d", r"a\/b", "^a*"] {
            assert_eq!(slashes(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn double_wildcards_and_classes_reach_everywhere_behind_what_is_certain() {
        assert!(goes_below("**/*.py", "any/where"));
        assert!(goes_below("src/**/x", "src/a/b") && !goes_below("src/**/x", "lib/a"));
        assert!(goes_below("src/[^a]x", "src/b") && goes_below(r"src/\w", "src"));
        assert!(goes_below(r"a\*/b", "a*") && !goes_below(r"a\*/b", "ab"));
    }
}
