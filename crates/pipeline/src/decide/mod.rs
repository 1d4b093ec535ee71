//! Decisions before anything is built: where the code of a step comes from, which images a pipeline needs, and
//! what they are called. No answer depends on the order of the steps.

mod code;
mod images;
mod names;

pub(crate) use self::code::check_repository;
pub use self::code::{CodeSource, PipelineCode};
pub use self::images::{ExtraRequirements, ImageRequest, ORCHESTRATOR_KEY, orchestrator_images};
pub(crate) use self::names::{default_tag, intermediate_tag, unique_tag};
