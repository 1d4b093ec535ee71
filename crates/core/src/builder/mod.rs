//! Image builders: the trait, what a build is asked and answers, and what a builder can do.

mod capabilities;
mod garbage;
mod memory;
mod owner;
mod request;

use std::fmt::Debug;

use async_trait::async_trait;

pub use self::capabilities::{Capabilities, ContextTransfer, DockerfileDialect};
pub use self::garbage::{GarbagePolicy, Leftover};
pub use self::memory::MemoryImageBuilder;
pub use self::owner::Owner;
pub use self::request::{BuildOutcome, BuildRequest};
use crate::event::EventSink;
use crate::stack::Stack;
use crate::{BuildContext, Platform, Result};

/// Builds container images somewhere: on an engine, in a cluster, in a cloud service.
///
/// The trait is object safe; programs hold builders as `Arc<dyn ImageBuilder>` and ask
/// [`capabilities`](Self::capabilities) instead of [`flavor`](Self::flavor) when they must decide
/// something.
///
/// # How builders differ
///
/// | | where it builds | context travels as | result of a build without a registry |
/// | --- | --- | --- | --- |
/// | `local` | the user's engine | file sync (BuildKit) or tar (classic) | the image in the engine's store |
/// | `kaniko` | a pod of a Kubernetes cluster | one tar.gz, over the connection to the pod or through a store | refused |
/// | `aws` | AWS CodeBuild | a zip in S3 | none: every build is pushed |
/// | `memory` | nowhere | is only scanned | a made-up image id |
///
/// Builders in a cluster or a cloud push and need a registry; they say so in
/// [`Capabilities::needs_registry`].
#[async_trait]
pub trait ImageBuilder: Debug + Send + Sync {
    /// The name of the flavor, as in a stack file: `local`.
    fn flavor(&self) -> &str;

    /// Whether images are built on the client's machine, so that a registry on loopback can be reached.
    fn is_building_locally(&self) -> bool;

    /// Whether the builder reaches a registry on loopback of the client's machine.
    fn reaches_local_registries(&self) -> bool {
        self.is_building_locally()
    }

    /// What this builder can do at its best, known without asking anybody: a plan made from it needs no
    /// network.
    fn capabilities(&self) -> Capabilities;

    /// What this builder can do right now, asked from the engine or service behind it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when nothing answers.
    async fn probe(&self) -> Result<Capabilities> {
        Ok(self.capabilities())
    }

    /// The platform of images whose [options](crate::options::DockerBuildOptions::platforms) name none, asked from
    /// the engine or service behind the builder. None: it cannot be known, or nothing answers.
    async fn default_platform(&self) -> Option<Platform> {
        None
    }

    /// Checks the stack this builder is a part of, beyond what follows from the
    /// [`capabilities`](Self::capabilities). Returns every problem, each a full sentence; nothing is sent.
    fn validate(&self, stack: &Stack) -> Vec<String> {
        let _ = stack;
        Vec::new()
    }

    /// Removes what builds have left behind that were killed, and nothing that a running build needs; in the stack's
    /// artifact store, too, if it has one. Returns what was found; the default finds nothing.
    ///
    /// # Errors
    ///
    /// When the backend could not be asked, or refused to remove something.
    async fn collect_garbage(&self, stack: &Stack, policy: &GarbagePolicy) -> Result<Vec<Leftover>> {
        let _ = (stack, policy);
        Ok(Vec::new())
    }

    /// Changes the context to what the backend wants, before anything is sent. For builders whose service
    /// expects files of its own; the default takes the context as it is.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way of the change.
    fn adapt_context(&self, context: BuildContext) -> Result<BuildContext> {
        Ok(context)
    }

    /// Builds an image and, if the request names a registry, pushes it there.
    ///
    /// Everything that can be checked is checked before anything is sent: the reference belongs to the
    /// registry, the Dockerfile exists, every option can be honoured.
    ///
    /// # On cancel
    ///
    /// When the request's token fires, or the returned future is dropped, the remote work is stopped and what
    /// was made for it (containers, pods, uploads) is removed. A fired token gives
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    ///
    /// # Errors
    ///
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput), [`NotFound`](crate::ErrorKind::NotFound),
    ///   [`Unsupported`](crate::ErrorKind::Unsupported): found before anything was sent;
    /// - [`BuildFailed`](crate::ErrorKind::BuildFailed): an instruction ended with an error. The context holds
    ///   `step` (the step's name), and `dockerfile`, `dockerfile_line`, `dockerfile_end_line` where the backend tells them;
    /// - [`PushFailed`](crate::ErrorKind::PushFailed),
    ///   [`Unauthenticated`](crate::ErrorKind::Unauthenticated): the image was built but is not in the
    ///   registry;
    /// - [`Unavailable`](crate::ErrorKind::Unavailable): the backend could not be reached.
    async fn build(&self, request: BuildRequest, events: EventSink) -> Result<BuildOutcome>;
}
