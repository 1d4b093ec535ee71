//! Docker settings, plans and decisions, compared with what ZenML answers; see README.md in this directory.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod compare;
mod decisions;
mod disk;
mod dockerfile;
mod world;
