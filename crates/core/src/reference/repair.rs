//! What to say about a text that is no image reference, and what its author may have meant.

use std::borrow::Cow;

use super::grammar;
use super::tag::sanitize_tag;
use crate::{Error, ErrorKind};

/// Longest piece of a wrong text that an error shows, in characters.
const SHOWN: usize = 300;

pub(super) fn error(text: &str, problem: &str) -> Error {
    let error = Error::new(
        ErrorKind::InvalidInput,
        format!("{} is not an image reference: {problem}", printable(text)),
    );
    match repaired(text) {
        Some(better) => error.with_hint(format!("Write {better:?}.")),
        None => error.with_hint("The form is [registry/]repository[:tag][@digest], for example python:3.12."),
    }
}

/// A wrong text, quoted for an error: cut when it is long, and without what may be a login before an `@`.
pub(crate) fn printable(text: &str) -> String {
    let text = match text.rsplit_once('@') {
        Some((before, after)) if is_login(before, after) => Cow::Owned(format!("***@{after}")),
        _ => Cow::Borrowed(text),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Whether the texts around an `@` are rather a login and a host than a name and a digest.
fn is_login(before: &str, after: &str) -> bool {
    let is_digest =
        ["sha", "md5", "blake"].iter().any(|name| after.starts_with(name)) && !after.contains(['.', '/']);
    !is_digest && (before.contains(':') || after.contains(['.', '/', ':']))
}

/// The nearest right form, or none when there is no telling. A digest is never guessed.
fn repaired(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = grammar::split_tag(rest.trim_end_matches('/'));
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    let (first, others) = parts.split_first()?;
    let is_host = first.contains(['.', ':']) && grammar::check_domain(first).is_ok();
    let (domain, path) = match is_host {
        true if others.is_empty() => return None,
        true => (Some(*first), others),
        false => (None, parts.as_slice()),
    };
    let mut better = domain.map(|domain| format!("{domain}/")).unwrap_or_default();
    better.push_str(&path.join("/").to_ascii_lowercase());
    if let Some(tag) = tag.and_then(|tag| sanitize_tag(tag).ok()) {
        better = format!("{better}:{tag}");
    }
    if let Some(digest) = digest {
        better = format!("{better}@{digest}");
    }
    grammar::parse(&better).ok().map(|_| better)
}
