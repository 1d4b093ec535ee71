//! The encodings of requirements files.

use wharf_core::{Error, ErrorKind, Result};

/// The text of a requirements file, with `\n` as its line end.
///
/// 1. A byte order mark says that it is UTF-8 or UTF-16; it is not part of the text.
/// 2. Else a comment `# -*- coding: NAME -*-` in the first two lines says it, as for Python's own files. The
///    comment becomes one for UTF-8, which the text is now.
/// 3. Else it is UTF-8.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for bytes that are not in the encoding, and for an encoding other than UTF-8,
/// ASCII and Latin-1.
pub(super) fn decode(bytes: &[u8]) -> Result<String> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => declared(bytes)?,
    };
    Ok(match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text,
    })
}

fn declared(bytes: &[u8]) -> Result<String> {
    let Some(name) = declared_encoding(bytes) else {
        return utf8(bytes);
    };
    match name.to_ascii_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" | "ascii" | "us-ascii" => utf8(bytes),
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => {
            let text: String = bytes.iter().copied().map(char::from).collect();
            Ok(text.replacen(&name, "utf-8", 1))
        }
        _ => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the encoding {name} is not known"),
        )
        .with_hint("Save the file as UTF-8.")),
    }
}

/// What a comment in the first two lines says.
fn declared_encoding(bytes: &[u8]) -> Option<String> {
    let lines = bytes.split(|byte| *byte == b'\n').take(2);
    lines
        .filter_map(|line| std::str::from_utf8(line).ok())
        .find_map(|line| {
            let line = line.trim_start().strip_prefix('#')?;
            let (_, after) = line.split_once("coding")?;
            let name = after.strip_prefix([':', '='])?.trim_start();
            let end = name
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
                .unwrap_or(name.len());
            (end > 0).then(|| name[..end].to_owned())
        })
}

fn utf8(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes).map_err(|source| {
        let line = 1 + bytes[..source.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Error::new(ErrorKind::InvalidInput, "the text is not UTF-8")
            .with_context("line", line.to_string())
            .with_hint("Save the file as UTF-8.")
    })?;
    Ok(text.to_owned())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err(Error::new(ErrorKind::InvalidInput, "the text is not UTF-16")
            .with_hint("Save the file as UTF-8.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_line_ends_go() {
        assert_eq!(
            decode(b"\xef\xbb\xbfnumpy\r\npandas\r").unwrap(),
            "numpy\npandas\n"
        );
        let little: Vec<u8> = "\u{feff}naïve\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let big: Vec<u8> = "\u{feff}naïve\r\n"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        assert_eq!(
            (decode(&little).unwrap(), decode(&big).unwrap()),
            ("naïve\n".into(), "naïve\n".into())
        );
        assert!(decode(b"\xff\xfea").is_err());
    }

    #[test]
    fn a_declared_encoding_is_used_and_replaced() {
        assert_eq!(
            decode(b"# -*- coding: latin-1 -*-\n# f\xfcr\nnumpy").unwrap(),
            "# -*- coding: utf-8 -*-\n# für\nnumpy"
        );
        assert_eq!(
            decode("# vim: coding=utf-8\n# ü".as_bytes()).unwrap(),
            "# vim: coding=utf-8\n# ü"
        );
        let error = decode(b"# coding: cp1252\nx").unwrap_err();
        assert!(error.message().contains("cp1252"));
        // Only the first two lines count.
        assert_eq!(
            decode(b"a\nb\n# coding: cp1252").unwrap(),
            "a\nb\n# coding: cp1252"
        );
    }

    #[test]
    fn other_bytes_are_refused_with_their_line() {
        let error = decode(b"numpy\n\xfc\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.context().collect::<Vec<_>>(), [("line", "2")]);
    }
}
