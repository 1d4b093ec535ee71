//! Which Python packages an image gets, in which order.
//!
//! 1. what the local environment has,
//! 2. what the stack's components and the code repository need,
//! 3. what the one who asks for the image adds,
//! 4. what integrations need,
//! 5. the project's dependencies,
//! 6. the user's own requirements.
//!
//! Each is a file of its own and installed by itself, so that a change of a later one leaves the layers of the
//! earlier ones as they are. The files have ZenML's names.

mod integrations;

use std::collections::BTreeSet;

use serde::Serialize;
use wharf_core::{Error, ErrorKind, Result, Secret};

pub use self::integrations::{IntegrationPackages, integration_packages};
use crate::decide::ExtraRequirements;
use crate::gather::heavy::split_heavy;
use crate::inputs::{IncludedFile, RequirementsText};

/// The names of the files.
const LOCAL: &str = ".zenml_local_requirements";
const STACK: &str = ".zenml_stack_integration_requirements";
const INTEGRATIONS: &str = ".zenml_integration_requirements";
const PYPROJECT: &str = ".zenml_pyproject_requirements";
const OWN: &str = ".zenml_user_requirements";
const OUR_NAMES: [&str; 5] = [LOCAL, STACK, INTEGRATIONS, PYPROJECT, OWN];

/// A requirements file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequirementsFile {
    /// Its name in the image.
    pub name: String,
    /// Its content.
    pub content: String,
    /// The files that it includes, beside it.
    #[serde(skip)]
    pub included: Vec<IncludedFile>,
    /// Its large packages, to be installed by themselves before the whole file is; see
    /// [`split_heavy`].
    #[serde(skip)]
    pub large: Option<String>,
    /// Lines of it that hold credentials and are not in [`content`](Self::content).
    #[serde(skip)]
    pub secret_lines: Vec<Secret>,
}

impl RequirementsFile {
    /// Whether there is anything to install.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        let is_blank = |line: &str| line.trim_start_matches('\u{feff}').trim().is_empty();
        self.secret_lines.is_empty()
            && self
                .content
                .lines()
                .all(|line| is_blank(line) || line.trim_start().starts_with('#'))
    }

    /// The name of the file of [`large`](Self::large) packages in the image.
    #[must_use]
    pub fn large_name(&self) -> String {
        format!("{}_large", self.name)
    }
}

/// Texts that were gathered already. `None`: the settings do not ask for it.
#[derive(Debug, Clone, Default)]
pub struct GatheredRequirements {
    /// What the local environment has.
    pub local: Option<RequirementsText>,
    /// Whether [`local`](Self::local) names everything that is installed.
    pub local_is_lock: bool,
    /// What the stack's components and the code repository need.
    pub stack: Vec<String>,
    /// What integrations need.
    pub integrations: Vec<String>,
    /// The dependencies of the project.
    pub pyproject: Option<RequirementsText>,
    /// Whether [`pyproject`](Self::pyproject) names everything that is installed.
    pub pyproject_is_lock: bool,
    /// The user's own requirements.
    pub own: Option<RequirementsText>,
    /// What the one who asks for the image adds.
    pub extra: Vec<ExtraRequirements>,
}

impl GatheredRequirements {
    /// The files, in the order in which they are installed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when an added file has a name that no requirements file may have, or that
    /// another one has.
    pub fn into_files(self) -> Result<Vec<RequirementsFile>> {
        let mut files = Vec::new();
        files.extend(self.local.map(|text| of_text(LOCAL, text, self.local_is_lock)));
        files.extend(sorted(STACK, self.stack));
        for extra in self.extra {
            check_name(&extra.name, &files)?;
            files.extend(sorted(&extra.name, extra.requirements));
        }
        files.extend(sorted(INTEGRATIONS, self.integrations));
        files.extend(
            self.pyproject
                .map(|text| of_text(PYPROJECT, text, self.pyproject_is_lock)),
        );
        files.extend(
            self.own
                .filter(|text| !text.content.is_empty())
                .map(|text| of_text(OWN, text, false)),
        );
        Ok(files)
    }
}

fn plain(name: &str, content: String) -> RequirementsFile {
    RequirementsFile {
        name: name.to_owned(),
        content,
        included: Vec::new(),
        large: None,
        secret_lines: Vec::new(),
    }
}

fn of_text(name: &str, text: RequirementsText, is_lock: bool) -> RequirementsFile {
    let split = split_heavy(&text.content).filter(|_| is_lock);
    RequirementsFile {
        included: text.included,
        large: split.map(|split| split.heavy),
        secret_lines: text.secret_lines,
        ..plain(name, text.content)
    }
}

/// Each requirement once, sorted, so that their order changes no layer.
fn sorted(name: &str, requirements: Vec<String>) -> Option<RequirementsFile> {
    let distinct: BTreeSet<String> = requirements.into_iter().collect();
    if distinct.is_empty() {
        return None;
    }
    let lines: Vec<String> = distinct.into_iter().collect();
    Some(plain(name, lines.join("\n")))
}

fn check_name(name: &str, files: &[RequirementsFile]) -> Result<()> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_good = !matches!(name, "" | "." | "..") && !name.starts_with('-') && name.chars().all(is_part);
    if is_good && !OUR_NAMES.contains(&name) && !files.iter().any(|file| file.name == name) {
        return Ok(());
    }
    let message = match is_good {
        true => format!("two requirements files are called `{name}`"),
        false => format!("`{name}` is no name for a requirements file"),
    };
    Err(Error::new(ErrorKind::InvalidInput, message)
        .with_hint("Use ASCII letters, digits, dots, dashes and underscores, and each name once."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_in_the_documented_order() {
        let gathered = GatheredRequirements {
            local: Some(RequirementsText::plain("a==1\n")),
            stack: vec!["z".into(), "b".into(), "z".into()],
            integrations: vec!["c".into()],
            pyproject: Some(RequirementsText::plain("d\n")),
            own: Some(RequirementsText::plain("e")),
            extra: vec![ExtraRequirements {
                name: ".x".into(),
                requirements: vec!["g".into(), "f".into()],
            }],
            ..GatheredRequirements::default()
        };
        let files = gathered.into_files().unwrap();
        let contents: Vec<&str> = files.iter().map(|file| file.content.as_str()).collect();
        assert_eq!(contents, ["a==1\n", "b\nz", "f\ng", "c", "d\n", "e"]);
        assert_eq!(files[2].name, ".x");
    }

    #[test]
    fn a_file_of_comments_has_nothing_to_install() {
        assert!(plain("x", "\u{feff}\n # a\n\n".into()).is_blank());
        assert!(!plain("x", "# a\nb\n".into()).is_blank());
    }

    #[test]
    fn names_of_added_files_are_checked() {
        for name in ["", "a b", "../x", "$X", "-r", OWN] {
            let gathered = GatheredRequirements {
                extra: vec![ExtraRequirements {
                    name: name.into(),
                    requirements: vec!["g".into()],
                }],
                ..GatheredRequirements::default()
            };
            assert!(gathered.into_files().is_err(), "{name}");
        }
    }
}
