//! Tags, registry addresses and image names, compared with what ZenML answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use wharf_core::registry::{self, ContainerRegistry, FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{ImageReference, sanitize_tag};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: String,
    given: Given,
    expected: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Given {
    tag: String,
    flavor: String,
    uri: String,
    registry_uri: Option<String>,
    default_repository: Option<String>,
    target_repository: Option<String>,
    image: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviations {
    reasons: BTreeMap<String, String>,
    deviations: BTreeMap<String, Deviation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    reason: String,
    expected: Value,
}

impl Case {
    /// What wharf answers; null where it refuses.
    fn answer(&self) -> Value {
        let given = &self.given;
        match self.kind.as_str() {
            "sanitize tag" => sanitize_tag(&given.tag).map_or(Value::Null, Value::from),
            "registry uri" => make(&given.flavor, &given.uri, None).map_or(
                Value::Null,
                |registry| json!({ "uri": registry.uri(), "is_local": registry.is_local() }),
            ),
            "image of this registry" => {
                let registry = make("default", given.registry_uri.as_deref().unwrap_or(""), None);
                let image = given.image.parse::<ImageReference>().ok();
                Value::from(
                    registry
                        .zip(image)
                        .is_some_and(|(registry, image)| registry.contains(&image)),
                )
            }
            "target image name" => given
                .target()
                .map_or(Value::Null, |image| image.to_string().into()),
            kind => panic!("there is no kind {kind:?}"),
        }
    }

    /// An answer of the data in the form of [`Case::answer`].
    fn comparable(&self, expected: &Value) -> Value {
        if expected.get("error").is_some_and(|error| !error.is_null()) {
            return Value::Null;
        }
        match self.kind.as_str() {
            "sanitize tag" => expected.get("tag").unwrap_or(expected).clone(),
            "registry uri" if expected.is_object() => {
                json!({ "uri": expected["uri"], "is_local": expected["is_local"] })
            }
            "target image name" => match expected.as_str().map(str::parse::<ImageReference>) {
                Some(Ok(image)) => image.to_string().into(),
                _ => expected.clone(),
            },
            _ => expected.clone(),
        }
    }
}

impl Given {
    fn target(&self) -> Option<ImageReference> {
        let repository = self.target_repository.as_deref();
        let Some(uri) = &self.registry_uri else {
            return registry::target_image(None, repository, &self.tag).ok();
        };
        let registry = make("default", uri, self.default_repository.clone())?;
        registry::target_image(Some(&registry), repository, &self.tag).ok()
    }
}

fn make(flavor: &str, uri: &str, default_repository: Option<String>) -> Option<FlavoredRegistry> {
    let config = RegistryConfig {
        uri: uri.to_owned(),
        default_repository,
        ..RegistryConfig::default()
    };
    FlavoredRegistry::new(flavor.parse::<RegistryFlavor>().ok()?, config).ok()
}

#[test]
fn registries_answer_as_zenml_except_where_it_is_wrong() {
    let Cases { cases } = serde_json::from_str(include_str!("registry_decisions.json")).unwrap();
    let mut listed: Deviations = serde_json::from_str(include_str!("registry_deviations.json")).unwrap();
    let (total, mut agreeing, mut wrong) = (cases.len(), 0, Vec::new());
    for case in cases {
        let (answer, peer) = (case.answer(), case.comparable(&case.expected));
        match listed.deviations.remove(&case.name) {
            None if answer == peer => agreeing += 1,
            None => wrong.push(format!(
                "{}: {answer} instead of {peer}, and not listed",
                case.name
            )),
            Some(_) if answer == peer => wrong.push(format!("{}: listed, but it agrees", case.name)),
            Some(deviation) => {
                if answer != case.comparable(&deviation.expected) {
                    wrong.push(format!(
                        "{}: {answer} instead of {}",
                        case.name, deviation.expected
                    ));
                }
                if !listed.reasons.contains_key(&deviation.reason) {
                    wrong.push(format!("{}: no reason {:?}", case.name, deviation.reason));
                }
            }
        }
    }
    wrong.extend(
        listed
            .deviations
            .into_keys()
            .map(|name| format!("{name}: listed, but there is no such case")),
    );
    println!(
        "registries: {agreeing} of {total} agree with ZenML, {} deviate for a listed reason",
        total - agreeing
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
