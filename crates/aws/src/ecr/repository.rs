//! The repositories of ECR, which must exist before the first push.

use aws_sdk_ecr::types::ImageTagMutability;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use wharf_core::{Error, ErrorKind, Result};

use crate::{AwsAccess, from_sdk};

const LOOK: &str = "look for the repository in ECR";
const MAKE: &str = "make the repository in ECR";

/// How a repository is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making {
    pub(super) wanted: bool,
    pub(super) immutable_tags: bool,
}

/// Sees to it that a repository of an account's registry exists. The account is the caller's own where the host does
/// not say it.
pub(super) async fn of_account(
    access: &AwsAccess,
    account: Option<&str>,
    name: &str,
    making: Making,
) -> Result<()> {
    let client = aws_sdk_ecr::Client::new(&access.sdk().await?);
    let look = client.describe_repositories().repository_names(name);
    let found = look.set_registry_id(account.map(str::to_owned)).send().await;
    let Err(error) = found else { return Ok(()) };
    let error = from_sdk(LOOK, "ecr:DescribeRepositories", error);
    if error.kind() == ErrorKind::PermissionDenied {
        // Whoever may only push need not be able to look.
        return Ok(());
    }
    may_be_made(error, name, making)?;
    let tags = if making.immutable_tags {
        ImageTagMutability::Immutable
    } else {
        ImageTagMutability::Mutable
    };
    let make = client
        .create_repository()
        .repository_name(name)
        .image_tag_mutability(tags);
    match make.set_registry_id(account.map(str::to_owned)).send().await {
        Err(error) if error.code() != Some("RepositoryAlreadyExistsException") => {
            Err(from_sdk(MAKE, "ecr:CreateRepository", error))
        }
        _ => Ok(()),
    }
}

/// The same for the caller's part of the public registry. `path` begins with the registry's alias.
pub(super) async fn of_public(access: &AwsAccess, path: &str, making: Making) -> Result<()> {
    let client = aws_sdk_ecrpublic::Client::new(&access.sdk().await?);
    let name = path.split_once('/').map_or(path, |(_, name)| name);
    let Err(error) = client.describe_repositories().repository_names(name).send().await else {
        return Ok(());
    };
    let error = from_sdk(LOOK, "ecr-public:DescribeRepositories", error);
    if error.kind() == ErrorKind::PermissionDenied {
        return Ok(());
    }
    may_be_made(error, name, making)?;
    match client.create_repository().repository_name(name).send().await {
        Err(error) if error.code() != Some("RepositoryAlreadyExistsException") => {
            Err(from_sdk(MAKE, "ecr-public:CreateRepository", error))
        }
        _ => Ok(()),
    }
}

/// Goes on only if the repository is what is missing, and it is to be made.
fn may_be_made(error: Error, name: &str, making: Making) -> Result<()> {
    match error.kind() {
        ErrorKind::NotFound if making.wanted => Ok(()),
        ErrorKind::NotFound => Err(Error::new(ErrorKind::NotFound, format!("there is no repository `{name}` in ECR"))
            .with_hint(format!(
                "Make it with `aws ecr create-repository --repository-name {name}`, or set `create_repository: true` in the \
                 registry's configuration."
            ))),
        _ => Err(error),
    }
}
