//! Records of builds: which images were built for a pipeline, from what, and when.

mod file;
mod of;
mod used;

use std::collections::BTreeMap;
use std::fmt::Debug;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_core::{Digest, Result};

use crate::content::ContentParts;
use crate::plan::BuilderFacts;

pub use self::file::FileRecords;
pub(crate) use self::file::make_unversioned;
pub use self::of::RecordContext;

/// The images built for a pipeline at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The build's name: 32 hexadecimal digits. A beginning that no other build has is enough to name it.
    pub id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// When it was finished, in UTC.
    pub created: Timestamp,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
    /// The stack's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The flavor that built.
    pub builder: String,
    /// What it could do; Dockerfiles are written for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder_facts: Option<BuilderFacts>,
    /// The commit that was checked out, where the code is in a repository and unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The repository's address, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Where the code is in the artifact store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_archive: Option<String>,
    /// The images by the keys under which they were asked for.
    pub images: BTreeMap<String, ImageRecord>,
    /// The images that others are built on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ImageRecord>,
}

/// One image of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// What runs the steps: `repository@sha256:…`, or a local name.
    pub reference: String,
    /// The name with its tag.
    pub image: String,
    /// What of the settings goes into the image, as one checksum.
    pub checksum: String,
    /// The key of everything that goes into the image; none where it was not built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_key: Option<String>,
    /// The image it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_image: Option<String>,
    /// The Dockerfile's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The requirements, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<String>,
    /// The Debian packages.
    #[serde(default)]
    pub apt_packages: Vec<String>,
    /// The variables that it has from the settings, with checksums of their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// What else goes into the image, part by part; none where it was not built, and in records of wharf before
    /// 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentParts>,
    /// Whether the code is inside.
    pub contains_code: bool,
    /// The steps that run in it.
    pub steps: Vec<String>,
}

impl BuildRecord {
    /// Whether any image holds code, so that using the build runs that code and not the local one.
    #[must_use]
    pub fn contains_code(&self) -> bool {
        self.images.values().any(|image| image.contains_code)
    }
}

impl ImageRecord {
    /// Whether the image is in a registry.
    #[must_use]
    pub fn is_pushed(&self) -> bool {
        self.reference.contains('@')
    }
}

/// The form in which a record has the values of variables: they may be long, and may be logins.
pub(crate) fn value_checksum(value: &str) -> String {
    Digest::of_bytes(value.as_bytes()).hex().to_owned()
}

/// Where records are kept.
pub trait BuildRecords: Debug + Send + Sync {
    /// Keeps a record.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn save(&self, record: &BuildRecord) -> Result<()>;

    /// Every record, the newest first.
    ///
    /// # Errors
    ///
    /// When the records cannot be read.
    fn list(&self) -> Result<Vec<BuildRecord>>;

    /// The newest records, at most this many.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    fn recent(&self, limit: usize) -> Result<Vec<BuildRecord>> {
        let mut records = self.list()?;
        records.truncate(limit);
        Ok(records)
    }

    /// The record of an id, or of the beginning of one.
    ///
    /// # Errors
    ///
    /// [`NotFound`](wharf_core::ErrorKind::NotFound) when there is none,
    /// [`InvalidInput`](wharf_core::ErrorKind::InvalidInput) when several begin like this.
    fn get(&self, id: &str) -> Result<BuildRecord>;

    /// Forgets a build. Its images stay where they are.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and when it cannot be removed.
    fn delete(&self, id: &str) -> Result<BuildRecord>;
}
