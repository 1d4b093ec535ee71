//! The configuration of the flavor `kaniko`: the core's, with the objects of Kubernetes in it read and checked.

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, PodTemplateSpec, ResourceRequirements, SecurityContext, Toleration, Volume,
    VolumeMount,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wharf_core::{Error, ErrorKind, Result};

pub use wharf_core::flavor::known::{KanikoExecutor, KanikoImageBuilderConfig};

use crate::executor;

/// What the configuration says about the pod, in Kubernetes' own types.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodParts {
    pub(crate) env: Vec<EnvVar>,
    pub(crate) env_from: Vec<EnvFromSource>,
    pub(crate) volume_mounts: Vec<VolumeMount>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) resources: Option<ResourceRequirements>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) security_context: Option<SecurityContext>,
    pub(crate) template: PodTemplateSpec,
}

/// Checks a configuration as far as that is possible without a cluster.
///
/// # Errors
///
/// [`ErrorKind::InvalidConfiguration`] with every problem and the place of each.
pub(crate) fn check(config: &KanikoImageBuilderConfig) -> Result<()> {
    parts(config).map(drop)
}

/// Reads the objects of Kubernetes in a configuration.
///
/// # Errors
///
/// As [`check`].
pub(crate) fn parts(config: &KanikoImageBuilderConfig) -> Result<PodParts> {
    let mut problems = simple_problems(config);
    let parts = PodParts {
        env: list("env", &config.env, &mut problems),
        env_from: list("env_from", &config.env_from, &mut problems),
        volume_mounts: list("volume_mounts", &config.volume_mounts, &mut problems),
        volumes: list("volumes", &config.volumes, &mut problems),
        resources: object("resources", &with_quantities(&config.resources), &mut problems),
        tolerations: list("tolerations", &config.tolerations, &mut problems),
        security_context: object("security_context", &config.security_context, &mut problems),
        template: object("pod_template", &config.pod_template, &mut problems).unwrap_or_default(),
    };
    problems.extend(unmounted(config, &parts));
    match problems.is_empty() {
        true => Ok(parts),
        false => Err(
            Error::new(ErrorKind::InvalidConfiguration, problems.join("; ")).with_hint(
                "Objects are written as in a manifest of Kubernetes; `kubectl explain pod.spec` shows every field.",
            ),
        ),
    }
}

fn simple_problems(config: &KanikoImageBuilderConfig) -> Vec<String> {
    let mut problems = Vec::new();
    for (key, value) in [
        ("kubernetes_namespace", &config.kubernetes_namespace),
        ("executor_image", &config.executor_image),
    ] {
        if value.trim().is_empty() {
            problems.push(format!("`{key}` is empty"));
        }
    }
    if config.cache_repository.is_some() && !config.cache {
        problems.push("`cache_repository` says where layers are kept, and `cache` is off".to_owned());
    }
    problems.extend(executor::argument_problems(config));
    problems
}

/// Mounts of volumes that nothing defines.
fn unmounted(config: &KanikoImageBuilderConfig, parts: &PodParts) -> Vec<String> {
    let of_template = parts
        .template
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    let known: Vec<&str> = parts
        .volumes
        .iter()
        .chain(of_template)
        .map(|volume| volume.name.as_str())
        .collect();
    let mounts = parts.volume_mounts.iter().zip(0..config.volume_mounts.len());
    mounts
        .filter(|(mount, _)| !known.contains(&mount.name.as_str()))
        .map(|(mount, index)| {
            format!(
                "`volume_mounts[{index}].name`: there is no volume `{}`",
                mount.name
            )
        })
        .collect()
}

fn list<T: DeserializeOwned + Serialize>(
    key: &str,
    objects: &[Map<String, Value>],
    problems: &mut Vec<String>,
) -> Vec<T> {
    let read = |(index, object)| self::object(&format!("{key}[{index}]"), object, problems);
    objects.iter().enumerate().filter_map(read).collect()
}

