//! The build context on its way through an artifact store.

use wharf_core::artifact_store::ArtifactStore;
use wharf_core::event::{BuildEvent, EventSink};
use wharf_core::{ArchiveFormat, BuildContext, Error, ErrorKind, Result};

/// Where contexts are in a store; ZenML's place.
const FOLDER: &str = "kaniko-build-contexts";

/// The schemes that Kaniko reads contexts from and that stores of wharf have.
pub(crate) const SCHEMES: [&str; 2] = ["s3", "gs"];

/// Sees to it that the store has the context's archive, and gives its address. It is named by its content, so the
/// same content is stored once, and stays for the builds to come.
///
/// # Errors
///
/// [`ErrorKind::InvalidConfiguration`] for a store that Kaniko cannot read from; what is wrong with the context; what
/// the store answers.
pub(crate) async fn upload(
    store: &dyn ArtifactStore,
    context: &BuildContext,
    events: &EventSink,
) -> Result<String> {
    check_scheme(store.uri())?;
    let name = format!("{FOLDER}/{}.{}", digest(context).await?, ArchiveFormat::TarGz);
    if let Some(found) = store.info(&name).await? {
        return Ok(found.uri);
    }
    let progress = events.clone();
    let archive = context.stream_archive_with(ArchiveFormat::TarGz, move |news| {
        progress.send(BuildEvent::Context(news));
    });
    let stored = store.put(&name, Box::pin(archive)).await;
    let stored = stored.map_err(|error| error.with_operation("store the build context"))?;
    Ok(stored.uri)
}

fn check_scheme(uri: &str) -> Result<()> {
    let scheme = uri.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| SCHEMES.contains(&scheme)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidConfiguration,
        format!("Kaniko cannot read its context from the artifact store `{uri}`"),
    )
    .with_hint("Use a store of S3 or Cloud Storage, or leave `store_context_in_artifact_store` out."))
}

async fn digest(context: &BuildContext) -> Result<String> {
    let context = context.clone();
    let digest = tokio::task::spawn_blocking(move || context.digest())
        .await
        .map_err(|source| {
            Error::new(ErrorKind::Unexpected, "reading the build context stopped").with_source(source)
        })??;
    Ok(digest.trim_start_matches("sha256:").to_owned())
}
