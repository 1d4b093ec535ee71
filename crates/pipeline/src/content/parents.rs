//! What the names of parent images mean now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use wharf_core::dockerfile::parent_images;
use wharf_core::event::{EventSink, Warning};
use wharf_core::{Digest, ImageReference, Result};
use wharf_registry::RegistryClient;

use crate::plan::BuildInstructions;

/// The parents that a Dockerfile names, arguments replaced.
pub(crate) fn parent_names(instructions: &BuildInstructions) -> Vec<String> {
    let arguments = &instructions.options.build_args;
    parent_images(&instructions.dockerfile.1, |name| arguments.get(name).cloned())
}

type Answer = Arc<OnceCell<Option<Digest>>>;

/// Asks registries what names mean, each name once.
#[derive(Debug, Default)]
pub(crate) struct ParentDigests {
    /// The registry that images go to: what is configured for it, such as a login, serves for parents in it.
    registry: Option<RegistryClient>,
    clients: Mutex<HashMap<String, RegistryClient>>,
    answers: Mutex<HashMap<String, Answer>>,
}

impl ParentDigests {
    pub(crate) fn new(registry: Option<RegistryClient>) -> Self {
        Self {
            registry,
            ..Self::default()
        }
    }

    /// The digest that the registry of a name has for it now; none where it has none, or does not answer, which
    /// is warned of once.
    pub(crate) async fn digest(&self, name: &str, events: &EventSink) -> Option<Digest> {
        let answer = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(answers.entry(name.to_owned()).or_default())
        };
        let ask = || async {
            self.ask(name).await.unwrap_or_else(|error| {
                let message = format!("{name} could not be looked up: that it changed would not be noticed");
                events.warn(Warning::new(message).with_detail([error.to_string()]));
                None
            })
        };
        answer.get_or_init(ask).await.clone()
    }

    /// The digest of a name, or the name itself where no registry has one.
    pub(crate) async fn meaning(&self, name: &str, events: &EventSink) -> String {
        match self.digest(name, events).await {
            Some(digest) => digest.to_string(),
            None => name.to_owned(),
        }
    }

    async fn ask(&self, name: &str) -> Result<Option<Digest>> {
        let image: ImageReference = name.parse()?;
        if let Some(digest) = image.digest() {
            return Ok(Some(digest.clone()));
        }
        self.client(&image)?.digest_of(&image).await
    }

    fn client(&self, image: &ImageReference) -> Result<RegistryClient> {
        let own = self.registry.as_ref();
        if let Some(client) = own.filter(|client| client.registry().address().domain() == image.domain()) {
            return Ok(client.clone());
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(image.domain()) {
            return Ok(client.clone());
        }
        let client = RegistryClient::for_image(image)?;
        clients.insert(image.domain().to_owned(), client.clone());
        Ok(client)
    }
}
