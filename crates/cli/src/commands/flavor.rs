//! `wharf image-builder flavor`: the kinds of image builders there are.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use wharf_core::flavor::{ComponentKind, Flavor};

use crate::args::{FlavorCommand, GlobalArgs};
use crate::failure::Failure;
use crate::output::{self, Shown};
use crate::{exit_code, wiring};

/// Lists the flavors, or describes one.
///
/// # Errors
/// [`NotFound`](wharf_core::ErrorKind::NotFound) for a flavor that nobody knows; when standard output cannot
/// be written.
pub fn run(global: &GlobalArgs, command: &FlavorCommand) -> Result<u8, Failure> {
    let flavors = wiring::flavors();
    let kind = ComponentKind::ImageBuilder;
    match command {
        FlavorCommand::List => {
            let rows = flavors.list(kind).map(Summary::new).collect();
            output::print(global.output, &List(rows))?;
        }
        FlavorCommand::Describe(args) => {
            let description = Description::new(flavors.get(kind, &args.name)?);
            output::print(global.output, &description)?;
        }
    }
    Ok(exit_code::OK)
}

/// A flavor in a list.
#[derive(Debug, Serialize)]
struct Summary {
    name: String,
    description: String,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<&'static str>,
}

impl Summary {
    fn new(flavor: &Flavor) -> Self {
        Self {
            name: flavor.name().to_owned(),
            description: flavor.description().to_owned(),
            available: flavor.missing_feature().is_none(),
            feature: flavor.missing_feature(),
        }
    }

    fn note(&self) -> String {
        match self.feature {
            Some(feature) => format!(" (not compiled in: turn on the feature `{feature}`)"),
            None => String::new(),
        }
    }
}

struct List(Vec<Summary>);

impl Shown for List {
    type Json = [Summary];

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = self.0.iter().map(|flavor| flavor.name.len()).max().unwrap_or(0);
        for flavor in &self.0 {
            writeln!(
                out,
                "{:width$}  {}{}",
                flavor.name,
                flavor.description,
                flavor.note()
            )?;
        }
        Ok(())
    }

    fn json(&self) -> &[Summary] {
        &self.0
    }
}

/// A flavor with its configuration's schema.
#[derive(Debug, Serialize)]
struct Description {
    #[serde(flatten)]
    summary: Summary,
    schema: Value,
}

/// A key of a configuration.
struct Key<'a> {
    name: &'a str,
    form: String,
    required: bool,
    default: Option<&'a Value>,
    description: &'a str,
}

impl Description {
    fn new(flavor: &Flavor) -> Self {
        Self {
            summary: Summary::new(flavor),
            schema: flavor.schema().as_value().clone(),
        }
    }

    fn keys(&self) -> Vec<Key<'_>> {
        let Some(properties) = self.schema.get("properties").and_then(Value::as_object) else {
            return Vec::new();
        };
        let required = self.schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
        let keys = properties.iter().map(|(name, property)| Key {
            name,
            form: form(property),
            required: is_required(name),
            default: property.get("default").filter(|default| !default.is_null()),
            description: property
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        });
        keys.collect()
    }
}

/// The JSON types that a key takes, without `null`: leaving it out does the same.
fn form(property: &Value) -> String {
    let values = property.get("enum").and_then(Value::as_array);
    if let Some(values) = values {
        let values: Vec<String> = values
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        return values.join("|");
    }
    match property.get("type") {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(many)) => {
            let names = many
                .iter()
                .filter_map(Value::as_str)
                .filter(|name| *name != "null");
            names.collect::<Vec<_>>().join("|")
        }
        _ => "value".to_owned(),
    }
}

impl Shown for Description {
    type Json = Self;

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{}: {}{}",
            self.summary.name,
            self.summary.description,
            self.summary.note()
        )?;
        for key in self.keys() {
            let required = if key.required { ", required" } else { "" };
            let default = key
                .default
                .map(|default| format!(", default {default}"))
                .unwrap_or_default();
            writeln!(out, "\n  {} ({}{required}{default})", key.name, key.form)?;
            for line in key.description.lines() {
                writeln!(out, "      {line}")?;
            }
        }
        Ok(())
    }

    fn json(&self) -> &Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Config {
        /// Where it is.
        uri: String,
        /// How many at once.
        #[serde(default = "four")]
        jobs: u32,
        secret: Option<String>,
    }

    fn four() -> u32 {
        4
    }

    fn description() -> Description {
        let kind = ComponentKind::ImageBuilder;
        Description::new(&Flavor::not_compiled_in::<Config>(
            kind,
            "farm",
            "Builds on a farm",
            "farm",
        ))
    }

    #[test]
    fn a_description_lists_every_key_with_form_and_default() {
        let mut out = Vec::new();
        description().text(&mut out).unwrap();
        let expected = "\
farm: Builds on a farm (not compiled in: turn on the feature `farm`)

  uri (string, required)
      Where it is.

  jobs (integer, default 4)
      How many at once.

  secret (string)
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn the_json_of_a_description_holds_the_schema() {
        let json = serde_json::to_value(description()).unwrap();
        assert_eq!(json["name"], "farm");
        assert_eq!(json["available"], false);
        assert_eq!(json["schema"]["properties"]["jobs"]["default"], 4);
    }
}
