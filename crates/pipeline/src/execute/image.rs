//! One image: found, tagged, or built and pushed.

use std::sync::Arc;

use wharf_core::builder::BuildRequest;
use wharf_core::event::{BuildEvent, EventSink, ImageDigest, Warning};
use wharf_core::options::SecretSource;
use wharf_core::registry::ContainerRegistry;
use wharf_core::{BuildContext, Error, ErrorKind, FileSource, ImageReference, Platform, Result, Secret};
use wharf_registry::RegistryClient;

use super::content_key::{ContentKey, Ingredients, parents};
use super::{Done, Executor, ReadyImage};
use crate::gather::index_credentials::printable_parts;
use crate::plan::{Action, BuildInstructions, ImagePlan, PullParent};

/// An image of the plan that another is built on.
#[derive(Debug, Clone)]
pub(super) struct Parent {
    pub(super) reference: String,
    pub(super) content_key: Option<ContentKey>,
}

/// Makes an image ready. `platform` is that of images whose options name none.
pub(super) async fn make_ready(
    executor: &Executor,
    image: &ImagePlan,
    parent: Option<Parent>,
    platform: Option<Platform>,
    events: &EventSink,
) -> Result<(ReadyImage, Option<ContentKey>)> {
    match (image.action, &image.instructions) {
        (Action::Build | Action::Reuse, Some(instructions)) => {
            built_or_reused(executor, image, instructions, parent, platform, events).await
        }
        (Action::Tag, _) => Ok((tagged(executor, image, events).await?, None)),
        _ => Ok((
            ReadyImage {
                reference: image.image.clone(),
                digest: None,
                done: Done::Used,
            },
            None,
        )),
    }
}

async fn built_or_reused(
    executor: &Executor,
    image: &ImagePlan,
    instructions: &BuildInstructions,
    parent: Option<Parent>,
    platform: Option<Platform>,
    events: &EventSink,
) -> Result<(ReadyImage, Option<ContentKey>)> {
    let context = instructions.context()?;
    let key = content_key(instructions, &context, parent.as_ref(), platform, events).await?;
    let registry = executor.registry.as_ref().filter(|_| image.push);
    let client = registry
        .map(|registry| RegistryClient::new(Arc::clone(registry)))
        .transpose()?;
    let may_reuse = executor.reuse && !image.prevent_reuse;
    if let Some(client) = client.as_ref().filter(|_| may_reuse)
        && let Some(ready) = find(client, &instructions.image, &key, events).await?
    {
        return Ok((ready, Some(key)));
    }
    let request = request(executor, instructions, context, registry).await;
    let events = events.clone().redacting(printable(instructions));
    let outcome = executor.builder.build(request, events.clone()).await?;
    if let Some(client) = &client {
        // So that the next one finds it. The image is good without it.
        if let Err(error) = client.tag(&outcome.image, &key.tag()).await {
            let message = format!("{} will not be found by later builds", image.image);
            events.warn(Warning::new(message).with_detail([error.to_string()]));
        }
    }
    let ready = ReadyImage {
        reference: outcome.reference(),
        digest: outcome.digest,
        done: Done::Built,
    };
    Ok((ready, Some(key)))
}

/// What of the secrets of a build could show up in its log, beside each secret as a whole.
fn printable(instructions: &BuildInstructions) -> Vec<Secret> {
    let secrets = instructions.options.secrets.iter();
    let values = secrets.filter_map(|secret| match &secret.source {
        SecretSource::Value(value) => Some(value),
        _ => None,
    });
    values.flat_map(printable_parts).collect()
}

/// Looks for an image with the same key in the repository, and gives it the wanted name.
async fn find(
    client: &RegistryClient,
    image: &ImageReference,
    key: &ContentKey,
    events: &EventSink,
) -> Result<Option<ReadyImage>> {
    let known = image.with_tag(&key.tag())?;
    if client.digest_of(&known).await?.is_none() {
        return Ok(None);
    }
    let named = client.tag(&known, image.tag_or_latest()).await?;
    let digest = named.digest().cloned();
    let reference = digest.as_ref().map_or_else(
        || image.familiar(),
        |digest| format!("{}@{digest}", image.repository()),
    );
    events.send(BuildEvent::Digest(ImageDigest {
        reference: reference.clone(),
    }));
    Ok(Some(ReadyImage {
        reference,
        digest,
        done: Done::Reused,
    }))
}

