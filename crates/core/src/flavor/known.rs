//! The configurations of wharf's own builder flavors.
//!
//! They stand here and not beside the builders, so that a configuration can be checked where the builder
//! itself is not compiled in.

mod aws;

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::aws::{
    AwsAuthMethod, AwsCredentialsConfig, AwsImageBuilderConfig, AwsRegistryConfig, CodeBuildCache,
    CodeBuildEnvironment, PasswordStore, S3AdditionalKwargs, S3AddressingKwargs, S3ArtifactStoreConfig,
    S3ClientKwargs, S3ConfigKwargs,
};

/// The configuration of the flavor `local`. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalImageBuilderConfig {
    /// Build with the `docker` command (or `podman`, where there is no `docker`) instead of the engine's API.
    /// Options that wharf does not know are then handed on. Default: false.
    pub use_subprocess_call: bool,
    /// Where the engine is, in the form of `DOCKER_HOST`. Default: found as the `docker` command finds it.
    pub host: Option<String>,
    /// The Docker context whose engine is used. Default: the one in use.
    pub context: Option<String>,
    /// Whether BuildKit builds (true) or the classic builder does (false). Default: BuildKit where the engine
    /// has it, unless `DOCKER_BUILDKIT=0` is set.
    pub buildkit: Option<bool>,
}

/// The configuration of the flavor `kaniko`. Every key may be left out. What is an object here is an object of
/// Kubernetes, written as in a manifest (`mountPath`, not `mount_path`), and checked by the builder's own crate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KanikoImageBuilderConfig {
    /// The context of the kubeconfig that names the cluster. Default: the current one; inside of a cluster, that
    /// cluster.
    pub kubernetes_context: Option<String>,
    /// The kubeconfig. Default: as `kubectl` finds it, `KUBECONFIG` or `~/.kube/config`.
    pub kubeconfig: Option<String>,
    /// The namespace that builds run in. It must exist.
    pub kubernetes_namespace: String,
    /// The image of Kaniko's executor.
    pub executor_image: String,
    /// Which Kaniko the image holds: `fork` (osscontainertools) or `google` (archived). Flags that only one of them
    /// knows are refused for the other. Default: from the image's name.
    pub executor: Option<KanikoExecutor>,
    /// How long a pod may take to run, in seconds.
    pub pod_running_timeout: NonZeroU64,
    /// How long a pod that fits on no node may wait for one, in seconds. Raise it where the cluster adds nodes.
    pub scheduling_timeout: u64,
    /// How long a build may take once its pod runs, in seconds. The cluster itself ends it then.
    pub build_timeout: NonZeroU64,
    /// Environment variables of the executor (`EnvVar`).
    pub env: Vec<Map<String, Value>>,
    /// Sources of environment variables of the executor (`EnvFromSource`).
    pub env_from: Vec<Map<String, Value>>,
    /// Volumes in the executor (`VolumeMount`).
    pub volume_mounts: Vec<Map<String, Value>>,
    /// Volumes of the pod (`Volume`).
    pub volumes: Vec<Map<String, Value>>,
    /// The service account that the pod runs as. Default: the namespace's own.
    pub service_account_name: Option<String>,
    /// Hand the build context over through the stack's artifact store (S3 or Cloud Storage), once per content,
    /// instead of the connection to the pod.
    pub store_context_in_artifact_store: bool,
    /// More arguments of the executor, after those of wharf.
    pub executor_args: Vec<String>,
    /// Memory, CPU and disk of the executor (`ResourceRequirements`).
    pub resources: Map<String, Value>,
    /// Labels that the node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not matter (`Toleration`).
    pub tolerations: Vec<Map<String, Value>>,
    /// More labels of what is made in the cluster.
    pub labels: BTreeMap<String, String>,
    /// More annotations of what is made in the cluster.
    pub annotations: BTreeMap<String, String>,
    /// Names of the Secrets with which the executor's own image is pulled.
    pub image_pull_secrets: Vec<String>,
    /// What the executor may do (`SecurityContext`).
    pub security_context: Map<String, Value>,
    /// A pod to begin with (`PodTemplateSpec`): wharf adds its own to it. The executor's container is called
    /// `kaniko`.
    pub pod_template: Map<String, Value>,
    /// Keep layers in a registry and use them again.
    pub cache: bool,
    /// The repository for these layers. Default: `<image>/cache`.
    pub cache_repository: Option<String>,
    /// The cluster reaches registries on `localhost` and loopback addresses, too.
    pub allow_local_registry: bool,
}

/// Which Kaniko an executor image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KanikoExecutor {
    /// The maintained fork, `ghcr.io/osscontainertools/kaniko`.
    Fork,
    /// Google's archived one, `gcr.io/kaniko-project/executor`.
    Google,
}

/// The executor of builds that name none: the maintained fork, pinned.
pub const DEFAULT_KANIKO_IMAGE: &str = "ghcr.io/osscontainertools/kaniko:v1.28.3";

/// ZenML's default namespace.
const KANIKO_NAMESPACE: &str = "zenml-kaniko";

impl Default for KanikoImageBuilderConfig {
    fn default() -> Self {
        Self {
            kubernetes_context: None,
            kubeconfig: None,
            kubernetes_namespace: KANIKO_NAMESPACE.to_owned(),
            executor_image: DEFAULT_KANIKO_IMAGE.to_owned(),
            executor: None,
            pod_running_timeout: NonZeroU64::MIN.saturating_add(299),
            scheduling_timeout: 60,
            build_timeout: NonZeroU64::MIN.saturating_add(7199),
            env: Vec::new(),
            env_from: Vec::new(),
            volume_mounts: Vec::new(),
            volumes: Vec::new(),
            service_account_name: None,
            store_context_in_artifact_store: false,
            executor_args: Vec::new(),
            resources: Map::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            image_pull_secrets: Vec::new(),
            security_context: Map::new(),
            pod_template: Map::new(),
            cache: false,
            cache_repository: None,
            allow_local_registry: false,
        }
    }
}
