//! The configuration of the flavor `local`. It lives in the core, where it can be checked without this crate.

pub use wharf_core::flavor::known::LocalImageBuilderConfig;
