//! What is sent, beside what ZenML sends; see `conformance/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use wharf_aws::S3ArtifactStore;
use wharf_core::builder::BuildRequest;
use wharf_core::flavor::known::{AwsImageBuilderConfig, S3ArtifactStoreConfig};
use wharf_core::flavor::read_config;
use wharf_core::options::DockerBuildOptions;
use wharf_core::registry::{DockerConfigLocator, FlavoredRegistry, RegistryConfig};
use wharf_core::{BuildContext, FileSource, Result};

use crate::environment::{self, Login, Value as VariableValue};
use crate::plan::BuildPlan;
use crate::source::{self, Source};

const REASONS: &str = include_str!("conformance/deviations.json");
const CASES: &str = include_str!("conformance/remote_calls.json");

/// What one side does, field by field.
type Answer = BTreeMap<&'static str, Value>;

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn plan(given: &Value, config: &AwsImageBuilderConfig) -> Result<BuildPlan> {
    let mut context = BuildContext::empty();
    context.add_file("Dockerfile", FileSource::Bytes("FROM scratch\n".into()), None)?;
    let mut request = BuildRequest::new(given["image"].as_str().unwrap().parse()?, context);
    request.options = DockerBuildOptions::from_map(&object(&given["build_options"]))?;
    let registry = &given["container_registry"];
    if let Some(uri) = registry["uri"].as_str() {
        let login = |at: usize| registry["credentials"][at].as_str().map(str::to_owned);
        let config = RegistryConfig {
            uri: uri.into(),
            username: login(0),
            password: login(1).map(Into::into),
            ..RegistryConfig::default()
        };
        let registry = FlavoredRegistry::new(registry["flavor"].as_str().unwrap().parse()?, config)?;
        request.registry = Some(Arc::new(registry.with_locator(DockerConfigLocator::empty())));
    }
    let store = S3ArtifactStoreConfig {
        path: "s3://bucket/store".into(),
        ..S3ArtifactStoreConfig::default()
    };
    request.artifact_store = Some(Arc::new(S3ArtifactStore::new(store)?));
    BuildPlan::new(&request, config.implicit_container_registry_auth)
}

async fn ours(given: &Value) -> Answer {
    let config: AwsImageBuilderConfig = read_config(object(&given["config"])).unwrap();
    let plan = match plan(given, &config) {
        Ok(plan) => plan,
        Err(_) => return Answer::from([("refused", json!(true))]),
    };
    let login = Login::of(&plan, &config).await.unwrap();
    let variables = environment::variables(&config, &plan, &login, "us-east-1", None).unwrap();
    let source = Source::prepare(&plan).unwrap().hash().unwrap();
    let call =
        crate::start::start_build(&config, &format!("bucket/store/{}", source.name), &variables).unwrap();
    let text = |value: Option<String>| json!(value);
    let names = variables.iter().map(|variable| match &variable.value {
        VariableValue::Plain(value) => json!({"name": variable.name, "value": value, "type": "PLAINTEXT"}),
        other => json!({"name": variable.name, "value": format!("{other:?}")}),
    });
    let words = source::arguments(&plan).unwrap();
    let own = words.iter().position(|word| word == "--tag").unwrap();
    Answer::from([
        ("refused", json!(false)),
        ("projectName", text(call.get_project_name().clone())),
        (
            "environmentTypeOverride",
            text(
                call.get_environment_type_override()
                    .as_ref()
                    .map(ToString::to_string),
            ),
        ),
        ("imageOverride", text(call.get_image_override().clone())),
        (
            "computeTypeOverride",
            text(call.get_compute_type_override().as_ref().map(ToString::to_string)),
        ),
        (
            "privilegedModeOverride",
            json!(call.get_privileged_mode_override()),
        ),
        (
            "sourceTypeOverride",
            text(call.get_source_type_override().as_ref().map(ToString::to_string)),
        ),
        (
            "sourceLocationOverride",
            text(call.get_source_location_override().clone()),
        ),
        ("environmentVariablesOverride", names.collect()),
        (
            "artifactsOverride",
            json!({"type": call.get_artifacts_override().as_ref().unwrap().r#type().to_string()}),
        ),
        ("buildspec", text(call.get_buildspec_override().clone())),
        (
            "login",
            json!(matches!(login, Login::Ecr { .. } | Login::EcrPublic)),
        ),
        ("docker_build", sorted(words[..own].iter().cloned())),
        ("image", json!("repository@sha256:…")),
    ])
}

fn theirs(expected: &Value) -> Answer {
    let call = &expected["start_build"];
    if call.is_null() {
        return Answer::from([("refused", json!(true))]);
    }
    let buildspec = call["buildspecOverride"].as_str().unwrap();
    let line = buildspec
        .lines()
        .find_map(|line| line.trim().strip_prefix("- docker build -t "))
        .unwrap();
    let (_, options) = line.split_once(" . ").unwrap_or((line, ""));
    let mut answer = Answer::from([
        ("refused", json!(false)),
        ("buildspec", json!(buildspec)),
        ("login", json!(buildspec.contains("get-login-password"))),
        (
            "docker_build",
            sorted(options.split_whitespace().map(str::to_owned)),
        ),
        ("image", expected["image"].clone()),
    ]);
    for field in [
        "projectName",
        "environmentTypeOverride",
        "imageOverride",
        "computeTypeOverride",
        "privilegedModeOverride",
        "sourceTypeOverride",
        "sourceLocationOverride",
        "environmentVariablesOverride",
        "artifactsOverride",
    ] {
        answer.insert(field, call[field].clone());
    }
    answer
}

/// Options in any order mean the same; a flag stays beside its value only in the eyes of people.
fn sorted(words: impl Iterator<Item = String>) -> Value {
    let mut words: Vec<String> = words.collect();
    words.sort();
    json!(words)
}

#[tokio::test]
async fn the_same_meaning_is_sent_or_a_better_one_is_listed() {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let reasons: Value = serde_json::from_str(REASONS).unwrap();
    let mut wrong = Vec::new();
    let cases = cases["cases"].as_array().unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let (ours, theirs) = (ours(&case["given"]).await, theirs(&case["expected"]));
        let own: BTreeSet<String> = object(&reasons[name])
            .into_iter()
            .map(|(field, _)| field)
            .collect();
        if ours["refused"] != theirs["refused"] {
            if !own.contains("refused") {
                wrong.push(format!("{name}: refused by one side only"));
            }
            continue;
        }
        for (field, value) in &theirs {
            let listed = own.contains(*field) || reasons["*"].get(field).is_some();
            let equal = ours.get(field) == Some(value);
            if equal == listed {
                wrong.push(format!(
                    "{name}: {field}: {value} and {:?}, listed: {listed}",
                    ours.get(field)
                ));
            }
        }
    }
    assert!(cases.len() >= 15 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_variable_of_the_user_s_is_sent_as_zenml_sends_it() {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let case = cases["cases"]
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["name"] == "aws: own variables")
        .unwrap();
    let sent = ours(&case["given"]).await["environmentVariablesOverride"].clone();
    for variable in case["expected"]["start_build"]["environmentVariablesOverride"]
        .as_array()
        .unwrap()
    {
        assert!(
            sent.as_array().unwrap().contains(variable),
            "{variable} in {sent}"
        );
    }
}
