//! The configurations of the flavors that talk to AWS.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::Secret;
use crate::registry::RegistryConfig;

/// How to log in to AWS. Every key may be left out: then the credentials are found as the AWS command finds
/// them (environment, profile, SSO, web identity, the machine's role).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AwsCredentialsConfig {
    /// How to log in. Default: implicit.
    pub auth_method: AwsAuthMethod,
    /// The profile of the AWS configuration files to use. Only with `implicit` and `iam-role`.
    pub profile_name: Option<String>,
    /// The region, where the component itself does not say one.
    pub region: Option<String>,
    /// The address of the services, where it is not Amazon's own.
    pub endpoint_url: Option<String>,
    /// The access key's id.
    pub aws_access_key_id: Option<String>,
    /// The access key's secret.
    pub aws_secret_access_key: Option<Secret>,
    /// The token that belongs to temporary keys.
    pub aws_session_token: Option<Secret>,
    /// The role to assume, as an ARN. For `iam-role` and `web-identity`.
    pub role_arn: Option<String>,
    /// The name of the role's session, which CloudTrail shows. Default: `wharf`.
    pub role_session_name: Option<String>,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// How long one set of temporary credentials lives, in seconds, from 900 to 43200; they are renewed in
    /// time. Default: an hour.
    pub expiration_seconds: Option<u32>,
    /// The file with the token of `web-identity`. It is read again for each renewal.
    pub web_identity_token_file: Option<PathBuf>,
}

/// The ways to log in to AWS, with the names of ZenML's connector where it has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AwsAuthMethod {
    /// As the AWS command does.
    #[default]
    Implicit,
    /// A long-lived access key.
    SecretKey,
    /// A temporary access key with its session token. It cannot be renewed.
    StsToken,
    /// Assumes a role, with an access key or what `implicit` finds.
    IamRole,
    /// Asks for temporary credentials of the same user with an access key, and uses only those.
    SessionToken,
    /// Assumes a role with a token from a file, as pods on EKS and many CI systems do.
    WebIdentity,
}

/// The configuration of the image builder `aws`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsImageBuilderConfig {
    /// The CodeBuild project in which builds run. Most of its settings are overridden for each build.
    pub code_build_project: String,
    /// The image in which the build runs: it needs a POSIX shell and `docker` 23 or later with buildx, and
    /// the `aws` command for a login at ECR. Default: `bentolor/docker-dind-awscli`; for ARM
    /// `aws/codebuild/amazonlinux-aarch64-standard:3.0`.
    #[serde(default)]
    pub build_image: Option<String>,
    /// Variables of the build's environment. They are visible in CodeBuild's console: never put a secret here.
    #[serde(default)]
    pub custom_env_vars: Option<BTreeMap<String, String>>,
    /// The size of the build machine.
    #[serde(default = "small")]
    pub compute_type: String,
    /// Whether the project's role logs in to the registry, which only ECR allows. `false`: the registry's own
    /// credentials are handed to the build.
    #[serde(default = "yes")]
    pub implicit_container_registry_auth: bool,
    /// Where the project is. Default: what `credentials` or the environment say.
    #[serde(default)]
    pub region: Option<String>,
    /// How to log in to AWS.
    #[serde(default)]
    pub credentials: AwsCredentialsConfig,
    /// The kind of build machine.
    #[serde(default)]
    pub environment_type: CodeBuildEnvironment,
    /// Whether the build may start a Docker daemon. Without it no image can be built unless the build image
    /// brings another way.
    #[serde(default = "yes")]
    pub privileged_mode: bool,
    /// How long a build may run, in minutes, from 5 to 2160. Default: the project's.
    #[serde(default)]
    pub timeout_minutes: Option<u32>,
    /// How long a build may wait for its turn, in minutes, from 5 to 480. Default: the project's.
    #[serde(default)]
    pub queued_timeout_minutes: Option<u32>,
    /// The role of the build, as an ARN. Default: the project's.
    #[serde(default)]
    pub service_role: Option<String>,
    /// What CodeBuild keeps from build to build. Default: the project's.
    #[serde(default)]
    pub cache: Option<CodeBuildCache>,
    /// Where the `s3` cache is: `bucket/prefix`.
    #[serde(default)]
    pub cache_location: Option<String>,
    /// The group of CloudWatch Logs. Default: the project's, which is `/aws/codebuild/PROJECT` unless it says
    /// otherwise.
    #[serde(default)]
    pub log_group: Option<String>,
    /// The prefix of the log's stream. Only with `log_group`.
    #[serde(default)]
    pub log_stream: Option<String>,
    /// Where the log is also kept in S3: `bucket/prefix`.
    #[serde(default)]
    pub s3_logs_location: Option<String>,
    /// Where a registry's password waits for the build.
    #[serde(default)]
    pub registry_password_store: PasswordStore,
    /// Whether the uploaded build context stays in the artifact store, so that the next build of the same files
    /// need not upload them. Default: it is removed.
    #[serde(default)]
    pub keep_context: bool,
}

/// The kinds of build machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CodeBuildEnvironment {
    /// x86-64.
    #[default]
    LinuxContainer,
    /// ARM.
    ArmContainer,
    /// x86-64 with GPUs.
    LinuxGpuContainer,
}

/// What CodeBuild keeps from build to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeBuildCache {
    /// Nothing.
    None,
    /// Docker's layers, on a build machine that is used again within minutes.
    DockerLayers,
    /// Files, in S3. It says nothing about Docker's layers.
    S3,
}

