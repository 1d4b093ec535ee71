//! Pushes through the engine, and asks the registry what arrived.

use futures_util::StreamExt;
use jiff::Timestamp;
use wharf_core::event::{BuildEvent, EventSink, Step, StepId, StepState};
use wharf_core::registry::ContainerRegistry;
use wharf_core::{Digest, Error, ErrorKind, ImageReference, Result};
use wharf_registry::{RegistryClient, confirm_pushed};

use crate::credentials::Logins;
use crate::engine::http::{empty, post};
use crate::engine::message::Message;
use crate::engine::{Engine, EngineKind};

/// Pushes one name of an image and returns the digest that the registry has for it.
///
/// # Errors
///
/// - [`ErrorKind::PushFailed`], [`ErrorKind::Unauthenticated`] and the like: the registry or the engine
///   refused;
/// - [`ErrorKind::Conflict`]: behind the name is another image than the one that was pushed, because somebody
///   pushed to it at the same time.
pub(crate) async fn push(
    engine: &Engine,
    image: &ImageReference,
    registry: &dyn ContainerRegistry,
    client: &RegistryClient,
    logins: &Logins,
    events: &EventSink,
) -> Result<Digest> {
    let mut step = Step {
        id: StepId::new(format!("push {}", image.familiar())),
        name: format!("push {}", image.familiar()),
        state: StepState::Started,
        started: Some(Timestamp::now()),
        completed: None,
    };
    events.send(BuildEvent::Step(step.clone()));
    let result = match send(engine, image, registry, logins, &step.id, events).await {
        Ok(told) => confirm_pushed(client, image, told, events).await,
        Err(error) => Err(error),
    };
    step.completed = Some(Timestamp::now());
    step.state = match &result {
        Ok(_) => StepState::Done,
        Err(error) => StepState::Failed {
            error: error.message().to_owned(),
        },
    };
    events.send(BuildEvent::Step(step));
    result.map_err(|error| {
        error
            .with_operation("push the image")
            .with_context("image", image.familiar())
    })
}

/// Has the engine push, and returns the digest it tells, if it tells one.
async fn send(
    engine: &Engine,
    image: &ImageReference,
    registry: &dyn ContainerRegistry,
    logins: &Logins,
    step: &StepId,
    events: &EventSink,
) -> Result<Option<Digest>> {
    let mut query = vec![("tag", image.tag_or_latest().to_owned())];
    if engine.info().kind == EngineKind::Podman && registry.plain_http() {
        query.push(("tlsVerify", "false".to_owned()));
    }
    let request = post(&format!("/images/{}/push", image.familiar_repository()), &query)
        .header("x-registry-auth", logins.registry_auth(image).await?)
        .body(empty())
        .map_err(|source| Error::new(ErrorKind::Unexpected, "a push request is wrong").with_source(source))?;
    let mut messages = engine.http().post_messages::<Message>(request).await?;
    let mut digest = None;
    while let Some(message) = messages.next().await {
        let message = message?;
        if let Some(failure) = message.failure() {
            return Err(crate::error::from_message(failure, ErrorKind::PushFailed));
        }
        if let Some(progress) = message.progress(step) {
            events.send(BuildEvent::Progress(progress));
        }
        digest = digest_in(&message).or(digest);
    }
    Ok(digest)
}

/// The digest in a message: `aux`, or the last word of the status (`1: digest: sha256:… size: 528`).
fn digest_in(message: &Message) -> Option<Digest> {
    if let Some(digest) = message.aux.as_ref().and_then(|aux| aux.digest.as_deref()) {
        return digest.parse().ok();
    }
    let (_, rest) = message.status.as_deref()?.split_once("digest: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_found_in_both_forms() {
        let hex = "0".repeat(64);
        for text in [
            format!(r#"{{"progressDetail":{{}},"aux":{{"Tag":"1","Digest":"sha256:{hex}","Size":528}}}}"#),
            format!(r#"{{"status":"1: digest: sha256:{hex} size: 528"}}"#),
        ] {
            let digest = digest_in(&serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(digest.to_string(), format!("sha256:{hex}"));
        }
        assert!(digest_in(&serde_json::from_str(r#"{"status":"Pushed","id":"x"}"#).unwrap()).is_none());
    }
}
