//! wharf measured against what other programs really answer; see README.md in this directory.

mod context;
mod registry;
