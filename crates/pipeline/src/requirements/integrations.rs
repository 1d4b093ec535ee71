//! What ZenML's integrations install.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use wharf_core::{Error, ErrorKind, Result};

use crate::nearest::suggestion;

/// What integrations need inside an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntegrationPackages {
    /// Python packages.
    pub requirements: Vec<String>,
    /// Debian packages, in the order of the integrations.
    pub apt_packages: Vec<String>,
}

#[derive(Deserialize)]
struct Table {
    cases: Vec<Integration>,
}

#[derive(Deserialize)]
struct Integration {
    name: String,
    requirements: Vec<String>,
    apt_packages: Vec<String>,
}

/// The integrations by name. The text is part of the program and read once.
fn table() -> &'static BTreeMap<String, Integration> {
    static TABLE: OnceLock<BTreeMap<String, Integration>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let text = include_str!("../../data/integrations.json");
        let table: Option<Table> = serde_json::from_str(text).ok();
        let integrations = table.map(|table| table.cases).unwrap_or_default();
        integrations
            .into_iter()
            .map(|one| (one.name.clone(), one))
            .collect()
    })
}

/// The packages of integrations, by the integrations' names.
///
/// ```
/// let packages = wharf_pipeline::requirements::integration_packages(&["lightgbm".to_owned()])?;
/// assert_eq!(packages.apt_packages, ["libgomp1"]);
/// # Ok::<(), wharf_core::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::InvalidConfiguration`] listing every name that no integration has, with the nearest one.
pub fn integration_packages(names: &[String]) -> Result<IntegrationPackages> {
    let mut packages = IntegrationPackages::default();
    let mut unknown = Vec::new();
    for name in names {
        match table().get(name) {
            Some(integration) => {
                packages.requirements.extend_from_slice(&integration.requirements);
                packages.apt_packages.extend_from_slice(&integration.apt_packages);
            }
            None => unknown.push(format!("there is no integration `{name}`{}", near(name))),
        }
    }
    match unknown.is_empty() {
        true => Ok(packages),
        false => Err(Error::new(ErrorKind::InvalidConfiguration, unknown.join("; "))
            .with_context("attribute", "required_integrations")),
    }
}

fn near(name: &str) -> String {
    suggestion(table().keys().map(String::as_str), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        assert_eq!(table().len(), 66);
    }

    #[test]
    fn unknown_integrations_are_all_named() {
        let names = ["sklearn", "tensorflo", "zzzzz"].map(str::to_owned);
        let error = integration_packages(&names).unwrap_err();
        assert_eq!(
            error.message(),
            "there is no integration `tensorflo`, did you mean `tensorflow`?; there is no integration `zzzzz`"
        );
    }
}
