//! The JSON Schema of the settings, for editors.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, json_schema};
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use super::deprecated::DEPRECATED;
use super::keys::{PIPELINE_KEYS, STEP_KEYS};
use super::{DockerSettings, InstallerArgument};
use crate::inputs::EnvironmentExport;

/// The JSON Schema of a pipeline's file: its Docker settings, and what else may stand in it. It is what
/// `wharf pipeline schema` prints, and what editors complete from.
///
/// What the schema accepts is right as far as a schema can say: a `${NAME}` may stand for every value that is a
/// text, a flag or a choice.
///
/// ```
/// let schema = wharf_pipeline::settings::schema();
/// assert!(schema["$defs"]["DockerSettings"]["properties"]["apt_packages"].is_object());
/// ```
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let settings = generator.subschema_for::<DockerSettings>();
    let mut definitions: BTreeMap<String, Value> = generator.take_definitions(true).into_iter().collect();
    let properties = definitions
        .get_mut("DockerSettings")
        .and_then(|settings| settings.pointer_mut("/properties"))
        .and_then(Value::as_object_mut);
    if let Some(properties) = properties {
        for property in properties.values_mut() {
            accept_variables(property);
            refer_directly(property);
        }
        let deprecated = DEPRECATED.map(|(name, instead)| {
            let description = format!("Deprecated: {instead}.");
            (
                name.to_owned(),
                json!({"deprecated": true, "description": description}),
            )
        });
        properties.extend(deprecated);
    }
    // Null instead of a mapping is said at the mapping: an alternative would hide where in it something is wrong.
    for definition in definitions.values_mut() {
        if definition.get("type") == Some(&json!("object")) {
            definition["type"] = json!(["object", "null"]);
        }
    }
    let docker = json!({
        "description": "Settings by component; wharf reads `docker`.",
        "type": ["object", "null"],
        "properties": {"docker": settings},
        "additionalProperties": true,
    });
    let step = json!({
        "type": ["object", "null"],
        "properties": with_others(&STEP_KEYS, json!({"settings": docker})),
        "additionalProperties": false,
    });
    let own = json!({
        "name": {"type": ["string", "null"], "description": "The pipeline's name. Default: the file's name."},
        "build": {"type": ["string", "null"], "description": "The id of a build to use."},
        "settings": docker,
        "steps": {
            "description": "The steps and what they have of their own, by name.",
            "type": ["object", "null"],
            "additionalProperties": step,
        },
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A pipeline's file: ZenML's run configuration, as wharf reads it",
        "type": ["object", "null"],
        "properties": with_others(&PIPELINE_KEYS, own),
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// Properties, and the keys besides, about which nothing is said.
fn with_others(keys: &[&str], mut properties: Value) -> Value {
    for key in keys {
        if properties.get(key).is_none() {
            properties[*key] = json!({"description": "ZenML's; it says nothing about images."});
        }
    }
    properties
}

/// Makes "this mapping or null" just "this mapping", which may be null.
fn refer_directly(property: &mut Value) {
    let (null, mapping) = (json!({"type": "null"}), json!("#/$defs/DockerBuildConfig"));
    let to = match property.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([to, other]) if *other == null => to.get("$ref").filter(|to| **to == mapping).cloned(),
        _ => None,
    };
    if let (Some(to), Some(entries)) = (to, property.as_object_mut()) {
        entries.shift_remove("anyOf");
        entries.insert("$ref".into(), to);
    }
}

/// Flags and choices may be said by a variable, which is a text before it is replaced.
fn accept_variables(property: &mut Value) {
    let is_choice = property.get("$ref") == Some(&json!("#/$defs/PythonPackageInstaller"));
    let is_flag = property.get("type") == Some(&json!("boolean"));
    let Some(entries) = property.as_object_mut().filter(|_| is_choice || is_flag) else {
        return;
    };
    let name = if is_choice { "$ref" } else { "type" };
    if let Some(form) = entries.shift_remove(name) {
        let variable = json!({"type": "string", "pattern": "\\$\\{[A-Za-z0-9_]+\\}"});
        entries.insert("anyOf".into(), json!([{name: form}, variable]));
    }
}

/// A value that becomes a text.
pub(super) struct Scalar;

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number", "boolean", "null"]})
    }
}

/// The forms of `replicate_local_python_environment`.
pub(super) struct Replicate;

impl JsonSchema for Replicate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReplicateLocalPythonEnvironment".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": ["boolean", "null"]},
                {"enum": ["pip_freeze", "poetry_export"]},
                {"type": "array", "items": {"type": "string"}},
            ],
        })
    }
}

/// The default of a flag that is on.
pub(super) fn yes() -> bool {
    true
}

pub(super) fn arguments<S: Serializer>(
    arguments: &[InstallerArgument],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(arguments.len()))?;
    for argument in arguments {
        map.serialize_entry(&argument.name, &argument.value)?;
    }
    map.end()
}

pub(super) fn replicate<S: Serializer>(
    export: &Option<EnvironmentExport>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match export {
        None => serializer.serialize_none(),
        Some(EnvironmentExport::PipFreeze) => serializer.serialize_str("pip_freeze"),
        Some(EnvironmentExport::PoetryExport) => serializer.serialize_str("poetry_export"),
        Some(EnvironmentExport::Command(words)) => serializer.collect_seq(words),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_checked_in_schema_is_the_one_of_the_code() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/docker-settings.schema.json");
        let now = format!("{:#}\n", schema());
        if std::env::var_os("WHARF_UPDATE").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == now,
            "{} is stale: run the tests of wharf-pipeline with WHARF_UPDATE=1",
            path.display()
        );
    }

    #[test]
    fn every_attribute_is_described_and_no_other_is_allowed() {
        let schema = schema();
        let settings = &schema["$defs"]["DockerSettings"];
        assert_eq!(settings["additionalProperties"], json!(false));
        for (name, property) in settings["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}");
        }
    }
}
