//! `cargo xtask features`: every feature compiles alone, and brings only the dependencies it stands for.

use anyhow::Result;

use crate::lint;
use crate::metadata::Workspace;
use crate::summary::Summary;

/// The packages whose features a user chooses.
const PACKAGES: [&str; 2] = ["wharf", "wharf-cli"];

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    let mut summary = Summary::default();
    steps(&mut summary)?;
    summary.finish(true)
}

/// Adds the checks to a summary. An error only if the workspace itself cannot be read.
pub(crate) fn steps(summary: &mut Summary) -> Result<()> {
    let workspace = Workspace::read()?;
    summary.step("lints of the workspace", lint::workspace);
    for package in PACKAGES.into_iter().filter(|package| workspace.has(package)) {
        for selection in selections(package, &workspace) {
            let words = selection.iter().map(String::as_str).collect::<Vec<_>>();
            summary.step(format!("lints of {}", selection[1..].join(" ")), || {
                crate::process::run(&mut lint::clippy(&words))
            });
        }
    }
    Ok(())
}

/// The options that select no feature, the default, each feature alone, and all.
fn selections(package: &str, workspace: &Workspace) -> Vec<Vec<String>> {
    let features = workspace.features(package);
    let mut options = vec![vec![], vec!["--no-default-features".to_owned()]];
    options.extend(features.iter().map(|feature| {
        vec![
            "--no-default-features".to_owned(),
            format!("--features={feature}"),
        ]
    }));
    if features.len() > 1 {
        options.push(vec!["--all-features".to_owned()]);
    }
    let selected = |rest: Vec<String>| {
        ["--package".to_owned(), package.to_owned()]
            .into_iter()
            .chain(rest)
            .collect()
    };
    options.into_iter().map(selected).collect()
}
