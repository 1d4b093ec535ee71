//! The command as a process: what stands on standard output, what on standard error, and the exit code.
//!
//! Tests that need a service are ignored and named after it. They find it through `WHARF_TEST_ENGINE`
//! (`unix:///…`), `WHARF_TEST_REGISTRY` (`host:port`), `WHARF_TEST_REGISTRY_AUTH` (`user:password@host:port`),
//! `WHARF_TEST_KUBECONFIG` (a path) and `WHARF_TEST_AWS` (`http://host:port`).

// Everything here is a test or helps one.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod build;
mod context;
mod gc_amazon;
mod general;
mod killed;
mod killed_cluster;
mod pipeline;
mod support;
mod terminal;
