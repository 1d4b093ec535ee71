//! The rules of an ignore file: reading them, matching paths with them.

mod clean;
mod file;
mod pattern;
mod reach;
mod regexp;
mod rules;

pub(crate) use rules::Matched;
pub use rules::{IgnoreRules, MatchedRules};