async fn content_key(
    instructions: &BuildInstructions,
    context: &BuildContext,
    parent: Option<&Parent>,
    platform: Option<Platform>,
    events: &EventSink,
) -> Result<ContentKey> {
    let dockerfile = &instructions.dockerfile.1;
    let mut meanings = Vec::new();
    for name in parents(dockerfile, &instructions.options) {
        let meaning = match parent.filter(|parent| is_parent(parent, &name)) {
            Some(Parent {
                content_key: Some(key),
                ..
            }) => key.to_string(),
            _ => meaning(&name, events).await,
        };
        meanings.push((name, meaning));
    }
    let context = context.clone();
    let (dockerfile, options) = (dockerfile.clone(), instructions.options.clone());
    // Reads every file of the context.
    let hash = move || {
        let ingredients = Ingredients {
            dockerfile: &dockerfile,
            context: &context,
            parents: meanings,
            options: &options,
            platform,
        };
        ContentKey::of(&ingredients)
    };
    tokio::task::spawn_blocking(hash).await.map_err(|source| {
        Error::new(ErrorKind::Unexpected, "reading the build context stopped").with_source(source)
    })?
}

/// Whether a name in a Dockerfile is the image of the plan that it is built on: the name has the tag, the
/// result may have the digest instead.
fn is_parent(parent: &Parent, name: &str) -> bool {
    let repository = |text: &str| {
        text.parse::<ImageReference>()
            .map(|reference| reference.repository())
            .ok()
    };
    repository(&parent.reference).is_some_and(|it| Some(it) == repository(name))
}

/// What the name of a parent means now: the digest that its registry has, or the name itself where no registry
/// answers.
async fn meaning(name: &str, events: &EventSink) -> String {
    let resolve = async {
        let image: ImageReference = name.parse()?;
        if let Some(digest) = image.digest() {
            return Ok(Some(digest.clone()));
        }
        RegistryClient::for_image(&image)?.digest_of(&image).await
    };
    match resolve.await {
        Ok(Some(digest)) => digest.to_string(),
        Ok(None) => name.to_owned(),
        Err(error) => {
            let message = format!("{name} could not be looked up: that it changed would not be noticed");
            events.warn(Warning::new(message).with_detail([error.to_string()]));
            name.to_owned()
        }
    }
}

async fn request(
    executor: &Executor,
    instructions: &BuildInstructions,
    context: BuildContext,
    registry: Option<&Arc<dyn ContainerRegistry>>,
) -> BuildRequest {
    let mut options = instructions.options.clone();
    options.pull = match instructions.pull {
        PullParent::Given(pull) => pull,
        PullParent::No => false,
        PullParent::UnlessLocal => in_registries(instructions).await,
    };
    BuildRequest {
        options,
        registry: registry.cloned(),
        artifact_store: executor.artifact_store.clone(),
        cancel: executor.cancel.clone(),
        ..BuildRequest::new(instructions.image.clone(), context)
    }
}

/// Whether every parent can be pulled. An image that only the builder's own store has cannot.
async fn in_registries(instructions: &BuildInstructions) -> bool {
    for name in parents(&instructions.dockerfile.1, &instructions.options) {
        let Ok(image) = name.parse::<ImageReference>() else {
            return false;
        };
        let Ok(client) = RegistryClient::for_image(&image) else {
            return false;
        };
        if !matches!(client.digest_of(&image).await, Ok(Some(_))) {
            return false;
        }
    }
    true
}

/// Gives the parent image the wanted name: a build that adds nothing, which every builder can do wherever the
/// parent image is.
async fn tagged(executor: &Executor, image: &ImagePlan, events: &EventSink) -> Result<ReadyImage> {
    let parent = image.parent_image.clone().unwrap_or_default();
    let mut context = BuildContext::empty();
    let dockerfile = format!("FROM {parent}\n");
    context.add_file("Dockerfile", FileSource::Bytes(dockerfile.into()), None)?;
    let request = BuildRequest {
        registry: executor.registry.clone().filter(|_| image.push),
        artifact_store: executor.artifact_store.clone(),
        cancel: executor.cancel.clone(),
        ..BuildRequest::new(image.image.parse()?, context)
    };
    let outcome = executor.builder.build(request, events.clone()).await?;
    Ok(ReadyImage {
        reference: outcome.reference(),
        digest: outcome.digest,
        done: Done::Tagged,
    })
}
