//! The checked-in JSON Schema of a pipeline's file, as a validator of JSON Schema understands it: what editors mark
//! is what wharf refuses.

// Everything here is a test or helps one.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value, json};
use wharf_pipeline::PipelineFile;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema")
}

fn validator() -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/docker-settings.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// The files of a folder: names and texts.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(here().join(folder)).unwrap();
    let mut files: Vec<(PathBuf, String)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn parse(path: &Path, text: &str) -> wharf_core::Result<PipelineFile> {
    PipelineFile::parse(text, path, &|name| (name == "SET").then(|| "true".to_owned()))
}

#[test]
fn good_files_are_accepted_by_both() {
    let (validator, files) = (validator(), files("good"));
    assert!(files.len() >= 3);
    for (path, text) in files {
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0], "{}", path.display());
        parse(&path, &text).unwrap();
    }
}

/// The first line of a bad file is a comment with the place of what is wrong, as both name it.
#[test]
fn bad_files_are_refused_by_both_at_the_same_place() {
    let (validator, files) = (validator(), files("bad"));
    assert!(files.len() >= 8);
    for (path, text) in files {
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let place = text.lines().next().unwrap().trim_start_matches("# ");
        let pointer = format!("/{}", place.replace('.', "/"));
        // The schema complains of an attribute that there is not at the place where it stands.
        let parent = pointer.rsplit_once('/').unwrap().0.to_owned();
        let places: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| error.instance_path().to_string())
            .collect();
        assert!(
            places
                .iter()
                .any(|found| *found == pointer || *found == parent || found.starts_with(&pointer)),
            "{}: {place} is not in {places:?}",
            path.display()
        );
        let error = parse(&path, &text).unwrap_err();
        assert!(
            error.message().contains(&format!("`{place}")),
            "{}: {error}",
            path.display()
        );
    }
}

/// Every setting of the conformance cases that wharf accepts, the editor accepts; words for booleans are left aside.
#[test]
fn what_the_conformance_cases_set_is_accepted() {
    let validator = validator();
    let path = here().join("../conformance/dockerfile.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut checked = 0;
    for case in cases["cases"].as_array().unwrap() {
        let settings = &case["settings"];
        let file = json!({"settings": {"docker": settings}});
        if parse(Path::new("run.yaml"), &file.to_string()).is_err() || has_word_for_flag(settings) {
            continue;
        }
        let errors: Vec<String> = validator
            .iter_errors(&file)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0], "{}", case["name"]);
        checked += 1;
    }
    assert!(checked > 120, "{checked}");
}

/// Whether a flag is written as one of the words and numbers that are taken for true and false.
fn has_word_for_flag(settings: &Value) -> bool {
    let schema = wharf_pipeline::settings::schema();
    let flags = &schema["$defs"]["DockerSettings"]["properties"];
    let entries = settings.as_object().unwrap().iter();
    let is_flag = |name: &str| flags[name]["anyOf"][0]["type"] == json!("boolean");
    let is_replicate = |name: &str| name == "replicate_local_python_environment";
    entries.into_iter().any(|(name, value)| {
        (is_flag(name) || is_replicate(name)) && !value.is_boolean() && !value.is_array()
    })
}

fn guide() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pipelines.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_examples_of_the_guide_are_good_files() {
    let (validator, guide) = (validator(), guide());
    let blocks = guide.split("```yaml\n").skip(1);
    let texts: Vec<&str> = blocks.map(|block| block.split("```").next().unwrap()).collect();
    assert!(texts.len() >= 2);
    for text in texts {
        let value: Value = serde_saphyr::from_str(text).unwrap();
        assert!(validator.is_valid(&value), "{text}");
        parse(Path::new("run.yaml"), text).unwrap();
    }
}

#[test]
fn the_guide_names_every_attribute() {
    let (schema, guide) = (wharf_pipeline::settings::schema(), guide());
    let attributes = schema["$defs"]["DockerSettings"]["properties"]
        .as_object()
        .unwrap();
    for name in attributes.keys() {
        assert!(guide.contains(&format!("`{name}`")), "{name}");
    }
}
