//! The pod that wharf makes, beside the one that ZenML 0.98.0 makes for the same settings.
//!
//! `tests/data/zenml_calls.json` holds what ZenML's Kaniko builder really sent to `kubectl` for each case. Where
//! wharf differs on purpose, this module says so and why.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wharf_core::builder::BuildRequest;
use wharf_core::flavor::FlavorRegistry;
use wharf_core::options::DockerBuildOptions;
use wharf_core::registry::{FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{BuildContext, Digest, ErrorKind, FileSource};

use crate::arguments::STDIN_CONTEXT;
use crate::config::{self, KanikoImageBuilderConfig};
use crate::credentials::Handover;
use crate::flavor;
use crate::manifest::Manifest;
use crate::plan::BuildPlan;

const CASES: &str = include_str!("../tests/data/zenml_calls.json");

/// ZenML's default, which is an archived Kaniko; wharf's is the maintained one.
const ZENML_EXECUTOR: &str = "gcr.io/kaniko-project/executor:v1.9.1";

/// Arguments that only wharf sends: to read the log, and to build no more stages than BuildKit does.
const OWN_ARGUMENTS: [&str; 2] = ["--log-format=json", "--skip-unused-stages=true"];

/// wharf asks for the digest alone: names take room that a pod's last words do not have.
const DIGEST_ARGUMENTS: (&str, &str) = (
    "--digest-file=/dev/termination-log",
    "--image-name-with-digest-file=/dev/termination-log",
);

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(CASES).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn case(name: &str) -> Value {
    cases().into_iter().find(|case| case["name"] == name).unwrap()
}

fn config_of(case: &Value) -> Map<String, Value> {
    let mut config = case["given"]["config"].as_object().unwrap().clone();
    config
        .entry("executor_image")
        .or_insert_with(|| json!(ZENML_EXECUTOR));
    config
}

fn options_of(case: &Value) -> DockerBuildOptions {
    let options = case["given"]["build_options"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    DockerBuildOptions::from_map(&options).unwrap()
}

fn request_of(case: &Value) -> BuildRequest {
    let mut context = BuildContext::empty();
    let dockerfile = FileSource::Bytes("FROM scratch\n".into());
    context.add_file("Dockerfile", dockerfile, None).unwrap();
    let image = case["given"]["image"].as_str().unwrap().parse().unwrap();
    let registry = RegistryConfig {
        uri: case["given"]["container_registry"].as_str().unwrap().to_owned(),
        ..RegistryConfig::default()
    };
    let registry = FlavoredRegistry::new(RegistryFlavor::Default, registry).unwrap();
    BuildRequest {
        options: options_of(case),
        registry: Some(Arc::new(registry)),
        ..BuildRequest::new(image, context)
    }
}

/// The pod, in the form of the case: what is empty stands there, too.
fn pod_of(case: &Value) -> Value {
    let config: KanikoImageBuilderConfig = serde_json::from_value(Value::Object(config_of(case))).unwrap();
    let parts = config::parts(&config).unwrap();
    let plan = BuildPlan::new(&request_of(case)).unwrap();
    let manifest = Manifest {
        name: "wharf-00",
        config: &config,
        parts: &parts,
        plan: &plan,
        context: case["given"]["context"].as_str().unwrap_or(STDIN_CONTEXT),
        handover: &Handover::default(),
    };
    let pod = serde_json::to_value(manifest.job().spec.unwrap().template.spec).unwrap();
    let container = &pod["containers"][0];
    let list = |value: &Value| if value.is_null() { json!([]) } else { value.clone() };
    let mut spec = json!({
        "containers": [{
            "name": case["given"]["pod_name"],
            "image": container["image"],
            "stdin": container["stdin"],
            "stdinOnce": container["stdinOnce"],
            "args": as_zenml(&container["args"]),
            "env": list(&container["env"]),
            "envFrom": list(&container["envFrom"]),
            "volumeMounts": list(&container["volumeMounts"]),
        }],
        "volumes": list(&pod["volumes"]),
    });
    if let Some(account) = pod.get("serviceAccountName") {
        spec["serviceAccountName"] = account.clone();
    }
    spec
}

/// wharf's arguments as ZenML would write them. `$` is doubled by wharf alone: Kubernetes would replace `$(id)`.
fn as_zenml(arguments: &Value) -> Value {
    let arguments = arguments
        .as_array()
        .unwrap()
        .iter()
        .map(|argument| argument.as_str().unwrap());
    let arguments = arguments.filter(|argument| !OWN_ARGUMENTS.contains(argument));
    let (ours, theirs) = DIGEST_ARGUMENTS;
    arguments
        .map(|argument| {
            if argument == ours {
                theirs.to_owned()
            } else {
                argument.replace("$$", "$")
            }
        })
        .collect()
}

#[test]
fn the_pod_is_the_one_zenml_makes() {
    let mut compared = 0;
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        // Told apart below.
        if ["kaniko: timeout zero", "kaniko: unknown setting"].contains(&name) {
            continue;
        }
        let mut expected = case["expected"]["spec_overrides"]["spec"].clone();
        if !case["given"]["context"].is_null() {
            // Nothing is sent to an input that nobody reads, so wharf opens none.
            for key in ["stdin", "stdinOnce"] {
                expected["containers"][0][key] = Value::Null;
            }
        }
        assert_eq!(pod_of(&case), expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 15);
}

#[test]
fn settings_that_zenml_refuses_or_overlooks_are_refused() {
    let mut flavors = FlavorRegistry::new();
    flavors.register(flavor());
    for (name, part) in [
        ("kaniko: timeout zero", "`pod_running_timeout`"),
        ("kaniko: unknown setting", "the key `nope` is unknown"),
    ] {
        let error = flavors
            .image_builder("kaniko", config_of(&case(name)))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(error.message().contains(part), "{}", error.message());
    }
}

#[test]
fn last_words_that_are_no_digest_are_no_result() {
    for name in ["kaniko: pod says another repository", "kaniko: pod says nothing"] {
        let case = case(name);
        assert!(!case["expected"]["error"].is_null());
        let words = case["given"]["pod_output"].as_str().unwrap();
        assert!(words.parse::<Digest>().is_err(), "{words}");
    }
}
