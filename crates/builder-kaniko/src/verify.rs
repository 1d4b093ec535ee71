//! The digest: what the executor says, and what the registry has.

use std::sync::Arc;

use wharf_core::event::EventSink;
use wharf_core::registry::ContainerRegistry;
use wharf_core::{Digest, Error, ErrorKind, ImageReference, Result};
use wharf_registry::{RegistryClient, confirm_pushed};

/// Checks what the executor left as its last words against the registry, for every name.
///
/// # Errors
///
/// [`ErrorKind::PushFailed`] when the registry does not have the image, [`ErrorKind::Conflict`] when it has another
/// one, [`ErrorKind::Unexpected`] when the executor said no digest.
pub(crate) async fn digest(
    registry: &Arc<dyn ContainerRegistry>,
    names: &[ImageReference],
    last_words: &str,
    events: &EventSink,
) -> Result<Digest> {
    let told: Digest = last_words.parse().map_err(|error: Error| {
        Error::new(
            ErrorKind::Unexpected,
            "the executor ended well and told no digest",
        )
        .with_context("last_words", last_words.to_owned())
        .with_hint("Is `executor_image` Kaniko's executor?")
        .with_source(error)
    })?;
    let client = RegistryClient::new(registry.clone())?;
    for name in names {
        let confirmed = confirm_pushed(&client, name, Some(told.clone()), events).await;
        confirmed.map_err(|error| error.with_context("image", name.familiar()))?;
    }
    Ok(told)
}