/// Reads an object; an empty one is none. Kubernetes' types skip what they do not know, so that is found by
/// writing the object again.
fn object<T: DeserializeOwned + Serialize>(
    key: &str,
    object: &Map<String, Value>,
    problems: &mut Vec<String>,
) -> Option<T> {
    if object.is_empty() {
        return None;
    }
    let given = Value::Object(object.clone());
    let read: T = match serde_path_to_error::deserialize(given.clone()) {
        Ok(read) => read,
        Err(error) => {
            let path = error.path().to_string();
            let place = if path == "." {
                key.to_owned()
            } else {
                format!("{key}.{path}")
            };
            problems.push(format!("`{place}`: {}", error.inner()));
            return None;
        }
    };
    let written = serde_json::to_value(&read).unwrap_or_default();
    let before = problems.len();
    unknown_fields(key, &given, &written, problems);
    (problems.len() == before).then_some(read)
}

fn unknown_fields(place: &str, given: &Value, written: &Value, problems: &mut Vec<String>) {
    match (given, written) {
        (Value::Object(given), Value::Object(written)) => {
            for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
                let inner = format!("{place}.{name}");
                match written.get(name) {
                    Some(kept) => unknown_fields(&inner, value, kept, problems),
                    None => problems.push(format!("`{inner}` is unknown to Kubernetes")),
                }
            }
        }
        (Value::Array(given), Value::Array(written)) => {
            for (index, (value, kept)) in given.iter().zip(written).enumerate() {
                unknown_fields(&format!("{place}[{index}]"), value, kept, problems);
            }
        }
        _ => {}
    }
}

/// Kubernetes takes `cpu: 2` as well as `cpu: "2"`; its types here take text only.
fn with_quantities(resources: &Map<String, Value>) -> Map<String, Value> {
    let mut resources = resources.clone();
    for key in ["limits", "requests"] {
        let amounts = resources.get_mut(key).and_then(Value::as_object_mut);
        for amount in amounts.into_iter().flat_map(|amounts| amounts.values_mut()) {
            if amount.is_number() {
                *amount = Value::String(amount.to_string());
            }
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: Value) -> KanikoImageBuilderConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn objects_are_read_as_in_a_manifest() {
        let config = config(json!({
            "env": [{"name": "A", "value": "1"}],
            "env_from": [{"secretRef": {"name": "s"}}],
            "volumes": [{"name": "v", "configMap": {"name": "c"}}],
            "volume_mounts": [{"name": "v", "mountPath": "/v"}],
            "resources": {"limits": {"memory": "4Gi", "cpu": 2}},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "security_context": {"runAsUser": 0},
            "pod_template": {"spec": {"hostNetwork": true}},
        }));
        let parts = parts(&config).unwrap();
        assert_eq!(parts.env[0].value.as_deref(), Some("1"));
        assert_eq!(parts.volume_mounts[0].mount_path, "/v");
        let limits = parts.resources.unwrap().limits.unwrap();
        assert_eq!(
            (limits["memory"].0.as_str(), limits["cpu"].0.as_str()),
            ("4Gi", "2")
        );
        assert_eq!(parts.template.spec.unwrap().host_network, Some(true));
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let config = config(json!({
            "volumes": [{"name": "v", "configmap": {"name": "c"}}],
            "volume_mounts": [{"name": "v", "mount_path": "/v"}, {"name": "w", "mountPath": "/w"}],
            "env": [{"name": 3}],
            "pod_template": {"spec": {"hostNetwrk": true}},
            "cache_repository": "r.example/cache",
        }));
        let error = check(&config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        for part in [
            "`volumes[0].configmap` is unknown",
            "`volume_mounts[0].mount_path` is unknown",
            "no volume `w`",
            "`env[0].name`: ",
            "`pod_template.spec.hostNetwrk` is unknown",
            "`cache` is off",
        ] {
            assert!(error.message().contains(part), "{part} in {}", error.message());
        }
    }

    #[test]
    fn the_defaults_are_right() {
        check(&KanikoImageBuilderConfig::default()).unwrap();
    }
}
