//! What registries are asked before and after a push.

use std::sync::Arc;

use wharf_core::event::{BuildEvent, EventSink, ImageDigest, Pushed, Warning};
use wharf_core::registry::ContainerRegistry;
use wharf_core::{Digest, Error, ErrorKind, ImageReference, Result};

use crate::RegistryClient;

/// Finds out before a build, which may take long, whether its result may be pushed under these names, and makes ready
/// what the registry wants to be there, such as a repository.
///
/// # Errors
///
/// The registry's refusal. One that cannot be reached from here is none: the builder may reach it.
pub async fn prepare_push(registry: &Arc<dyn ContainerRegistry>, names: &[ImageReference]) -> Result<()> {
    let client = RegistryClient::new(registry.clone())?;
    for name in names {
        registry.prepare_push(name).await?;
        match client.check_push(name).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {}
            other => other.map_err(|error| error.with_context("image", name.familiar()))?,
        }
    }
    Ok(())
}

/// Asks the registry for the digest of an image that was just pushed, and announces it. `told` is what whoever pushed
/// says it is.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] when the registry has another digest, because somebody pushed to the same tag meanwhile;
/// [`ErrorKind::PushFailed`] when the image is not there; as [`RegistryClient::digest_of`]. A registry that cannot be
/// reached from here is no error where a digest was told: that one is believed, with a warning.
pub async fn confirm_pushed(
    client: &RegistryClient,
    image: &ImageReference,
    told: Option<Digest>,
    events: &EventSink,
) -> Result<Digest> {
    let digest = verify(client, image, told, events).await?;
    announce(image, &digest, events);
    Ok(digest)
}

fn announce(image: &ImageReference, digest: &Digest, events: &EventSink) {
    events.send(BuildEvent::Pushed(Pushed {
        reference: image.to_string(),
    }));
    let reference = format!("{}@{digest}", image.repository());
    events.send(BuildEvent::Digest(ImageDigest { reference }));
}

async fn verify(
    client: &RegistryClient,
    image: &ImageReference,
    told: Option<Digest>,
    events: &EventSink,
) -> Result<Digest> {
    match (client.digest_of(image).await, told) {
        (Ok(Some(found)), Some(told)) if found != told => Err(Error::new(
            ErrorKind::Conflict,
            format!("the tag was moved while it was pushed: {told} was pushed, the registry has {found}"),
        )
        .with_hint("Somebody else pushed the same tag. Use tags of your own, or push again.")),
        (Ok(Some(found)), _) => Ok(found),
        (Ok(None), _) => Err(Error::new(
            ErrorKind::PushFailed,
            "the registry does not have the image after the push",
        )
        .with_hint("Ask the registry's operator: the push was accepted and is gone.")),
        // A builder elsewhere may reach a registry that this machine does not.
        (Err(error), Some(told)) if error.kind() == ErrorKind::Unavailable => {
            let message = format!(
                "the digest of {} is the builder's word: the registry cannot be reached",
                image.familiar()
            );
            events.warn(Warning::new(message).with_detail([error.to_string()]));
            Ok(told)
        }
        (Err(error), _) => Err(error),
    }
}
