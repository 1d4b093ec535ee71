//! A registry's password in Secrets Manager, for as long as a build needs it.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::DateTime;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};
use wharf_aws::{SdkConfig, from_sdk};
use wharf_core::builder::Owner;
use wharf_core::{Result, Secret};

/// How the names of secrets begin, for the policies of caller and project.
const PREFIX: &str = "wharf/registry-password/";

/// How the description begins; which process stored it follows.
const DESCRIPTION: &str =
    "A container registry's password, for one build of wharf; deleted when it ends. Process: ";

/// A password that is stored.
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) created: Option<DateTime>,
}

/// Stores a password under a new name, and gives the name.
pub(crate) async fn store(sdk: &SdkConfig, id: &str, password: &Secret) -> Result<String> {
    let name = format!("{PREFIX}{id}");
    let call = Client::new(sdk)
        .create_secret()
        .name(&name)
        .client_request_token(id)
        .description(format!("{DESCRIPTION}{}", Owner::this_process()))
        .secret_string(password.expose());
    let stored = call.send().await;
    stored.map_err(|error| {
        from_sdk(
            "store the registry's password",
            "secretsmanager:CreateSecret",
            error,
        )
    })?;
    Ok(name)
}

/// All that are stored, by whomever.
pub(crate) async fn list(sdk: &SdkConfig) -> Result<Vec<Stored>> {
    let names = Filter::builder()
        .key(FilterNameStringType::Name)
        .values(PREFIX)
        .build();
    let list = Client::new(sdk).list_secrets().filters(names);
    let mut pages = list.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| {
            from_sdk(
                "list the registries' passwords",
                "secretsmanager:ListSecrets",
                error,
            )
        })?;
        found.extend(page.secret_list.into_iter().flatten().filter_map(stored));
    }
    Ok(found)
}

/// None for a secret that is somebody else's: the service's filter goes by words.
fn stored(entry: SecretListEntry) -> Option<Stored> {
    let name = entry.name.filter(|name| name.starts_with(PREFIX))?;
    let owner = entry.description.as_deref()?.strip_prefix(DESCRIPTION)?;
    Some(Stored {
        name,
        owner: owner.parse().ok(),
        created: entry.created_date,
    })
}

/// Deletes a password at once. Without recovery: it is a copy.
pub(crate) async fn delete(sdk: &SdkConfig, name: &str) -> Result<()> {
    let call = Client::new(sdk)
        .delete_secret()
        .secret_id(name)
        .force_delete_without_recovery(true);
    let deleted = call.send().await;
    deleted.map_err(|error| {
        from_sdk(
            "delete the registry's password",
            "secretsmanager:DeleteSecret",
            error,
        )
    })?;
    Ok(())
}
