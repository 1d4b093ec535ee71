#![doc = include_str!("docs.md")]

mod backend;
mod buildspec;
mod cleanup;
mod config;
#[cfg(test)]
mod conformance;
mod environment;
mod failure;
mod garbage;
mod plain_progress;
mod plan;
mod secret;
mod source;
mod start;
mod watch;

pub use backend::{AwsImageBuilder, flavor};
pub use config::AwsImageBuilderConfig;
