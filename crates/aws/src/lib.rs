#![doc = include_str!("docs.md")]

mod access;
mod connector;
mod ecr;
mod error;
mod http;
mod s3;

pub use aws_config::SdkConfig;

pub use access::AwsAccess;
pub use connector::{AwsConnector, AwsIdentity};
pub use ecr::{EcrAddress, EcrRegistry, registry_flavor};
pub use error::{SdkFailure, expired_credentials, from_sdk};
pub use s3::{S3ArtifactStore, S3Location, artifact_store_flavor};
