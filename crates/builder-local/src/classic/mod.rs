//! Builds with the engine's classic builder: one archive in, one stream of text out. Podman's only way.

mod events;
mod query;

use futures_util::StreamExt;
use wharf_core::event::{BuildEvent, ContextProgress, EventSink};
use wharf_core::{ArchiveFormat, BuildContext, Error, ErrorKind, Result};

pub(crate) use self::events::ClassicEvents;
use crate::credentials::Logins;
use crate::engine::Engine;
use crate::engine::http::{post, streamed};
use crate::engine::message::Message;
use crate::plan::BuildPlan;

/// Builds, and returns the image's id where the engine tells it.
///
/// Dropping the future closes the connection, at which the engine stops the build and removes its container.
pub(crate) async fn build(
    engine: &Engine,
    plan: &BuildPlan,
    logins: &Logins,
    events: &EventSink,
) -> Result<Option<String>> {
    let body = streamed(archive(&plan.context, events.clone()));
    let request = post("/build", &query::of(plan, engine.info().kind)?)
        .header("content-type", "application/x-tar")
        .header(
            "x-registry-config",
            logins.registry_config(&plan.parent_registries()).await?,
        )
        .body(body)
        .map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a build request is wrong").with_source(source)
        })?;
    let mut messages = engine
        .http()
        .post_messages::<Message>(request)
        .await
        .map_err(|error| plan.context_error(error))?;
    let mut reader = ClassicEvents::new(events.clone(), &plan.dockerfile_text());
    let mut image_id = None;
    while let Some(message) = messages.next().await {
        let message = message?;
        if let Some(failure) = message.failure() {
            return Err(reader.failed(
                failure,
                message.error_detail.as_ref().and_then(|detail| detail.code),
            ));
        }
        image_id = message.aux.as_ref().and_then(|aux| aux.id.clone()).or(image_id);
        reader.read(&message);
    }
    reader.finished();
    Ok(image_id.or_else(|| reader.image_id()))
}

/// The context as an archive, with an event every time a mebibyte went out.
fn archive(
    context: &BuildContext,
    events: EventSink,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes>> + Send + 'static {
    const REPORT_EVERY: u64 = 1 << 20;
    let progress = |bytes, done| {
        BuildEvent::Context(ContextProgress {
            bytes,
            total_bytes: None,
            files: 0,
            done,
        })
    };
    let (mut sent, mut reported) = (0, 0);
    let ends = futures_util::stream::once(async { None });
    context
        .stream_archive(ArchiveFormat::Tar)
        .map(Some)
        .chain(ends)
        .filter_map(move |chunk| {
            if let Some(Ok(chunk)) = &chunk {
                sent += chunk.len() as u64;
            }
            if chunk.is_none() || sent - reported >= REPORT_EVERY {
                reported = sent;
                events.send(progress(sent, chunk.is_none()));
            }
            std::future::ready(chunk)
        })
}
