//! Builds against an API server that answers by a script: what a real one does not do on demand.

#![allow(clippy::unwrap_used, missing_docs, reason = "these are tests")]

mod attach;
mod failures;
mod server;
mod store;
