//! Tags of images.

use wharf_core::{Result, sanitize_tag};

/// The longest tag that registries take.
const MAX_TAG: usize = 128;

/// What the tag of an image that another is built on ends with. ZenML's.
const INTERMEDIATE: &str = "-intermediate-build";

/// How much of a checksum tells two tags apart.
const CHECKSUM_PART: usize = 8;

/// `<pipeline>-<step>-<key>`, without what no tag may have.
///
/// # Errors
///
/// When nothing is left that a tag may have.
pub(crate) fn default_tag(pipeline: &str, step: Option<&str>, key: &str) -> Result<String> {
    match step {
        Some(step) => sanitize_tag(&format!("{pipeline}-{step}-{key}")),
        None => sanitize_tag(&format!("{pipeline}-{key}")),
    }
}

/// The tag of the image of a Dockerfile of the user's own, below the image with this tag.
pub(crate) fn intermediate_tag(tag: &str) -> String {
    let mut tag = format!("{tag}{INTERMEDIATE}");
    tag.truncate(MAX_TAG);
    tag
}

/// A tag that no other image has: this one, or this one with a part of the image's checksum behind it.
pub(crate) fn unique_tag(tag: &str, checksum: &str, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(tag) {
        return tag.to_owned();
    }
    let part = &checksum[..CHECKSUM_PART.min(checksum.len())];
    let kept = tag.len().min(MAX_TAG - CHECKSUM_PART - 1);
    format!("{}-{part}", &tag[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_short_enough_and_distinct() {
        assert_eq!(
            default_tag("Ma pipe: été/2", Some("step one!"), "orchestrator").unwrap(),
            "Mapipet2-stepone-orchestrator"
        );
        let long = "t".repeat(128);
        assert_eq!(intermediate_tag(&long).len(), 128);
        let other = unique_tag(&long, "0123456789", |_| true);
        assert_eq!((other.len(), &other[118..]), (128, "t-01234567"));
        assert_eq!(unique_tag("a", "0123456789", |_| false), "a");
    }
}
