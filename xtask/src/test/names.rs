//! Whether the names of service tests say what they need; if they did not, a missing service would make them fail
//! instead of being skipped.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::runner::BY_HAND;
use crate::process::{capture, cargo};
use crate::services::Class;

/// Fails with the names of the ignored tests that say nothing.
pub(crate) fn check() -> Result<()> {
    let words = [
        "nextest",
        "list",
        "--locked",
        "--workspace",
        "--run-ignored=only",
        "--message-format=json",
    ];
    let list = capture(&mut cargo(words))?;
    let nameless = nameless(&list)?;
    if nameless.is_empty() {
        return Ok(());
    }
    let words = Class::ALL.map(Class::word).join(", ");
    bail!(
        "the names of these ignored tests say none of {words}, {BY_HAND}, see CONTRIBUTING.md: {}",
        nameless.join(", ")
    )
}

/// `list` is what `cargo nextest list` writes; it has the tests that are not ignored, too.
fn nameless(list: &str) -> Result<Vec<String>> {
    let list: Value = serde_json::from_str(list).context("nextest's list is not JSON")?;
    let suites = list["rust-suites"]
        .as_object()
        .context("nextest's list has no suites")?;
    let mut nameless = Vec::new();
    for suite in suites.values() {
        let binary = suite["binary-name"].as_str().unwrap_or_default();
        let tests = suite["testcases"].as_object().into_iter().flatten();
        let ignored = tests
            .filter(|(_, test)| test["ignored"] == true)
            .map(|(name, _)| name);
        let says_nothing = |name: &&String| {
            !name.contains(BY_HAND) && !Class::ALL.iter().any(|class| class.is_named_by(binary, name))
        };
        nameless.extend(ignored.filter(says_nothing).cloned());
    }
    Ok(nameless)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_tests_must_say_what_they_need() {
        let list = r#"{"rust-suites": {"wharf::e2e": {"binary-name": "e2e", "testcases": {
            "plain": {"ignored": false}, "slow_one": {"ignored": true}, "by_hand_slow": {"ignored": true},
            "engine_build": {"ignored": true}, "podman_::builds": {"ignored": true}}},
            "wharf::engine": {"binary-name": "engine", "testcases": {"copies": {"ignored": true}}}}}"#;
        assert_eq!(nameless(list).unwrap(), ["slow_one"]);
        nameless("{}").unwrap_err();
    }
}
