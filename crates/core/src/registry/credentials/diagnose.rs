//! What `wharf doctor` asks about registry logins.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use super::file::AuthFile;
use super::locator::{AUTH_VARIABLE, DockerConfigLocator};
use crate::Result;
use crate::doctor::Check;

const NAME: &str = "registry logins";

impl DockerConfigLocator {
    /// What is stored, in which file, and whether the helpers that the files name are installed. No helper is
    /// run, no registry is asked, and nothing secret is in the answer.
    #[must_use]
    pub fn diagnose(&self) -> Vec<Check> {
        let variable = self.auth_config.as_ref().map(|text| {
            let parsed = AuthFile::parse(text.expose()).map(Some);
            self.check(&format!("the variable {AUTH_VARIABLE}"), parsed)
        });
        let files = self.files().iter().map(|path| {
            let place = path.display().to_string();
            self.check(&place, AuthFile::read(path))
        });
        let checks: Vec<Check> = variable.into_iter().chain(files).flatten().collect();
        if checks.is_empty() {
            return vec![Check::ok(NAME, "none: registries are used without logging in")];
        }
        checks
    }

    fn check(&self, place: &str, file: Result<Option<AuthFile>>) -> Option<Check> {
        let file = match file {
            Ok(file) => file?,
            Err(error) => {
                let mut check = Check::from_error(NAME, &error);
                let mend = || format!("Mend {place}, or write it anew with docker login.");
                check.cure.get_or_insert_with(mend);
                return Some(check);
            }
        };
        let helpers = file.helpers();
        let missing: Vec<&str> = helpers
            .iter()
            .copied()
            .filter(|name| !self.is_installed(name))
            .collect();
        let detail = format!("{place}: {}", summary(&file, &helpers));
        Some(match missing.as_slice() {
            [] => Check::ok(NAME, detail),
            missing => Check::warning(NAME, detail, cure(place, missing)),
        })
    }

    fn is_installed(&self, helper: &str) -> bool {
        let path = self.path.as_deref().unwrap_or(OsStr::new(""));
        std::env::split_paths(path).any(|folder| folder.join(program(helper)).is_file())
    }
}

fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

fn summary(file: &AuthFile, helpers: &BTreeSet<&str>) -> String {
    let registries = file.registries().collect::<Vec<_>>().join(", ");
    let mut parts = Vec::new();
    if !registries.is_empty() {
        parts.push(registries);
    }
    parts.extend(helpers.iter().map(|helper| format!("helper {}", program(helper))));
    match parts.is_empty() {
        true => "no logins".to_owned(),
        false => parts.join("; "),
    }
}

fn cure(place: &str, missing: &[&str]) -> String {
    let programs = missing
        .iter()
        .map(|helper| program(helper))
        .collect::<Vec<_>>()
        .join(" and ");
    format!("{programs} cannot be found in PATH: install it, or take it out of {place} and log in again.")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::doctor::CheckStatus;

    fn locator(home: &std::path::Path, variable: Option<&'static str>) -> DockerConfigLocator {
        DockerConfigLocator::from_variables(|name| match name {
            "HOME" | "PATH" => Some(home.as_os_str().to_owned()),
            AUTH_VARIABLE => variable.map(OsString::from),
            _ => None,
        })
    }

    #[test]
    fn without_files_there_is_nothing_to_say() {
        let home = tempfile::tempdir().unwrap();
        let checks = locator(home.path(), None).diagnose();
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].status, CheckStatus::Ok);
    }

    #[test]
    fn logins_and_helpers_are_named_and_a_missing_helper_has_a_cure() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".docker")).unwrap();
        let text = r#"{"auths": {"r.example": {"auth": "cGxhbnRlZDpwbGFudGVk"}},
            "credHelpers": {"s.example": "here"}, "credsStore": "gone"}"#;
        std::fs::write(home.path().join(".docker/config.json"), text).unwrap();
        std::fs::write(home.path().join("docker-credential-here"), "").unwrap();
        let checks = locator(home.path(), None).diagnose();
        let [check] = checks.as_slice() else {
            panic!("{checks:?}")
        };
        assert_eq!(check.status, CheckStatus::Warning);
        assert!(check.detail.ends_with(
            "config.json: r.example; helper docker-credential-gone; helper docker-credential-here"
        ));
        let cure = check.cure.as_deref().unwrap();
        assert!(
            cure.starts_with("docker-credential-gone cannot be found"),
            "{cure}"
        );
        assert!(!format!("{checks:?}").contains("planted"));
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_and_shows_nothing_of_it() {
        let home = tempfile::tempdir().unwrap();
        let checks = locator(home.path(), Some("{planted")).diagnose();
        assert_eq!(checks[0].status, CheckStatus::Problem);
        assert!(checks[0].cure.as_deref().unwrap().contains(AUTH_VARIABLE));
        assert!(!format!("{checks:?}").contains("planted"));
    }
}
