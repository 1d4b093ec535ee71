//! A registry's password in Secrets Manager, for as long as a build needs it.

use aws_sdk_secretsmanager::Client;
use wharf_aws::{SdkConfig, from_sdk};
use wharf_core::{Result, Secret};

/// How the names of secrets begin, for the policies of caller and project.
const PREFIX: &str = "wharf/registry-password/";

/// Stores a password under a new name, and gives the name.
pub(crate) async fn store(sdk: &SdkConfig, id: &str, password: &Secret) -> Result<String> {
    let name = format!("{PREFIX}{id}");
    let call = Client::new(sdk)
        .create_secret()
        .name(&name)
        .client_request_token(id)
        .description("A container registry's password, for one build of wharf; deleted when it ends")
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
