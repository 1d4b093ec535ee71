//! Configurations: closed, with the nearest known key named for an unknown one.

use std::collections::BTreeSet;

use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result};

/// Reads a configuration. Keys may be written with dashes or underscores.
///
/// # Errors
///
/// [`ErrorKind::InvalidConfiguration`]: every unknown key with the nearest known one; or, when all keys are
/// known, the first value of the wrong form with its key.
pub fn read_config<C: DeserializeOwned + JsonSchema>(config: Map<String, Value>) -> Result<C> {
    let known = known_keys::<C>();
    let config: Map<String, Value> = config
        .into_iter()
        .map(|(key, value)| (normal(&known, key), value))
        .collect();
    let mut problems = unknown_keys(&known, &config);
    problems.extend(missing_keys::<C>(&config));
    if !problems.is_empty() {
        return Err(
            Error::new(ErrorKind::InvalidConfiguration, problems.join("; ")).with_hint(format!(
                "Known keys: {}.",
                known.into_iter().collect::<Vec<_>>().join(", ")
            )),
        );
    }
    serde_path_to_error::deserialize(Value::Object(config)).map_err(|error| {
        let key = error.path().to_string();
        Error::new(
            ErrorKind::InvalidConfiguration,
            format!("`{key}`: {}", error.inner()),
        )
    })
}

fn normal(known: &BTreeSet<String>, key: String) -> String {
    let underscored = key.replace('-', "_");
    if known.contains(&underscored) {
        underscored
    } else {
        key
    }
}

fn known_keys<C: JsonSchema>() -> BTreeSet<String> {
    let schema = schema_for!(C);
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

fn missing_keys<C: JsonSchema>(config: &Map<String, Value>) -> Vec<String> {
    let schema = schema_for!(C);
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let missing = required
        .iter()
        .filter_map(Value::as_str)
        .filter(|key| !config.contains_key(*key));
    missing.map(|key| format!("the key `{key}` is missing")).collect()
}

fn unknown_keys(known: &BTreeSet<String>, config: &Map<String, Value>) -> Vec<String> {
    let unknown = config.keys().filter(|key| !known.contains(*key));
    unknown
        .map(|key| match nearest(known, key) {
            Some(meant) => format!("the key `{key}` is unknown, did you mean `{meant}`?"),
            None => format!("the key `{key}` is unknown"),
        })
        .collect()
}

/// The known key that is most like this one, if any is like it at all.
fn nearest<'a>(known: &'a BTreeSet<String>, key: &str) -> Option<&'a str> {
    let likeness = |candidate: &String| strsim::jaro_winkler(candidate, key);
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.75).then_some(best)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Config {
        uri: String,
        #[serde(default)]
        default_repository: Option<String>,
        #[serde(default)]
        timeout: u64,
    }

    fn read(value: Value) -> Result<Config> {
        read_config(value.as_object().unwrap().clone())
    }

    #[test]
    fn dashes_and_underscores_mean_the_same() {
        let config = read(json!({"uri": "x", "default-repository": "r"})).unwrap();
        assert_eq!(
            (config.uri.as_str(), config.default_repository.as_deref()),
            ("x", Some("r"))
        );
    }

    #[test]
    fn every_unknown_and_every_missing_key_is_named() {
        let error = read(json!({"default_repo": "x", "zzz": 1})).unwrap_err();
        assert_eq!(
            error.message(),
            "the key `default_repo` is unknown, did you mean `default_repository`?; the key `zzz` is unknown; the \
             key `uri` is missing"
        );
    }

    #[test]
    fn a_value_of_the_wrong_form_is_named_by_its_key() {
        let error = read(json!({"uri": "x", "timeout": "soon"})).unwrap_err();
        assert!(error.message().starts_with("`timeout`: "), "{}", error.message());
        assert_eq!(read(json!({"uri": "x", "timeout": 3})).unwrap().timeout, 3);
    }
}