/// Where a registry's password waits for the build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PasswordStore {
    /// In a variable of the build, where everybody who may read builds reads it. wharf warns.
    #[default]
    Environment,
    /// In a secret of Secrets Manager that is made for the build and deleted after it.
    SecretsManager,
}

fn small() -> String {
    "BUILD_GENERAL1_SMALL".to_owned()
}

fn yes() -> bool {
    true
}

/// The configuration of the artifact store `s3`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3ArtifactStoreConfig {
    /// The bucket and a prefix: `s3://bucket/prefix`.
    pub path: String,
    /// The name of a stored secret with the keys `key`, `secret` and `token`.
    #[serde(default)]
    pub authentication_secret: Option<String>,
    /// The access key's id. Comes with a secret.
    #[serde(default)]
    pub key: Option<Secret>,
    /// The access key's secret.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// The token that belongs to a temporary key.
    #[serde(default)]
    pub token: Option<Secret>,
    /// ZenML's place for `endpoint_url` and `region_name`.
    #[serde(default)]
    pub client_kwargs: Option<S3ClientKwargs>,
    /// ZenML's place for `path_style`, as `{"s3": {"addressing_style": "path"}}`.
    #[serde(default)]
    pub config_kwargs: Option<S3ConfigKwargs>,
    /// ZenML's place for the encryption: `ServerSideEncryption` and `SSEKMSKeyId`.
    #[serde(default)]
    pub s3_additional_kwargs: Option<S3AdditionalKwargs>,
    /// The address of another server that speaks S3.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// Where the bucket is.
    #[serde(default)]
    pub region: Option<String>,
    /// Whether the bucket stands in the path of an address and not in the host. Default: yes with another
    /// endpoint, no with Amazon's.
    #[serde(default)]
    pub path_style: Option<bool>,
    /// How the store encrypts what it keeps: `AES256`, `aws:kms` or `aws:kms:dsse`. Default: the bucket's.
    #[serde(default)]
    pub server_side_encryption: Option<String>,
    /// The key of `aws:kms`.
    #[serde(default)]
    pub kms_key_id: Option<String>,
    /// How to log in to AWS, where `key` and `secret` are not given.
    #[serde(default)]
    pub credentials: AwsCredentialsConfig,
}

/// What of ZenML's `client_kwargs` is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3ClientKwargs {
    /// As `endpoint_url`.
    pub endpoint_url: Option<String>,
    /// As `region`.
    pub region_name: Option<String>,
}

/// What of ZenML's `config_kwargs` is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3ConfigKwargs {
    /// As `region`.
    pub region_name: Option<String>,
    /// Settings of S3 alone.
    pub s3: Option<S3AddressingKwargs>,
}

/// What of ZenML's `config_kwargs.s3` is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3AddressingKwargs {
    /// `path`, `virtual` or `auto`.
    pub addressing_style: Option<String>,
}

/// What of ZenML's `s3_additional_kwargs` is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3AdditionalKwargs {
    /// As `server_side_encryption`.
    #[serde(rename = "ServerSideEncryption")]
    pub server_side_encryption: Option<String>,
    /// As `kms_key_id`.
    #[serde(rename = "SSEKMSKeyId")]
    pub kms_key_id: Option<String>,
}

/// The configuration of the container registry `aws`: that of every registry, and what only ECR knows.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsRegistryConfig {
    /// Where the registry is: `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, or `public.ecr.aws`.
    pub uri: String,
    /// The repository for images that name none.
    #[serde(default)]
    pub default_repository: Option<String>,
    /// The name of a stored secret with the keys username and password.
    #[serde(default)]
    pub authentication_secret: Option<String>,
    /// The user to log in as, instead of asking AWS for a token. Comes with a password.
    #[serde(default)]
    pub username: Option<String>,
    /// The password of the user.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The name of a service connector that gives credentials.
    #[serde(default)]
    pub connector: Option<String>,
    /// Speak HTTP without TLS. By default only loopback hosts without a CA certificate do.
    #[serde(default)]
    pub insecure: Option<bool>,
    /// A file of PEM certificates to trust in addition to the system's.
    #[serde(default)]
    pub ca_certificate: Option<PathBuf>,
    /// Where the registry is, for a host that does not say it.
    #[serde(default)]
    pub region: Option<String>,
    /// Make a repository that does not exist before the first push to it. Default: its absence is an error.
    #[serde(default)]
    pub create_repository: bool,
    /// Tags of repositories that are made cannot be moved.
    #[serde(default)]
    pub immutable_tags: bool,
    /// How to log in to AWS.
    #[serde(default)]
    pub credentials: AwsCredentialsConfig,
}

impl AwsRegistryConfig {
    /// What it has in common with every registry.
    #[must_use]
    pub fn registry(&self) -> RegistryConfig {
        RegistryConfig {
            uri: self.uri.clone(),
            default_repository: self.default_repository.clone(),
            authentication_secret: self.authentication_secret.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            connector: self.connector.clone(),
            insecure: self.insecure,
            ca_certificate: self.ca_certificate.clone(),
        }
    }

    /// Whether something is set that only ECR's own API can do.
    #[must_use]
    pub fn needs_ecr(&self) -> bool {
        self.create_repository || self.immutable_tags || self.credentials != AwsCredentialsConfig::default()
    }
}
