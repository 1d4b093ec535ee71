#![doc = include_str!("docs.md")]

mod backend;
mod buildkit;
mod classic;
mod config;
mod credentials;
mod doctor;
pub mod engine;
mod error;
mod plan;
mod push;
mod subprocess;

pub use backend::{LocalImageBuilder, flavor};
pub use config::LocalImageBuilderConfig;
pub use doctor::diagnose;
