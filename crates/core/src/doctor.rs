//! Checks of whether things are as they must be, each with a cure: what `wharf doctor` shows.
//!
//! A builder or registry returns [`Check`]s about itself; whoever shows them needs to know nothing of it.

use std::error::Error as _;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it must be.
    Ok,
    /// It works, but something will be missed or will break soon.
    Warning,
    /// It does not work.
    Problem,
}

/// The answer to one question about the machine or a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, in a word or two: `engine`, `disk of the context`.
    pub name: String,
    /// How it came out.
    pub status: CheckStatus,
    /// What was found, in lines.
    pub detail: String,
    /// What to do about it, as a sentence; none when there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

impl Check {
    /// Everything is as it must be.
    #[must_use]
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status: CheckStatus::Ok,
            detail: detail.into(),
            cure: None,
        }
    }

    /// It works, but not well.
    #[must_use]
    pub fn warning(name: impl Into<String>, detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            status: CheckStatus::Warning,
            cure: Some(cure.into()),
            ..Self::ok(name, detail)
        }
    }

    /// It does not work.
    #[must_use]
    pub fn problem(name: impl Into<String>, detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            status: CheckStatus::Problem,
            cure: Some(cure.into()),
            ..Self::ok(name, detail)
        }
    }

    /// It does not work, as an error says: its message, facts and causes are the detail, its hint the cure.
    #[must_use]
    pub fn from_error(name: impl Into<String>, error: &Error) -> Self {
        let mut detail = error.to_string();
        for (key, value) in error.context() {
            detail.push_str(&format!("\n{key}: {value}"));
        }
        let mut hint = error.hint();
        let mut cause = error.source();
        while let Some(inner) = cause {
            detail.push_str(&format!("\ncause: {inner}"));
            hint = hint.or_else(|| inner.downcast_ref::<Error>().and_then(Error::hint));
            cause = inner.source();
        }
        Self {
            status: CheckStatus::Problem,
            cure: hint.map(str::to_owned),
            ..Self::ok(name, detail)
        }
    }
}

/// The worst status of all checks; without any, [`CheckStatus::Ok`].
#[must_use]
pub fn worst(checks: &[Check]) -> CheckStatus {
    checks
        .iter()
        .map(|check| check.status)
        .max()
        .unwrap_or(CheckStatus::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn an_error_keeps_its_facts_causes_and_cure() {
        let cause = Error::new(ErrorKind::Unavailable, "connection refused").with_hint("Start it.");
        let error = Error::new(ErrorKind::Unavailable, "no engine answers")
            .with_context("host", "unix:///x")
            .with_source(cause);
        let check = Check::from_error("engine", &error);
        assert_eq!(
            check.detail,
            "no engine answers\nhost: unix:///x\ncause: connection refused"
        );
        assert_eq!(check.cure.as_deref(), Some("Start it."));
        assert_eq!(check.status, CheckStatus::Problem);
    }

    #[test]
    fn one_problem_outweighs_everything() {
        let checks = [
            Check::ok("a", ""),
            Check::problem("b", "", "c"),
            Check::warning("d", "", "e"),
        ];
        assert_eq!(worst(&checks), CheckStatus::Problem);
        assert_eq!(worst(&checks[..1]), CheckStatus::Ok);
        assert_eq!(worst(&[]), CheckStatus::Ok);
    }

    #[test]
    fn the_json_form_is_stable() {
        let json = serde_json::to_string(&Check::warning("disk", "4 GB free", "Make room.")).unwrap();
        assert_eq!(
            json,
            r#"{"name":"disk","status":"warning","detail":"4 GB free","cure":"Make room."}"#
        );
    }
}
