//! Shortest form of a path, and what counts as white space, on bytes that need not be UTF-8.

/// The shortest path with the same meaning, by its text alone: no empty and no `.` component, `..` taken
/// back where it can be. Nothing left is `.`; a leading slash stays.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut kept: Vec<&[u8]> = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if rooted => {}
            _ => kept.push(component),
        }
    }
    let joined = kept.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// The text without the Unicode white space around it. Bytes that are not UTF-8 are no white space.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let Some(width) = (1..=MAX_SPACE).find(|width| is_space(text.get(..*width))) {
        text = &text[width..];
    }
    while let Some(width) =
        (1..=MAX_SPACE.min(text.len())).find(|width| is_space(text.get(text.len() - width..)))
    {
        text = &text[..text.len() - width];
    }
    text
}

/// The longest white space character in UTF-8, in bytes.
const MAX_SPACE: usize = 3;

fn is_space(bytes: Option<&[u8]>) -> bool {
    let Some(text) = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return false;
    };
    let mut chars = text.chars();
    chars.next().is_some_and(char::is_whitespace) && chars.next().is_none()
}

/// The characters of a text in which every byte that is not UTF-8 is one replacement character.
pub(super) fn chars(text: &[u8]) -> impl Iterator<Item = char> {
    text.utf8_chunks().flat_map(|chunk| {
        let broken = std::iter::repeat_n(char::REPLACEMENT_CHARACTER, chunk.invalid().len());
        chunk.valid().chars().chain(broken)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_get_their_shortest_form() {
        for (path, shortest) in [
            ("", "."),
            (".", "."),
            ("./a", "a"),
            ("a//b/./c/", "a/b/c"),
            ("a/..", "."),
            ("a/../../b", "../b"),
            ("/../a", "/a"),
            ("//", "/"),
            ("!..", "!.."),
        ] {
            assert_eq!(clean(path.as_bytes()), shortest.as_bytes(), "{path}");
        }
    }

    #[test]
    fn white_space_is_unicode_white_space() {
        assert_eq!(trim("\u{3000}\t a b\u{a0}\u{85}\x0b".as_bytes()), b"a b");
        assert_eq!(trim(b"\x85\xa0 "), b"\x85\xa0");
        assert_eq!(trim(b"\x1ca"), b"\x1ca");
        assert_eq!(trim(b" \n "), b"");
    }

    #[test]
    fn every_broken_byte_is_one_character() {
        assert_eq!(chars(b"a\xe2\x98z").collect::<String>(), "a\u{fffd}\u{fffd}z");
    }
}
