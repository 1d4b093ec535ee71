//! Manifests as they are sent, byte by byte.

use bytes::Bytes;
use serde::Deserialize;
use wharf_core::Digest;

/// Every kind of manifest, so that a registry converts none: a converted one has another digest.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// A manifest exactly as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// What it is: `application/vnd.oci.image.index.v1+json`.
    pub media_type: String,
    /// Its bytes. Their digest is [`RawManifest::digest`]; a changed space would change it.
    pub bytes: Bytes,
    /// The digest by which it was asked for, or the sha256 of the bytes.
    pub digest: Digest,
}

/// The media type of a manifest: from the header, and where that says only "JSON", from the manifest.
pub(crate) fn media_type(header: Option<&str>, bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        media_type: String,
    }
    let named = header.and_then(|value| value.split(';').next()).map(str::trim);
    match named {
        Some(name) if name.starts_with("application/vnd.") => Some(name.to_owned()),
        _ => serde_json::from_slice::<Head>(bytes)
            .ok()
            .map(|head| head.media_type),
    }
}

#[cfg(test)]
mod tests {
    use super::media_type;

    #[test]
    fn the_media_type_comes_from_the_header_or_the_manifest() {
        let index = "application/vnd.oci.image.index.v1+json";
        let inside =
            br#"{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}"#;
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        assert_eq!(media_type(Some(index), inside).as_deref(), Some(index));
        assert_eq!(
            media_type(Some(&format!("{index}; charset=utf-8")), b"").as_deref(),
            Some(index)
        );
        assert_eq!(
            media_type(Some("application/json"), inside).as_deref(),
            Some(docker)
        );
        assert_eq!(media_type(None, inside).as_deref(), Some(docker));
        assert_eq!(media_type(Some("text/html"), b"<html>"), None);
    }
}
