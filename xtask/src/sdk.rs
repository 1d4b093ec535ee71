//! Which dependencies may come with which feature, as a table, and `cargo tree` to prove it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use crate::process::{capture, cargo};

/// The crates of one SDK, and the feature of the facade that stands for it. `*` at the end stands for any ending.
#[derive(Debug)]
struct Sdk {
    feature: &'static str,
    crates: &'static [&'static str],
}

/// A consumer that does not turn the feature on compiles none of these.
const SDKS: [Sdk; 5] = [
    Sdk {
        feature: "local",
        crates: &["bollard*", "tonic*"],
    },
    Sdk {
        feature: "kaniko",
        crates: &["kube", "kube-*", "k8s-openapi"],
    },
    Sdk {
        feature: "gcp",
        crates: &["google-cloud-*", "gcloud-*", "gcp_auth"],
    },
    Sdk {
        feature: "aws",
        crates: &[
            "wharf-aws",
            "wharf-builder-aws",
            "aws-config",
            "aws-credential-types",
            "aws-runtime",
            "aws-sdk-*",
            "aws-sigv4",
            "aws-smithy-*",
            "aws-types",
        ],
    },
    Sdk {
        feature: "catalog",
        crates: &["sqlx*", "rusqlite", "libsqlite3-sys", "tokio-postgres"],
    },
];

/// The core knows types and files, and talks to nobody.
const NOT_IN_CORE: [&str; 10] = [
    "bollard*",
    "kube",
    "kube-*",
    "k8s-openapi",
    "aws-*",
    "google-cloud-*",
    "reqwest",
    "hyper",
    "hyper-*",
    "sqlx*",
];

/// TLS is rustls with ring: nothing that needs a C toolchain beyond ring's, or a library of the machine.
const NOWHERE: [&str; 6] = [
    "openssl",
    "openssl-sys",
    "native-tls",
    "tokio-native-tls",
    "aws-lc-rs",
    "aws-lc-sys",
];

/// Something to ask of the dependency tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The options that select packages and features for `cargo tree`.
    pub(crate) selection: Vec<String>,
    forbidden: Vec<&'static str>,
}

impl Rule {
    fn new(selection: &[&str], forbidden: Vec<&'static str>) -> Rule {
        Rule {
            selection: selection.iter().map(|&word| word.to_owned()).collect(),
            forbidden,
        }
    }

    /// Asks cargo which crates the selection brings and fails if a forbidden one is among them.
    pub(crate) fn check(&self) -> Result<()> {
        let start = [
            "tree",
            "--locked",
            "--edges=normal,build",
            "--prefix=none",
            "--format={p}",
        ];
        let tree = capture(&mut cargo(
            start.into_iter().chain(self.selection.iter().map(String::as_str)),
        ))?;
        let found = forbidden_crates(&tree, &self.forbidden);
        if found.is_empty() {
            return Ok(());
        }
        let found = found.into_iter().collect::<Vec<_>>().join(", ");
        bail!(
            "{} brings {found}; `cargo tree {} --invert CRATE` shows through what",
            self.selection.join(" "),
            self.selection.join(" ")
        )
    }
}

/// Every rule. `features` says for each feature of the facade which others it turns on, itself among them.
pub(crate) fn rules(features: &BTreeMap<String, BTreeSet<String>>) -> Vec<Rule> {
    let mut rules = vec![
        Rule::new(&["--workspace", "--all-features"], NOWHERE.to_vec()),
        Rule::new(&["--package=wharf-core", "--all-features"], NOT_IN_CORE.to_vec()),
        Rule::new(
            &["--package=wharf", "--no-default-features"],
            sdk_crates_without(&BTreeSet::new()),
        ),
    ];
    rules.extend(features.iter().map(|(feature, turned_on)| {
        let option = format!("--features={feature}");
        Rule::new(
            &["--package=wharf", "--no-default-features", &option],
            sdk_crates_without(turned_on),
        )
    }));
    rules.retain(|rule| !rule.forbidden.is_empty());
    rules
}

fn sdk_crates_without(turned_on: &BTreeSet<String>) -> Vec<&'static str> {
    let others = SDKS.iter().filter(|sdk| !turned_on.contains(sdk.feature));
    others.flat_map(|sdk| sdk.crates).copied().collect()
}

/// `tree` has one crate a line, its name first.
fn forbidden_crates<'a>(tree: &'a str, forbidden: &[&str]) -> BTreeSet<&'a str> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| forbidden.iter().any(|pattern| matches(pattern, name)))
        .collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(text: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        text.iter()
            .map(|(feature, turned_on)| ((*feature).to_owned(), set(turned_on)))
            .collect()
    }

    fn forbidden_with(feature: &str, turned_on: &[&str]) -> Vec<&'static str> {
        let rules = rules(&features(&[(feature, turned_on)]));
        let option = format!("--features={feature}");
        rules
            .into_iter()
            .find(|rule| rule.selection.contains(&option))
            .map(|rule| rule.forbidden)
            .unwrap_or_default()
    }

    #[test]
    fn a_feature_brings_its_own_sdk_and_no_other() {
        let forbidden = forbidden_with("aws", &["aws"]);
        assert!(!forbidden.contains(&"aws-sdk-*"));
        assert!(forbidden.contains(&"kube") && forbidden.contains(&"bollard*"));
    }

    #[test]
    fn a_feature_brings_what_the_features_it_turns_on_bring() {
        let everything = ["full", "local", "kaniko", "gcp", "aws", "catalog"];
        assert!(forbidden_with("full", &everything).is_empty());
        assert!(!forbidden_with("pipeline", &["pipeline", "local"]).contains(&"bollard*"));
    }

    #[test]
    fn no_feature_at_all_brings_no_sdk() {
        let rules = rules(&BTreeMap::new());
        let none = rules
            .iter()
            .find(|rule| rule.selection == ["--package=wharf", "--no-default-features"]);
        assert!(none.is_some_and(|rule| rule.forbidden.contains(&"bollard*")));
    }

    #[test]
    fn crates_are_matched_by_name_or_start() {
        let tree = "wharf v0.1.0 (/src)\naws-sdk-s3 v1.0.0\nkube v2.0.0 (*)\nkubelike v1.0.0\n";
        assert_eq!(
            forbidden_crates(tree, &["aws-*", "kube"]),
            BTreeSet::from(["aws-sdk-s3", "kube"])
        );
    }
}
