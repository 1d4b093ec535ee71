//! Names of images: [`ImageReference`], [`Digest`], and tags made from any text.
//!
//! The grammar is that of the OCI distribution specification and of the library `distribution/reference`
//! that Docker uses: `[domain[:port]/]path[:tag][@digest]`. A name without a domain is Docker Hub's, and a
//! name of one part there lives under `library/`. Stricter than Docker in two points that could never work:
//! a port is between 1 and 65535, and an address in brackets is an IPv6 address.

mod digest;
pub(crate) mod grammar;
pub(crate) mod repair;
mod tag;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use digest::Digest;
pub use tag::sanitize_tag;

use grammar::{DEFAULT_DOMAIN, OFFICIAL};

use crate::{Error, Result};

/// The tag meant by a reference that has neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";

/// A checked name of an image, always with its registry: `docker.io/library/python:3.12`.
///
/// It is read from the short form that people write and prints the full one; [`ImageReference::familiar`]
/// gives the short one back. Two references are equal when their full forms are.
///
/// ```
/// let image: wharf_core::ImageReference = "python:3.12".parse()?;
/// assert_eq!(image.to_string(), "docker.io/library/python:3.12");
/// assert_eq!(image.familiar(), "python:3.12");
/// # Ok::<(), wharf_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageReference {
    /// A reference from its parts: `registry.example.com:5000`, `team/app`, `1.0` and no digest.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), as when the same name is parsed.
    pub fn from_parts(domain: &str, path: &str, tag: Option<&str>, digest: Option<Digest>) -> Result<Self> {
        let mut text = format!("{domain}/{path}");
        if let Some(tag) = tag {
            text = format!("{text}:{tag}");
        }
        grammar::assemble(domain, path, tag, digest).map_err(|problem| repair::error(&text, &problem))
    }

    /// The registry's host, with its port where one is given: `docker.io`, `localhost:5000`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/python`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Registry and path, without tag and digest: `docker.io/library/python`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The shortest name that means this repository: `python`.
    #[must_use]
    pub fn familiar_repository(&self) -> String {
        if self.domain == DEFAULT_DOMAIN {
            let official = self.path.strip_prefix(OFFICIAL);
            for short in [official, Some(self.path.as_str())].into_iter().flatten() {
                // A path whose first part looks like a host, or like an image's id, needs the long form.
                if grammar::split_name(short) == (DEFAULT_DOMAIN, Cow::Borrowed(self.path.as_str()))
                    && !grammar::is_image_id(short)
                {
                    return short.to_owned();
                }
            }
        }
        self.repository()
    }

    /// The shortest text that means this image: `python:3.12`. Parsing it gives the same reference.
    #[must_use]
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_repository())
    }

    /// The tag, if one is given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The tag, `latest` where none is given.
    #[must_use]
    pub fn tag_or_latest(&self) -> &str {
        self.tag().unwrap_or(DEFAULT_TAG)
    }

    /// The digest, if one is given.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository under another tag. A digest is dropped: it belonged to what the old name meant.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the text cannot be a tag; see [`sanitize_tag`].
    pub fn with_tag(&self, tag: &str) -> Result<Self> {
        grammar::check_tag(tag).map_err(|problem| tag::error(tag, &problem))?;
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same name with this digest. The tag stays; see [`ImageReference::without_tag`].
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The same name without its tag.
    #[must_use]
    pub fn without_tag(&self) -> Self {
        Self {
            tag: None,
            ..self.clone()
        }
    }

    /// The same name without its digest.
    #[must_use]
    pub fn without_digest(&self) -> Self {
        Self {
            digest: None,
            ..self.clone()
        }
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest.as_str());
        }
        name
    }
}

impl FromStr for ImageReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        grammar::parse(text).map_err(|problem| repair::error(text, &problem))
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.with_suffix(self.repository()))
    }
}

impl TryFrom<String> for ImageReference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.to_string()
    }
}

impl JsonSchema for ImageReference {
    fn schema_name() -> Cow<'static, str> {
        "ImageReference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An image: [registry/]repository[:tag][@digest]",
            "examples": ["python:3.12", "registry.example.com:5000/team/app:1.0"]
        })
    }
}

#[cfg(test)]
mod tests;
