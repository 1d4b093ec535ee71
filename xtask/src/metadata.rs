//! The workspace as `cargo metadata` describes it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::{capture, cargo};

/// The packages of the workspace.
#[derive(Debug)]
pub(crate) struct Workspace(Value);

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read() -> Result<Workspace> {
        let text = capture(&mut cargo([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--locked",
        ]))?;
        Workspace::parse(&text)
    }

    fn parse(text: &str) -> Result<Workspace> {
        Ok(Workspace(
            serde_json::from_str(text).context("cargo metadata is not JSON")?,
        ))
    }

    fn package(&self, name: &str) -> Option<&Value> {
        self.0["packages"]
            .as_array()?
            .iter()
            .find(|package| package["name"] == name)
    }

    /// Whether the workspace has this package.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.package(name).is_some()
    }

    /// The features of a package, without `default`; empty if there is no such package.
    pub(crate) fn features(&self, package: &str) -> BTreeSet<String> {
        let features = self
            .package(package)
            .and_then(|package| package["features"].as_object());
        let names = features.into_iter().flat_map(|features| features.keys());
        names.filter(|name| *name != "default").cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        r#"{"packages": [{"name": "wharf", "features": {"default": ["local"], "local": [], "aws": []}}]}"#;

    #[test]
    fn features_are_sorted_and_without_the_default() {
        let workspace = Workspace::parse(TEXT).unwrap();
        assert_eq!(
            workspace.features("wharf").into_iter().collect::<Vec<_>>(),
            ["aws", "local"]
        );
        assert!(workspace.features("other").is_empty());
    }

    #[test]
    fn a_package_is_known_by_its_whole_name() {
        let workspace = Workspace::parse(TEXT).unwrap();
        assert!(workspace.has("wharf"));
        assert!(!workspace.has("wha"));
    }
}
