//! The objects that a build makes in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::DeepMerge;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, HostAlias, KeyToPath, LocalObjectReference, Pod, PodSpec, PodTemplateSpec, Secret,
    SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use wharf_core::builder::Owner;
use wharf_core::flavor::known::{KanikoExecutor, KanikoImageBuilderConfig};

use crate::arguments::{TERMINATION_LOG, arguments};
use crate::config::PodParts;
use crate::credentials::Handover;
use crate::executor::{self, LIKE_BUILDKIT};
use crate::plan::BuildPlan;

/// The executor's container.
pub(crate) const CONTAINER: &str = "kaniko";
/// Marks everything that wharf made in a cluster.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "wharf");
/// The label that all objects of one build share; its value is the job's name.
pub(crate) const BUILD_LABEL: &str = "wharf/build";
/// Who made it, see [`Owner`].
pub(crate) const OWNER_ANNOTATION: &str = "wharf/owner";
/// The image to be built, for people.
const IMAGE_ANNOTATION: &str = "wharf/image";

/// Where Kaniko reads Docker's configuration.
const DOCKER_CONFIG_FOLDER: &str = "/kaniko/.docker";
/// Where the registry's own certificates are in the container.
pub(crate) const CA_FILE: &str = "/kaniko/wharf/registry-ca.crt";
const CA_FOLDER: &str = "/kaniko/wharf";
const CONFIG_KEY: &str = "config.json";
const CA_KEY: &str = "registry-ca.crt";

/// How long a finished job stays where wharf cannot remove it any more, in seconds.
const KEPT_AFTER_END: i32 = 600;
/// How much longer the job may live than its pod, in seconds, so that the pod's end is the one that is told.
const JOB_GRACE: i64 = 60;
/// How long the executor may take to stop, in seconds. It has nothing to save.
const STOP_GRACE: i64 = 2;

/// Everything that decides what the objects of one build look like.
#[derive(Debug)]
pub(crate) struct Manifest<'a> {
    pub(crate) name: &'a str,
    pub(crate) config: &'a KanikoImageBuilderConfig,
    pub(crate) parts: &'a PodParts,
    pub(crate) plan: &'a BuildPlan,
    /// Where the executor finds the context.
    pub(crate) context: &'a str,
    pub(crate) handover: &'a Handover,
}

