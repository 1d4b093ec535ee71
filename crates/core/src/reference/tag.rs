//! Tags made from any text.

use super::grammar;
use super::repair::printable;
use crate::{Error, ErrorKind, Result};

/// Makes a tag from any text: leaves out what no tag may have, writes `_` for a dot or dash at the front,
/// and cuts at 128 characters.
///
/// ```
/// assert_eq!(wharf_core::sanitize_tag("my pipeline (v2)")?, "mypipelinev2");
/// assert_eq!(wharf_core::sanitize_tag("-lead")?, "_lead");
/// # Ok::<(), wharf_core::Error>(())
/// ```
///
/// # Errors
///
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when nothing of the text is left.
pub fn sanitize_tag(text: &str) -> Result<String> {
    let mut tag: String = text.chars().filter(|c| grammar::is_tag_character(*c)).collect();
    if tag.starts_with(['.', '-']) {
        tag.replace_range(..1, "_");
    }
    grammar::cut_tag(&mut tag);
    if tag.is_empty() {
        let shown = printable(text);
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("no tag can be made from {shown}"),
        )
        .with_hint("Use ASCII letters or digits."));
    }
    Ok(tag)
}

/// The error for a text that is not a tag, with the nearest one that is.
pub(super) fn error(text: &str, problem: &str) -> Error {
    let error = Error::new(
        ErrorKind::InvalidInput,
        format!("{} is not a tag: {problem}", printable(text)),
    );
    match sanitize_tag(text) {
        Ok(tag) => error.with_hint(format!("Use {tag:?} instead.")),
        Err(_) => error,
    }
}
