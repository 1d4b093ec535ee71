//! `${NAME}` in values.

use super::node::{Node, Value};
use super::problem::Findings;

/// Finds the value of an environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces `${NAME}` in every text below a node, once: what a variable holds is not looked into again.
/// Keys stay as they are.
pub(crate) fn substitute(node: &mut Node, attribute: &str, lookup: Lookup<'_>, findings: &mut Findings) {
    match &mut node.value {
        Value::Text(text) => match replace(text, lookup) {
            Ok(replaced) => *text = replaced,
            Err(missing) => {
                for name in missing {
                    let message = format!("the environment variable `{name}` is not set");
                    findings.problem(node.line, attribute, message);
                }
            }
        },
        Value::List(items) => {
            for item in items {
                substitute(item, attribute, lookup, findings);
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                let attribute = format!("{attribute}.{}", key.name);
                substitute(value, &attribute, lookup, findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replaces `${NAME}` in a text. A name has ASCII letters, digits and underscores; anything else in braces is no
/// reference and stays.
///
/// # Errors
///
/// The names of all variables that are not set, each once.
pub fn replace(text: &str, lookup: Lookup<'_>) -> Result<String, Vec<String>> {
    let mut out = String::with_capacity(text.len());
    let mut missing: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some(name) = reference(rest) else {
            out.push_str("${");
            rest = &rest[2..];
            continue;
        };
        match lookup(name) {
            Some(value) => out.push_str(&value),
            None if missing.iter().any(|known| known == name) => {}
            None => missing.push(name.to_owned()),
        }
        rest = &rest[name.len() + 3..];
    }
    out.push_str(rest);
    match missing.is_empty() {
        true => Ok(out),
        false => Err(missing),
    }
}

/// The name of the reference that a text begins with.
fn reference(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix("${")?.split_once('}')?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_part)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("1".into()),
            "NESTED" => Some("${A}".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced_once_and_nothing_else_is() {
        for (text, expected) in [
            ("${A}-${A}", "1-1"),
            ("${NESTED}", "${A}"),
            ("${${A}}", "${1}"),
            ("[${EMPTY}]", "[]"),
            ("$A ${A:-x} ${} ${É} ${A", "$A ${A:-x} ${} ${É} ${A"),
            ("\\${A}", "\\1"),
            ("$${A}", "$1"),
        ] {
            assert_eq!(replace(text, &lookup).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn every_missing_variable_is_named_once() {
        let missing = replace("${X} ${A} ${Y} ${X}", &lookup).unwrap_err();
        assert_eq!(missing, ["X", "Y"]);
    }

    #[test]
    fn a_problem_names_variable_and_attribute() {
        let mut node = Node::parse("environment: {TOKEN: 'x${X}'}", "p").unwrap();
        let mut findings = Findings::default();
        substitute(&mut node, "settings.docker", &lookup, &mut findings);
        let error = findings.finish("p.yaml").unwrap_err();
        assert_eq!(
            error.message(),
            "p.yaml:1: `settings.docker.environment.TOKEN`: the environment variable `X` is not set"
        );
    }
}
