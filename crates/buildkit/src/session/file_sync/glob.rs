//! Wildcards within one file name: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before a character that stands for itself.
//!
//! The rules are those of Go's `path/filepath.Match`, which the daemon's own clients use for `followpaths`.

/// Whether a name has wildcards that are not escaped.
pub(crate) fn has_wildcards(name: &str) -> bool {
    let mut chars = name.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// Whether a name matches; a pattern that is not well-formed matches nothing.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Where to go on after the last star when something later does not match.
    let mut star: Option<(usize, usize)> = None;
    let (mut at, mut read) = (0, 0);
    loop {
        if pattern.get(at) == Some(&'*') {
            star = Some((at + 1, read));
            at += 1;
            continue;
        }
        if at == pattern.len() && read == name.len() {
            return true;
        }
        let step = name.get(read).and_then(|char| one(&pattern[at..], *char));
        match (step, star) {
            (Some(used), _) => (at, read) = (at + used, read + 1),
            (None, Some((after, from))) if from < name.len() => {
                star = Some((after, from + 1));
                (at, read) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// How many characters of the pattern match this one character of the name.
fn one(pattern: &[char], char: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == char).then_some(2),
        ['[', class @ ..] => in_class(class, char).map(|used| used + 1),
        [plain, ..] => (*plain == char && *plain != '\\').then_some(1),
        [] => None,
    }
}

/// How long the class is, with its closing bracket, if the character is in it.
fn in_class(class: &[char], char: char) -> Option<usize> {
    let negated = class.first() == Some(&'^');
    let mut at = usize::from(negated);
    let mut found = false;
    let mut ranges = 0;
    loop {
        if class.get(at) == Some(&']') && ranges > 0 {
            return (found != negated).then_some(at + 1);
        }
        let low = class_char(class, &mut at)?;
        let mut high = low;
        if class.get(at) == Some(&'-') {
            at += 1;
            high = class_char(class, &mut at)?;
        }
        found |= (low..=high).contains(&char);
        ranges += 1;
    }
}

fn class_char(class: &[char], at: &mut usize) -> Option<char> {
    let mut char = *class.get(*at)?;
    if char == '-' || char == ']' {
        return None;
    }
    if char == '\\' {
        *at += 1;
        char = *class.get(*at)?;
    }
    *at += 1;
    Some(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_go() {
        let cases = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*b*d", "aXbXbd", true),
            ("a*b*d", "aXbXb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("ab[b-d]", "abc", true),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "abb", false),
            ("[\\]a]", "]", true),
            ("[]a]", "]", false),
            ("[-]", "-", false),
            ("[x-]", "x", false),
            ("[", "a", false),
            ("a[", "a", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("ü?", "üß", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn an_escaped_wildcard_is_none() {
        assert!(has_wildcards("a*") && has_wildcards("[a]") && has_wildcards("?"));
        assert!(!has_wildcards("a\\*") && !has_wildcards("plain"));
    }
}
