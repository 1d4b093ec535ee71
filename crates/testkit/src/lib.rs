//! What tests of wharf share: [real services](services), services that are
//! played because they cannot be had, and the [suite] that every image builder must pass.
//!
//! The suite is run for a builder like this; each case becomes a test of its own:
//!
//! ```ignore
//! mod engine_registry_mine {
//!     wharf_testkit::image_builder_suite!("needs a Docker engine and a registry", super::subject());
//! }
//! ```

pub mod codebuild;
mod immutable_tags;
pub mod services;
pub mod suite;

pub use self::immutable_tags::immutable_tags;
