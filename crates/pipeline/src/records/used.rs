//! Using the images of a build that was.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use wharf_core::registry::ContainerRegistry;
use wharf_core::{Error, ErrorKind, ImageReference, Result};
use wharf_registry::RegistryClient;

use super::BuildRecord;

impl BuildRecord {
    /// The images of this build for keys, each asked for at its registry: `registry` where it is in that one, else
    /// with what Docker and Podman have stored. Images that are with a builder alone are not looked for.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) naming every key that the build has no image for,
    /// [`NotFound`](ErrorKind::NotFound) naming every image that its registry has no more, and what keeps a
    /// registry from answering.
    pub async fn images_for(
        &self,
        keys: &[String],
        registry: Option<Arc<dyn ContainerRegistry>>,
    ) -> Result<BTreeMap<String, String>> {
        let (known, missing): (Vec<&String>, Vec<&String>) =
            keys.iter().partition(|key| self.images.contains_key(*key));
        if !missing.is_empty() {
            let message = format!("the build {} has no image for {}", self.id, listed(&missing));
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_hint("`wharf pipeline builds describe ID` shows what it has."));
        }
        let images: BTreeMap<String, String> = known
            .into_iter()
            .map(|key| (key.clone(), self.images[key].reference.clone()))
            .collect();
        let own = registry.map(RegistryClient::new).transpose()?;
        let mut pushed: Vec<&String> = images
            .values()
            .filter(|reference| reference.contains('@'))
            .collect();
        pushed.sort();
        pushed.dedup();
        let gone = try_join_all(
            pushed
                .into_iter()
                .map(|reference| is_gone(reference, own.as_ref())),
        )
        .await?;
        let gone: Vec<&String> = gone.into_iter().flatten().collect();
        match gone.is_empty() {
            true => Ok(images),
            false => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "images of the build {} are gone from the registry: {}",
                    self.id,
                    listed(&gone)
                ),
            )
            .with_hint("Build anew, without naming a build.")),
        }
    }
}

fn listed(names: &[&String]) -> String {
    names
        .iter()
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The reference, if its registry has it no more.
async fn is_gone<'a>(reference: &'a String, own: Option<&RegistryClient>) -> Result<Option<&'a String>> {
    let image: ImageReference = reference.parse()?;
    let client = match own.filter(|client| client.registry().address().domain() == image.domain()) {
        Some(client) => client.clone(),
        None => RegistryClient::for_image(&image)?,
    };
    Ok(client.digest_of(&image).await?.is_none().then_some(reference))
}
