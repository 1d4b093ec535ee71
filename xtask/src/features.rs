//! `cargo xtask features`: every feature compiles alone, and brings only the dependencies it stands for.

use anyhow::{Result, bail};

use crate::lint;
use crate::metadata::Workspace;
use crate::process::run;
use crate::sdk;
use crate::summary::Summary;

/// The facade, whose features decide what is compiled.
const FACADE: &str = "wharf";
/// The packages whose features a user chooses.
const PACKAGES: [&str; 2] = [FACADE, "wharf-cli"];

/// Runs the task.
pub(crate) fn run_task() -> Result<()> {
    let mut summary = Summary::default();
    steps(&mut summary)?;
    summary.finish(true)
}

/// Adds the checks to a summary. An error only if the workspace itself cannot be read.
pub(crate) fn steps(summary: &mut Summary) -> Result<()> {
    let workspace = Workspace::read()?;
    summary.step("lints of the workspace", lint::workspace);
    for package in PACKAGES.into_iter().filter(|package| workspace.has(package)) {
        let features = workspace.features(package);
        let options = selections(features.keys().map(String::as_str));
        let name = format!(
            "lints of {package} with each feature: {} combinations",
            options.len()
        );
        summary.step(name, || {
            options.iter().try_for_each(|option| lint_with(package, option))
        });
    }
    let rules = sdk::rules(&workspace.features(FACADE));
    summary.step(
        format!("dependencies of each feature: {} rules", rules.len()),
        || check(&rules),
    );
    Ok(())
}

fn lint_with(package: &str, selection: &[String]) -> Result<()> {
    let words = ["--package", package]
        .into_iter()
        .chain(selection.iter().map(String::as_str));
    run(&mut lint::clippy(words))
}

/// Checks all rules, and tells of each that does not hold.
fn check(rules: &[sdk::Rule]) -> Result<()> {
    let broken = rules
        .iter()
        .filter_map(|rule| rule.check().err())
        .map(|error| format!("{error:#}"));
    let broken = broken.collect::<Vec<_>>();
    if broken.is_empty() {
        return Ok(());
    }
    bail!("{}", broken.join("\n"))
}

/// The options that select the default features, none, each one alone, and all.
fn selections<'a>(features: impl Iterator<Item = &'a str>) -> Vec<Vec<String>> {
    let none = "--no-default-features".to_owned();
    let mut selections = vec![vec![], vec![none.clone()]];
    selections.extend(features.map(|feature| vec![none.clone(), format!("--features={feature}")]));
    if selections.len() > 2 {
        selections.push(vec!["--all-features".to_owned()]);
    }
    selections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_linted_alone_and_all_together() {
        let selections = selections(["aws", "local"].into_iter());
        let shown = selections.iter().map(|words| words.join(" ")).collect::<Vec<_>>();
        let expected = [
            "",
            "--no-default-features",
            "--no-default-features --features=aws",
            "--no-default-features --features=local",
            "--all-features",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn without_features_there_is_nothing_to_combine() {
        assert_eq!(selections(std::iter::empty()).len(), 2);
    }
}
