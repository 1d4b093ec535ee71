//! End-to-end tests across crates, through the public interfaces only.
//!
//! What a test needs is in its name: `engine_`, `podman_`, `registry_`, `amazon_`.

#![allow(clippy::unwrap_used, reason = "a test may unwrap what it has just set up")]

mod amazon;
mod builders;
mod digests;
mod pipelines;
