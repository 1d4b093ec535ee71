//! One image: looked for, tagged, or built and pushed.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use tokio::sync::OnceCell;
use wharf_core::builder::BuildRequest;
use wharf_core::event::{BuildEvent, EventSink, ImageDigest, Warning};
use wharf_core::options::SecretSource;
use wharf_core::{BuildContext, Digest, Error, ErrorKind, FileSource, Platform, Result, Secret};
use wharf_registry::RegistryClient;

use super::{Done, Executor, ReadyImage};
use crate::content::{CodeDigests, ContentKey, ContentParts, ParentDigests, parent_names};
use crate::gather::index_credentials::printable_parts;
use crate::plan::{Action, BuildInstructions, ImagePlan, PullParent};

/// What all images of an execution share, so that nothing is read or asked twice.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) executor: &'a Executor,
    code: Arc<CodeDigests>,
    client: OnceLock<RegistryClient>,
    parents: ParentDigests,
    /// The platform of images whose options name none.
    platform: OnceCell<Option<Platform>>,
}

/// What is known about an image before it is looked for.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) key: ContentKey,
    pub(super) parts: ContentParts,
    context: BuildContext,
}

impl<'a> Shared<'a> {
    pub(super) fn new(executor: &'a Executor) -> Self {
        let client = OnceLock::new();
        // An error here comes again where an image needs the client, and is told there.
        if let Some(made) = executor
            .registry
            .clone()
            .and_then(|registry| RegistryClient::new(registry).ok())
        {
            let _ = client.set(made);
        }
        Self {
            executor,
            code: Arc::default(),
            parents: ParentDigests::new(client.get().cloned()),
            client,
            platform: OnceCell::new(),
        }
    }

    /// The builder's own platform. An engine on this machine has that of this machine, whether it answers or not.
    async fn platform(&self) -> Option<&Platform> {
        let builder = self.executor.builder.as_ref();
        let here = || builder.is_building_locally().then(Platform::of_this_machine);
        let ask = || async { builder.default_platform().await.or_else(here) };
        self.platform.get_or_init(ask).await.as_ref()
    }

    /// A client of the registry that an image goes to; none: it stays with the builder.
    fn client(&self, image: &ImagePlan) -> Result<Option<RegistryClient>> {
        let Some(registry) = self.executor.registry.as_ref().filter(|_| image.push) else {
            return Ok(None);
        };
        match self.client.get() {
            Some(client) => Ok(Some(client.clone())),
            None => RegistryClient::new(Arc::clone(registry)).map(Some),
        }
    }
}

/// Reads what goes into an image. `parent` is the image of the plan that it is built on, with its key.
pub(super) async fn prepare(
    shared: &Shared<'_>,
    image: &ImagePlan,
    parent: Option<(&str, ContentKey)>,
    events: &EventSink,
) -> Result<Prepared> {
    let instructions = instructions(image)?;
    let context = instructions.context()?;
    let mut parents = BTreeMap::new();
    for name in parent_names(instructions) {
        let meaning = match &parent {
            Some((image, key)) if *image == name => key.to_string(),
            _ => shared.parents.meaning(&name, events).await,
        };
        parents.insert(name, meaning);
    }
    let code = code(shared, instructions).await?;
    let platform = match instructions.options.platforms.is_empty() {
        true => shared.platform().await,
        false => None,
    };
    let parts = ContentParts::of(instructions, code, parents, platform);
    Ok(Prepared {
        key: ContentKey::of(instructions, &parts),
        parts,
        context,
    })
}

/// Reads every file of the code, unless another image has done so.
async fn code(shared: &Shared<'_>, instructions: &BuildInstructions) -> Result<Option<String>> {
    let (code, instructions) = (Arc::clone(&shared.code), instructions.clone());
    let read = tokio::task::spawn_blocking(move || code.of(&instructions));
    read.await.map_err(|source| {
        Error::new(ErrorKind::Unexpected, "reading the build context stopped").with_source(source)
    })?
}

/// The digest of an image with this key in the repository; none: there is none, or the image goes to no registry.
pub(super) async fn digest_by_key(
    shared: &Shared<'_>,
    image: &ImagePlan,
    key: &ContentKey,
) -> Result<Option<Digest>> {
    match shared.client(image)? {
        None => Ok(None),
        Some(client) => {
            client
                .digest_of(&instructions(image)?.image.with_tag(&key.tag())?)
                .await
        }
    }
}

