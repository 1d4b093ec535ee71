//! The artifact store `s3`.

mod location;
mod parts;
mod settings;
mod store;
mod upload;

pub use self::location::S3Location;
pub use self::store::{S3ArtifactStore, artifact_store_flavor};
