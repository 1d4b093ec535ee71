//! The grammar of image references. Every check answers with the problem alone; who asked adds the text.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use super::repair::printable;
use super::{Digest, ImageReference};

/// Docker Hub's name in references.
pub(crate) const DEFAULT_DOMAIN: &str = "docker.io";
/// Where Docker Hub keeps images whose name has one part.
pub(super) const OFFICIAL: &str = "library/";

/// Docker Hub's name in old references.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// Registry and path together; the limit that the distribution specification says clients keep.
const MAX_NAME: usize = 255;
/// The limit for tags in the distribution specification.
const MAX_TAG: usize = 128;

/// What is wrong with a text, as the end of a sentence.
pub(crate) type Problem = Cow<'static, str>;

pub(super) fn parse(text: &str) -> Result<ImageReference, Problem> {
    check_characters(text)?;
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(Digest::checked(digest)?)),
        None => (text, None),
    };
    let (name, tag) = split_tag(rest);
    if is_image_id(name) {
        return Err("it is an image's id, not a name".into());
    }
    let (domain, path) = split_name(name);
    assemble(domain, &path, tag, digest)
}

/// Checks and normalizes the parts of a reference.
pub(super) fn assemble(
    domain: &str,
    path: &str,
    tag: Option<&str>,
    digest: Option<Digest>,
) -> Result<ImageReference, Problem> {
    check_domain(domain)?;
    let (domain, path) = normalized(domain, path);
    check_name(domain, &path)?;
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    Ok(ImageReference {
        domain: domain.to_owned(),
        path: path.into_owned(),
        tag: tag.map(str::to_owned),
        digest,
    })
}

pub(crate) fn check_characters(text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err("it is empty".into());
    }
    if text.contains(char::is_whitespace) {
        return Err("it has spaces or line ends".into());
    }
    if text.contains("://") {
        return Err("it has a scheme, as a URL has".into());
    }
    Ok(())
}

/// Splits at the colon before the tag: the last one, unless it belongs to a host's port.
pub(super) fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// Splits a name into registry and path, as Docker does: the first part is a host when it is `localhost`,
/// has a dot or a colon, or has upper-case letters, which no path may have.
pub(super) fn split_name(name: &str) -> (&str, Cow<'_, str>) {
    match name.split_once('/') {
        Some((first, rest)) if is_domain_like(first) => normalized(first, rest),
        _ => normalized(DEFAULT_DOMAIN, name),
    }
}

pub(crate) fn is_domain_like(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':', '[']) || part.contains(char::is_uppercase)
}

/// Docker Hub under its present name, and `library/` before names of one part there.
pub(super) fn normalized<'a>(domain: &'a str, path: &'a str) -> (&'a str, Cow<'a, str>) {
    let domain = present_domain(domain);
    match domain != DEFAULT_DOMAIN || path.contains('/') || path.is_empty() {
        true => (domain, path.into()),
        false => (domain, format!("{OFFICIAL}{path}").into()),
    }
}

/// Docker Hub under its present name; any other host as it is.
pub(crate) fn present_domain(domain: &str) -> &str {
    match domain {
        LEGACY_DOMAIN => DEFAULT_DOMAIN,
        domain => domain,
    }
}

/// Whether a text is 64 hexadecimal digits, which Docker reads as an image's id.
pub(super) fn is_image_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_hex)
}

pub(super) fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// Checks `host`, `host:port`, `[IPv6]` and `[IPv6]:port`.
pub(crate) fn check_domain(domain: &str) -> Result<(), Problem> {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    if let Some(port) = port {
        let known =
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0);
        if !known {
            return Err(format!("{} is not a port between 1 and 65535", printable(port)).into());
        }
    }
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) if address.parse::<Ipv6Addr>().is_ok() => Ok(()),
        Some(address) => Err(format!("{} is not an IPv6 address", printable(address)).into()),
        None if !host.is_empty() && host.split('.').all(is_host_label) => Ok(()),
        None => Err(format!("{} is not a host name", printable(host)).into()),
    }
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

pub(crate) fn check_name(domain: &str, path: &str) -> Result<(), Problem> {
    if path.is_empty() {
        return Err("the repository is missing".into());
    }
    if let Some(part) = path.split('/').find(|part| !is_path_component(part)) {
        return Err(path_problem(part));
    }
    let length = domain.len() + 1 + path.len();
    if length > MAX_NAME {
        return Err(
            format!("registry and repository have {length} characters, {MAX_NAME} are allowed").into(),
        );
    }
    Ok(())
}

/// Lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_path_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part.split(alphanumeric).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

fn path_problem(part: &str) -> Problem {
    if part.is_empty() {
        return "the repository has an empty part: a slash at an end, or two in a row".into();
    }
    let shown = printable(part);
    if is_path_component(&part.to_ascii_lowercase()) {
        return format!("the repository must be in lower case, {shown} is not").into();
    }
    format!(
        "{shown} is not allowed in a repository: parts are letters and digits in lower case, with '.', '_', \
         '__' or dashes between them"
    )
    .into()
}

pub(super) fn is_tag_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

pub(super) fn check_tag(tag: &str) -> Result<(), Problem> {
    if tag.is_empty() {
        return Err("the tag is empty".into());
    }
    if let Some(wrong) = tag.chars().find(|c| !is_tag_character(*c)) {
        return Err(format!(
            "{wrong:?} is not allowed in a tag: only ASCII letters, digits, '_', '.' and '-' are"
        )
        .into());
    }
    if tag.starts_with(['.', '-']) {
        return Err("a tag begins with a letter, a digit or '_'".into());
    }
    if tag.len() > MAX_TAG {
        return Err(format!("the tag has {} characters, {MAX_TAG} are allowed", tag.len()).into());
    }
    Ok(())
}

/// Cuts a tag to the allowed length. The text must be ASCII.
pub(super) fn cut_tag(tag: &mut String) {
    tag.truncate(MAX_TAG);
}