/// Looks for an image with the same key in the repository, and gives it the wanted name.
pub(super) async fn find(
    shared: &Shared<'_>,
    image: &ImagePlan,
    prepared: &Prepared,
    events: &EventSink,
) -> Result<Option<ReadyImage>> {
    let may_reuse = shared.executor.reuse && !image.prevent_reuse;
    let Some(client) = shared.client(image)?.filter(|_| may_reuse) else {
        return Ok(None);
    };
    let named = &instructions(image)?.image;
    let keyed = named.with_tag(&prepared.key.tag())?;
    // Where nothing changed the name is right already, and these two questions are all that is sent.
    let (known, current) = tokio::join!(client.digest_of(&keyed), client.digest_of(named));
    let Some(digest) = known? else {
        return Ok(None);
    };
    if current.ok().flatten().as_ref() != Some(&digest) {
        client.tag(&keyed, named.tag_or_latest()).await?;
    }
    let reference = format!("{}@{digest}", named.repository());
    events.send(BuildEvent::Digest(ImageDigest {
        reference: reference.clone(),
    }));
    Ok(Some(ReadyImage {
        reference,
        digest: Some(digest),
        done: Done::Reused,
    }))
}

/// Builds an image that was not found.
pub(super) async fn build(
    shared: &Shared<'_>,
    image: &ImagePlan,
    instructions: &BuildInstructions,
    prepared: Prepared,
    events: &EventSink,
) -> Result<ReadyImage> {
    let builder = &shared.executor.builder;
    let tag = prepared.key.tag();
    let mut options = instructions.options.clone();
    options.pull = match instructions.pull {
        PullParent::Given(pull) => pull,
        PullParent::No => false,
        PullParent::UnlessLocal => in_registries(shared, instructions, events).await,
    };
    let request = BuildRequest {
        options,
        ..request(shared, image, builder.adapt_context(prepared.context)?)?
    };
    let events = events.clone().redacting(printable(instructions));
    let outcome = builder.build(request, events.clone()).await?;
    if let Some(client) = shared.client(image)?
        && let Err(error) = client.tag(&outcome.image, &tag).await
    {
        // The next one will not find it; the image is good without that.
        let message = format!("{} will not be found by later builds", image.image);
        events.warn(Warning::new(message).with_detail([error.to_string()]));
    }
    Ok(ReadyImage {
        reference: outcome.reference(),
        digest: outcome.digest,
        done: Done::Built,
    })
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

/// Whether every parent can be pulled. An image that only the builder's own store has cannot.
async fn in_registries(shared: &Shared<'_>, instructions: &BuildInstructions, events: &EventSink) -> bool {
    for name in parent_names(instructions) {
        if shared.parents.digest(&name, events).await.is_none() {
            return false;
        }
    }
    true
}

/// An image for which nothing is put together: a parent under another name, or as it is.
pub(super) async fn without_build(
    shared: &Shared<'_>,
    image: &ImagePlan,
    events: &EventSink,
) -> Result<ReadyImage> {
    match image.action {
        Action::Tag => tagged(shared, image, events).await,
        _ => Ok(ReadyImage {
            reference: image.image.clone(),
            digest: None,
            done: Done::Used,
        }),
    }
}

/// Gives the parent image the wanted name: a build that adds nothing, which every builder can do wherever the
/// parent image is.
async fn tagged(shared: &Shared<'_>, image: &ImagePlan, events: &EventSink) -> Result<ReadyImage> {
    let parent = image.parent_image.clone().unwrap_or_default();
    let mut context = BuildContext::empty();
    let dockerfile = format!("FROM {parent}\n");
    context.add_file("Dockerfile", FileSource::Bytes(dockerfile.into()), None)?;
    let builder = &shared.executor.builder;
    let request = request(shared, image, builder.adapt_context(context)?)?;
    let outcome = builder.build(request, events.clone()).await?;
    Ok(ReadyImage {
        reference: outcome.reference(),
        digest: outcome.digest,
        done: Done::Tagged,
    })
}

/// A request without options.
fn request(shared: &Shared<'_>, image: &ImagePlan, context: BuildContext) -> Result<BuildRequest> {
    let executor = shared.executor;
    Ok(BuildRequest {
        registry: executor.registry.clone().filter(|_| image.push),
        artifact_store: executor.artifact_store.clone(),
        cancel: executor.cancel.clone(),
        ..BuildRequest::new(image.image.parse()?, context)
    })
}

fn instructions(image: &ImagePlan) -> Result<&BuildInstructions> {
    image.instructions.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::Unexpected,
            "an image that is built has no instructions",
        )
    })
}
