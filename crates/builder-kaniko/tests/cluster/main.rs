//! Builds in a real cluster, with an executor that does as Kaniko does.

#![allow(clippy::unwrap_used, missing_docs, reason = "these are tests")]

mod builds;
mod cancel;
mod failures;
mod proxy;
mod restart;
mod store;
mod support;
