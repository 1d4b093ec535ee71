//! End-to-end tests across crates, through the public interfaces only.
//!
//! What a test needs is in its name: `engine_`, `podman_`, `registry_`.

mod builders;
