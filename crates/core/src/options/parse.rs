//! Options from a configuration: many names, one meaning, every problem reported at once.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::{BuildOption, BuildSecret, DockerBuildOptions, SshAgent, parse_bytes};
use crate::{Error, ErrorKind, Platform, Result};

/// What is wrong with one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// The name under which the option was given.
    pub option: String,
    /// What is wrong with it, and which form is accepted.
    pub problem: String,
}

impl fmt::Display for OptionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.option, self.problem)
    }
}

/// The engine always removes intermediate containers unless told otherwise; wharf has no use for the others.
const ACCEPTED_WITHOUT_EFFECT: [&str; 2] = ["rm", "forcerm"];

pub(super) fn from_map(map: &Map<String, Value>) -> Result<DockerBuildOptions> {
    let mut reader = Reader::default();
    for (name, value) in map {
        reader.read(name, value);
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    options: DockerBuildOptions,
    seen: BTreeMap<BuildOption, (String, Value)>,
    problems: Vec<OptionProblem>,
}

impl Reader {
    fn read(&mut self, name: &str, value: &Value) {
        let normal = name.replace('-', "_");
        if ACCEPTED_WITHOUT_EFFECT.contains(&normal.as_str()) && value.is_boolean() {
            return;
        }
        let Some(option) = BuildOption::ALL
            .into_iter()
            .find(|option| option.names().contains(&normal.as_str()))
        else {
            self.options.extra.insert(name.to_owned(), value.clone());
            return;
        };
        let result = match self.conflict(option, name, value) {
            Some(problem) => Err(problem),
            None => self.set(option, value),
        };
        if let Err(problem) = result {
            self.problems.push(OptionProblem {
                option: name.to_owned(),
                problem,
            });
        }
    }

    fn conflict(&mut self, option: BuildOption, name: &str, value: &Value) -> Option<String> {
        let previous = self.seen.insert(option, (name.to_owned(), value.clone()));
        let (other, _) = previous.filter(|(_, before)| before != value)?;
        Some(format!(
            "given again with another value as `{other}`; keep one of the two"
        ))
    }

    fn set(&mut self, option: BuildOption, value: &Value) -> Result<(), String> {
        let options = &mut self.options;
        if value.is_null() {
            return Ok(());
        }
        match option {
            BuildOption::BuildArgs => options.build_args = texts_by_name(value)?,
            BuildOption::Labels => options.labels = texts_by_name(value)?,
            BuildOption::Target => options.target = Some(text(value)?),
            BuildOption::Platform | BuildOption::MultiPlatform => options.platforms = platforms(value)?,
            BuildOption::Pull => options.pull = boolean(value)?,
            BuildOption::NoCache => options.no_cache = boolean(value)?,
            BuildOption::CacheFrom => options.cache_from = list_of_texts(value)?,
            BuildOption::ShmSize => options.shm_size = bytes(value)?,
            BuildOption::Network => options.network = Some(text(value)?),
            BuildOption::ExtraHosts => options.extra_hosts = hosts(value)?,
            BuildOption::Secrets => options.secrets = each(value, |one| one.parse::<BuildSecret>())?,
            BuildOption::Ssh => options.ssh = each(value, |one| one.parse::<SshAgent>())?,
        }
        Ok(())
    }

    fn finish(self) -> Result<DockerBuildOptions> {
        if self.problems.is_empty() {
            return Ok(self.options);
        }
        let lines: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        let message = match lines.as_slice() {
            [one] => format!("the build option {one}"),
            many => format!("{} build options are wrong:\n  {}", many.len(), many.join("\n  ")),
        };
        Err(Error::new(ErrorKind::InvalidInput, message))
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("expected a text, found {}", found(other))),
    }
}

fn boolean(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) if matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on") => {
            Ok(true)
        }
        Value::String(text) if matches!(text.to_ascii_lowercase().as_str(), "false" | "0" | "no" | "off") => {
            Ok(false)
        }
        Value::String(text) => Err(format!("expected true or false, found `{text}`")),
        other => Err(format!("expected true or false, found {}", found(other))),
    }
}

fn bytes(value: &Value) -> Result<Option<u64>, String> {
    let size = match value {
        Value::Number(number) => number
            .as_u64()
            .ok_or_else(|| format!("{number} is not a number of bytes"))?,
        Value::String(text) => parse_bytes(text).map_err(|error| error.message().to_owned())?,
        other => return Err(format!("expected a number of bytes, found {}", found(other))),
    };
    // Docker reads 0 as "the default".
    Ok(Some(size).filter(|size| *size > 0))
}

fn list_of_texts(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => Err(format!("expected a list of texts, found {}", found(other))),
    }
}

