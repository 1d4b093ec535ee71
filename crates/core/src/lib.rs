//! The traits and types of wharf: what every image builder has in common.
//!
//! This crate holds no SDK and no HTTP client. Builders live in crates of their own and depend on this
//! one; a program picks them through the features of the facade crate `wharf`.

pub mod context;
pub mod doctor;
pub mod error;
pub mod event;
pub mod reference;
pub mod registry;
mod secret;

pub use context::{ArchiveFormat, BuildContext, ContextEntry, EntryKind, FileSource, IgnoreRules};
pub use error::{Error, ErrorKind, Result};
pub use reference::{Digest, ImageReference, sanitize_tag};
pub use registry::{ContainerRegistry, RegistryCredentials};
pub use secret::Secret;
