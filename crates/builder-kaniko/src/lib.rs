#![doc = include_str!("docs.md")]

mod arguments;
mod attach;
mod backend;
mod client;
mod config;
#[cfg(test)]
mod conformance;
mod credentials;
mod diagnosis;
mod dockerfile;
mod error;
mod executor;
mod garbage;
mod logs;
mod manifest;
mod output;
mod plan;
mod pod_watch;
mod preflight;
mod run;
mod store;
mod verify;

pub use backend::{KanikoImageBuilder, flavor};
pub use config::{KanikoExecutor, KanikoImageBuilderConfig};
