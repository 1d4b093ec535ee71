//! The traits and types of wharf: what every image builder has in common.
//!
//! This crate holds no SDK and no HTTP client. Builders live in crates of their own and depend on this
//! one; a program picks them through the features of the facade crate `wharf`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`builder`] | the trait [`ImageBuilder`](builder::ImageBuilder), its request, its outcome, its capabilities |
//! | [`context`] | the files a build may use, the rules that leave some out, archives, digests |
//! | [`dockerfile`] | what wharf reads of a Dockerfile |
//! | [`options`] | how an image is to be built |
//! | [`registry`] | container registries, which image belongs to which, credentials |
//! | [`artifact_store`] | where builders without a connection to the client get files from |
//! | [`flavor`], [`stack`] | components from configuration, and sets of them |
//! | [`event`] | what happens during a build |
//! | [`doctor`] | checks of the surroundings, each with a cure |
//! | [`error`] | the one error type |

pub mod artifact_store;
pub mod builder;
pub mod context;
pub mod dockerfile;
pub mod doctor;
pub mod error;
pub mod event;
pub mod flavor;
pub mod options;
mod platform;
mod random;
pub mod reference;
pub mod registry;
mod secret;
pub mod stack;

pub use context::{ArchiveFormat, BuildContext, ContextEntry, EntryKind, FileSource, IgnoreRules};
pub use error::{Error, ErrorKind, Result};
pub use platform::Platform;
pub use random::random_name;
pub use reference::{Digest, ImageReference, sanitize_tag};
pub use registry::{ContainerRegistry, RegistryCredentials};
pub use secret::Secret;
