//! The real services that `cargo xtask test` starts, as it announces them.
//!
//! A test that needs one is `#[ignore]`d with the reason and has `engine_`, `podman_`, `registry_` or `cluster_` in its
//! name; the task runs it only where the service is there. So a missing variable here is a mistake in how
//! the test was started, and panics.

use std::sync::Arc;

use wharf_core::registry::{ContainerRegistry, FlavoredRegistry, RegistryConfig, RegistryFlavor};

fn variable(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) => value,
        Err(_) => panic!(
            "{name} is not set: run `cargo xtask test`, or `cargo xtask services up` and what it prints"
        ),
    }
}

/// The Docker engine, in the form of `DOCKER_HOST`.
#[must_use]
pub fn engine() -> String {
    variable("WHARF_TEST_ENGINE")
}

/// The Podman service, in the form of `DOCKER_HOST`.
#[must_use]
pub fn podman() -> String {
    variable("WHARF_TEST_PODMAN")
}

/// A small image with busybox, in the stores of both engines.
#[must_use]
pub fn busybox_image() -> String {
    variable("WHARF_TEST_BUSYBOX_IMAGE")
}

/// An image with Python and pip, in the stores of both engines.
#[must_use]
pub fn python_image() -> String {
    variable("WHARF_TEST_PARENT_IMAGE")
}

/// The kubeconfig of a cluster, with all rights in it.
#[must_use]
pub fn kubeconfig() -> String {
    variable("WHARF_TEST_KUBECONFIG")
}

/// An image in the cluster's nodes that does as Kaniko's executor does.
#[must_use]
pub fn kaniko_image() -> String {
    variable("WHARF_TEST_KANIKO_IMAGE")
}

/// The small image with busybox, in the registry that lets everybody in, as pods of the cluster reach it on the
/// node's own network.
#[must_use]
pub fn pushed_busybox_image() -> String {
    variable("WHARF_TEST_CLUSTER_PARENT_IMAGE")
}

/// The host and port of the registry that lets everybody in.
#[must_use]
pub fn registry_host() -> String {
    variable("WHARF_TEST_REGISTRY")
}

/// The registry that wants a password: user, password, host and port.
#[must_use]
pub fn protected_registry() -> (String, String, String) {
    let value = variable("WHARF_TEST_REGISTRY_AUTH");
    let parts = value.rsplit_once('@').and_then(|(login, host)| {
        let (user, password) = login.split_once(':')?;
        Some((user.to_owned(), password.to_owned(), host.to_owned()))
    });
    parts.unwrap_or_else(|| panic!("WHARF_TEST_REGISTRY_AUTH is not user:password@host"))
}

/// The registry that lets everybody in, as a component.
#[must_use]
pub fn open_registry() -> Arc<dyn ContainerRegistry> {
    component(RegistryConfig {
        uri: registry_host(),
        ..RegistryConfig::default()
    })
}

/// The registry that wants a password, as a component with this password instead of the right one where it
/// is given.
#[must_use]
pub fn registry_with_password(instead: Option<&str>) -> Arc<dyn ContainerRegistry> {
    let (username, password, uri) = protected_registry();
    component(RegistryConfig {
        uri,
        username: Some(username),
        password: Some(instead.unwrap_or(&password).into()),
        ..RegistryConfig::default()
    })
}

/// The server that plays Amazon's services, `http://127.0.0.1:PORT`.
#[must_use]
pub fn amazon() -> String {
    variable("WHARF_TEST_AWS")
}

/// The host and port of a registry that takes the tokens which that server gives out, as ECR does.
#[must_use]
pub fn ecr_host() -> String {
    variable("WHARF_TEST_ECR")
}

/// Amazon's own command `aws`.
#[must_use]
pub fn amazon_command() -> String {
    variable("WHARF_TEST_AWS_CLI")
}

/// The image in which builds of the played CodeBuild run: a shell, Python, `docker` and `aws`.
#[must_use]
pub fn codebuild_image() -> String {
    variable("WHARF_TEST_CODEBUILD_IMAGE")
}

fn component(config: RegistryConfig) -> Arc<dyn ContainerRegistry> {
    let registry = FlavoredRegistry::new(RegistryFlavor::Default, config);
    Arc::new(registry.unwrap_or_else(|error| panic!("{}", error.report())))
}
