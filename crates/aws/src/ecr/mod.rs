//! Amazon's Elastic Container Registry.

mod address;
mod registry;
mod repository;
mod token;

pub use self::address::EcrAddress;
pub use self::registry::{EcrRegistry, registry_flavor};
pub(crate) use self::token::Tokens;
