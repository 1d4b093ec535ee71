//! The workspace as `cargo metadata` describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

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

    /// The names of everything that can hold tests.
    pub(crate) fn targets(&self) -> Vec<String> {
        let packages = self.0["packages"].as_array().into_iter().flatten();
        let targets = packages
            .filter_map(|package| package["targets"].as_array())
            .flatten();
        let names = targets.filter_map(|target| target["name"].as_str());
        names.map(str::to_owned).collect()
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target_directory(&self) -> Result<PathBuf> {
        let path = self.0["target_directory"]
            .as_str()
            .context("cargo metadata names no target directory")?;
        Ok(PathBuf::from(path))
    }

    /// The features of a package, without `default`, and for each the features that it turns on, itself among them.
    /// Empty if there is no such package.
    pub(crate) fn features(&self, package: &str) -> BTreeMap<String, BTreeSet<String>> {
        let features = self
            .package(package)
            .and_then(|package| package["features"].as_object());
        let names = features
            .into_iter()
            .flat_map(|features| features.keys())
            .filter(|name| *name != "default");
        names
            .map(|name| (name.clone(), turned_on(name, features)))
            .collect()
    }
}

fn turned_on(name: &str, features: Option<&Map<String, Value>>) -> BTreeSet<String> {
    let mut found = BTreeSet::from([name.to_owned()]);
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        let values = features.and_then(|features| features.get(&name)?.as_array());
        for other in values.into_iter().flatten().filter_map(Value::as_str) {
            // `dep:x` and `x/y` are no features of this package.
            let known = features.is_some_and(|features| features.contains_key(other));
            if known && found.insert(other.to_owned()) {
                open.push(other.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"target_directory": "/t", "packages": [{"name": "wharf", "features": {
        "default": ["local"], "local": ["dep:bollard"], "aws": ["dep:aws", "s3"], "s3": [], "full": ["aws", "local"]}}]}"#;

    #[test]
    fn features_know_what_they_turn_on() {
        let features = Workspace::parse(TEXT).unwrap().features("wharf");
        let shown = features
            .iter()
            .map(|(name, on)| format!("{name}: {}", on.iter().cloned().collect::<Vec<_>>().join(" ")));
        let expected = ["aws: aws s3", "full: aws full local s3", "local: local", "s3: s3"];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        assert!(Workspace::parse(TEXT).unwrap().features("other").is_empty());
    }

    #[test]
    fn the_target_directory_is_read() {
        assert_eq!(
            Workspace::parse(TEXT).unwrap().target_directory().unwrap(),
            PathBuf::from("/t")
        );
        Workspace::parse("{}").unwrap().target_directory().unwrap_err();
    }

    #[test]
    fn a_package_is_known_by_its_whole_name() {
        let workspace = Workspace::parse(TEXT).unwrap();
        assert!(workspace.has("wharf"));
        assert!(!workspace.has("wha"));
    }
}
