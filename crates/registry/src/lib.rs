//! A client of the OCI distribution API, for what wharf asks registries: which digest a tag has, whether
//! images can be pushed, and another tag for an image that is there. No image content is moved.
//!
//! One [`RegistryClient`] serves one registry. It speaks HTTP without TLS only where the
//! [registry](wharf_core::ContainerRegistry::plain_http) says so, trusts the system's certificates (or those
//! in `SSL_CERT_FILE` and `SSL_CERT_DIR`) and the registry's own, goes through the proxies that the usual
//! variables name except on loopback, and logs in when it is asked to: credentials are not even looked up
//! for a registry that lets everybody in.
//!
//! Nothing is retried here. [`Error::is_retryable`](wharf_core::Error::is_retryable) says where a retry can
//! help. A call that is dropped stops; what [`RegistryClient::check_push`] may leave behind is said there.

mod auth;
mod client;
mod config;
mod error;
mod manifest;
mod pushed;
mod session;
mod tls;

pub use client::RegistryClient;
pub use manifest::RawManifest;
pub use pushed::{confirm_pushed, prepare_push};