fn one_or_many(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(text) => Ok(text.split(',').map(|part| part.trim().to_owned()).collect()),
        other => list_of_texts(other),
    }
}

fn platforms(value: &Value) -> Result<Vec<Platform>, String> {
    one_or_many(value)?
        .iter()
        .map(|one| one.parse().map_err(|error: Error| error.message().to_owned()))
        .collect()
}

fn each<T>(value: &Value, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>, String> {
    let items = match value {
        Value::String(text) => vec![text.clone()],
        other => list_of_texts(other)?,
    };
    items
        .iter()
        .map(|one| parse(one).map_err(|error| error.message().to_owned()))
        .collect()
}

/// A mapping, or a list of `name=value` as Compose files have it.
fn texts_by_name(value: &Value) -> Result<BTreeMap<String, String>, String> {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| match text(value) {
                Ok(text) => Ok((name.clone(), text)),
                Err(problem) => Err(format!("`{name}`: {problem}; put it in quotes")),
            })
            .collect(),
        Value::Array(_) => pairs(&list_of_texts(value)?, &['=']),
        other => Err(format!(
            "expected a mapping of names to texts, found {}",
            found(other)
        )),
    }
}

fn hosts(value: &Value) -> Result<BTreeMap<String, String>, String> {
    match value {
        Value::String(one) => pairs(std::slice::from_ref(one), &['=', ':']),
        Value::Array(_) => pairs(&list_of_texts(value)?, &['=', ':']),
        other => texts_by_name(other),
    }
}

fn pairs(items: &[String], separators: &[char]) -> Result<BTreeMap<String, String>, String> {
    let split = |item: &String| match item.split_once(separators) {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{item}` is not of the form name{}value", separators[0])),
    };
    items.iter().map(split).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<DockerBuildOptions> {
        DockerBuildOptions::from_map(value.as_object().unwrap())
    }

    #[test]
    fn every_name_of_an_option_means_the_same() {
        let expected =
            read(json!({"build_args": {"A": "1"}, "no_cache": true, "shm_size": 64, "cache_from": ["x"]}));
        for other in [
            json!({"buildargs": {"A": "1"}, "nocache": true, "shmsize": 64, "cachefrom": ["x"]}),
            json!({"build-arg": ["A=1"], "no-cache": "true", "shm-size": "64b", "cache-from": ["x"]}),
        ] {
            assert_eq!(read(other).unwrap(), *expected.as_ref().unwrap());
        }
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let error = read(json!({
            "pull": "maybe", "cache_from": "img", "nocache": true, "no_cache": false, "platform": "amd64"
        }))
        .unwrap_err();
        for part in [
            "4 build options",
            "`pull`",
            "`cache_from`",
            "keep one of the two",
            "`platform`",
        ] {
            assert!(error.message().contains(part), "{part} in {}", error.message());
        }
    }

    #[test]
    fn the_same_value_under_two_names_is_no_conflict() {
        assert!(read(json!({"nocache": true, "no_cache": true})).unwrap().no_cache);
    }

    #[test]
    fn unknown_options_are_kept_as_they_came() {
        let options = read(json!({"squash": true, "ulimit": {"nofile": "1:2"}, "rm": true})).unwrap();
        assert_eq!(options.extra.keys().collect::<Vec<_>>(), ["squash", "ulimit"]);
        assert!(options.used().is_empty());
    }

    #[test]
    fn hosts_keep_the_colons_of_an_ipv6_address() {
        let options = read(json!({"add_host": "db:fe80::1", "extra_hosts": null})).unwrap_err();
        assert!(options.message().contains("keep one"));
        let options = read(json!({"extra_hosts": ["db:fe80::1", "cache=10.0.0.1"]})).unwrap();
        assert_eq!(options.extra_hosts["db"], "fe80::1");
        assert_eq!(options.extra_hosts["cache"], "10.0.0.1");
    }

    #[test]
    fn numbers_are_texts_but_booleans_must_be_quoted() {
        assert_eq!(
            read(json!({"build_args": {"A": 1}})).unwrap().build_args["A"],
            "1"
        );
        assert!(
            read(json!({"build_args": {"A": true}}))
                .unwrap_err()
                .message()
                .contains("quotes")
        );
    }

    #[test]
    fn several_platforms_are_another_capability_than_one() {
        let one = read(json!({"platform": "linux/amd64"})).unwrap();
        assert_eq!(one.used(), [BuildOption::Platform]);
        let two = read(json!({"platform": "linux/amd64,linux/arm64"})).unwrap();
        assert_eq!(two.used(), [BuildOption::MultiPlatform]);
    }
}