impl Manifest<'_> {
    /// The job. The cluster ends it when its time is over and removes it later, whatever happens to wharf.
    pub(crate) fn job(&self) -> Job {
        let mut template = self.parts.template.clone();
        template.merge_from(self.template());
        Job {
            metadata: self.metadata(),
            spec: Some(JobSpec {
                active_deadline_seconds: Some(self.deadline() + JOB_GRACE),
                backoff_limit: Some(0),
                template,
                ttl_seconds_after_finished: Some(KEPT_AFTER_END),
                ..JobSpec::default()
            }),
            status: None,
        }
    }

    /// The pod that the job will make, to ask the API server whether it would be let in.
    pub(crate) fn probe_pod(&self) -> Pod {
        let template = self.job().spec.map(|spec| spec.template).unwrap_or_default();
        let metadata = ObjectMeta {
            name: Some(self.name.to_owned()),
            namespace: Some(self.config.kubernetes_namespace.clone()),
            ..template.metadata.unwrap_or_default()
        };
        Pod {
            metadata,
            spec: template.spec,
            status: None,
        }
    }

    /// What the executor must know and nobody else may; none if there is nothing. It goes with its job.
    pub(crate) fn secret(&self, job_uid: &str) -> Option<Secret> {
        let handover = self.handover;
        let files = [(CONFIG_KEY, &handover.docker_config), (CA_KEY, &handover.ca)];
        let data: BTreeMap<String, String> = files
            .into_iter()
            .filter_map(|(key, text)| Some((key.to_owned(), text.as_ref()?.expose().to_owned())))
            .collect();
        if data.is_empty() {
            return None;
        }
        Some(Secret {
            metadata: ObjectMeta {
                owner_references: Some(vec![self.owner_reference(job_uid)]),
                ..self.metadata()
            },
            string_data: Some(data),
            ..Secret::default()
        })
    }

    fn owner_reference(&self, job_uid: &str) -> OwnerReference {
        OwnerReference {
            api_version: "batch/v1".to_owned(),
            kind: "Job".to_owned(),
            name: self.name.to_owned(),
            uid: job_uid.to_owned(),
            ..OwnerReference::default()
        }
    }

    fn metadata(&self) -> ObjectMeta {
        let mut annotations = self.config.annotations.clone();
        let image = self
            .plan
            .names
            .first()
            .map(|name| name.familiar())
            .unwrap_or_default();
        annotations.insert(IMAGE_ANNOTATION.to_owned(), image);
        annotations.insert(OWNER_ANNOTATION.to_owned(), Owner::this_process().to_string());
        ObjectMeta {
            name: Some(self.name.to_owned()),
            namespace: Some(self.config.kubernetes_namespace.clone()),
            labels: Some(self.labels()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.config.labels.clone();
        let (key, value) = MANAGED_BY;
        labels.insert(key.to_owned(), value.to_owned());
        labels.insert(BUILD_LABEL.to_owned(), self.name.to_owned());
        labels
    }

    /// In seconds.
    fn deadline(&self) -> i64 {
        let seconds = self
            .config
            .pod_running_timeout
            .get()
            .saturating_add(self.config.build_timeout.get());
        i64::try_from(seconds).unwrap_or(i64::from(i32::MAX))
    }

    fn template(&self) -> PodTemplateSpec {
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(self.labels()),
                annotations: (!self.config.annotations.is_empty()).then(|| self.config.annotations.clone()),
                ..ObjectMeta::default()
            }),
            spec: Some(self.pod()),
        }
    }

    fn pod(&self) -> PodSpec {
        let config = self.config;
        let pull_secrets = config.image_pull_secrets.iter();
        let pull_secrets = pull_secrets.map(|name| LocalObjectReference { name: name.clone() });
        let mut volumes = self.parts.volumes.clone();
        volumes.extend(self.secret_volumes().map(|(volume, _)| volume));
        PodSpec {
            active_deadline_seconds: Some(self.deadline()),
            containers: vec![self.container()],
            host_aliases: self.host_aliases(),
            image_pull_secrets: some(pull_secrets.collect()),
            node_selector: self.node_selector(),
            restart_policy: Some("Never".to_owned()),
            service_account_name: config
                .service_account_name
                .clone()
                .filter(|name| !name.is_empty()),
            termination_grace_period_seconds: Some(STOP_GRACE),
            tolerations: some(self.parts.tolerations.clone()),
            volumes: some(volumes),
            ..PodSpec::default()
        }
    }

    fn container(&self) -> Container {
        let from_stdin = self.context == crate::arguments::STDIN_CONTEXT;
        let mut mounts = self.parts.volume_mounts.clone();
        mounts.extend(self.secret_volumes().map(|(_, mount)| mount));
        Container {
            name: CONTAINER.to_owned(),
            image: Some(self.config.executor_image.clone()),
            args: Some(arguments(self.config, self.plan, self.context)),
            env: some(self.environment()),
            env_from: some(self.parts.env_from.clone()),
            resources: self.parts.resources.clone(),
            security_context: self.parts.security_context.clone(),
            stdin: from_stdin.then_some(true),
            // The executor sees the end of its input when the connection ends.
            stdin_once: from_stdin.then_some(true),
            termination_message_path: Some(TERMINATION_LOG.to_owned()),
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            volume_mounts: some(mounts),
            ..Container::default()
        }
    }

    /// The configuration's variables, and those that make the fork build as BuildKit does.
    fn environment(&self) -> Vec<EnvVar> {
        let mut environment = self.parts.env.clone();
        if executor::family(self.config) == Some(KanikoExecutor::Fork) {
            for name in LIKE_BUILDKIT {
                if !environment.iter().any(|variable| variable.name == name) {
                    environment.push(EnvVar {
                        name: name.to_owned(),
                        value: Some("true".to_owned()),
                        value_from: None,
                    });
                }
            }
        }
        environment
    }

    fn host_aliases(&self) -> Option<Vec<HostAlias>> {
        let hosts = self.plan.options.extra_hosts.iter();
        some(
            hosts
                .map(|(name, address)| HostAlias {
                    ip: address.clone(),
                    hostnames: Some(vec![name.clone()]),
                })
                .collect(),
        )
    }

    /// Kaniko runs what the image holds, so another architecture needs a node of that architecture.
    fn node_selector(&self) -> Option<BTreeMap<String, String>> {
        let mut selector = self
            .parts
            .template
            .spec
            .as_ref()
            .and_then(|spec| spec.node_selector.clone());
        let mut selector = selector.take().unwrap_or_default();
        selector.extend(self.config.node_selector.clone());
        if let Some(platform) = self.plan.options.platforms.first() {
            for (key, value) in [
                ("kubernetes.io/arch", platform.architecture()),
                ("kubernetes.io/os", platform.os()),
            ] {
                selector.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        (!selector.is_empty()).then_some(selector)
    }

    /// The Secret's files and where they go. A place that the configuration mounts something at is left alone.
    fn secret_volumes(&self) -> impl Iterator<Item = (Volume, VolumeMount)> {
        let files = [
            (
                "wharf-docker-config",
                CONFIG_KEY,
                DOCKER_CONFIG_FOLDER,
                self.handover.docker_config.is_some(),
            ),
            ("wharf-registry-ca", CA_KEY, CA_FOLDER, self.handover.ca.is_some()),
        ];
        files
            .into_iter()
            .filter(|(_, _, folder, wanted)| *wanted && !self.is_taken(folder))
            .map(|(name, key, folder, _)| (secret_volume(name, self.name, key), mount(name, folder)))
    }

    fn is_taken(&self, folder: &str) -> bool {
        let spec = self.parts.template.spec.iter();
        let in_template = spec
            .flat_map(|spec| &spec.containers)
            .filter(|container| container.name == CONTAINER)
            .flat_map(|container| container.volume_mounts.iter().flatten());
        let mut mounts = self.parts.volume_mounts.iter().chain(in_template);
        mounts.any(|mount| mount.mount_path.trim_end_matches('/').starts_with(folder))
    }
}

fn secret_volume(name: &str, secret: &str, key: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: Some(vec![KeyToPath {
                key: key.to_owned(),
                path: key.to_owned(),
                mode: None,
            }]),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn mount(name: &str, folder: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: folder.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

/// Kubernetes' way to say that there is nothing.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests;
