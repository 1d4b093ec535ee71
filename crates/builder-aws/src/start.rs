//! The call that starts a build.

use std::time::{Duration, Instant};

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::error::{BuildError, ProvideErrorMetadata};
use aws_sdk_codebuild::operation::start_build::builders::StartBuildInputBuilder;
use aws_sdk_codebuild::types::{
    ArtifactsType, Build, CacheMode, CacheType, CloudWatchLogsConfig, ComputeType, EnvironmentType,
    EnvironmentVariable, EnvironmentVariableType, ImagePullCredentialsType, LogsConfig, LogsConfigStatusType,
    ProjectArtifacts, ProjectCache, S3LogsConfig, SourceType,
};
use tokio::sync::oneshot;
use wharf_aws::{AwsAccess, from_sdk};
use wharf_core::event::{EventSink, Warning};
use wharf_core::flavor::known::{AwsImageBuilderConfig, CodeBuildCache, CodeBuildEnvironment};
use wharf_core::{Error, ErrorKind, Result};

use crate::cleanup::{Cleanup, stop};
use crate::environment::{Value, Variable};
use crate::{buildspec, config, failure};

/// How long a build waits here when the account may run no more at the same time and no other limit is configured.
const TURN: Duration = Duration::from_secs(60 * 60);

/// How often it tries again meanwhile.
const RETRY: Duration = Duration::from_secs(10);

/// Starts builds.
pub(crate) struct Starter<'a> {
    pub(crate) access: &'a AwsAccess,
    pub(crate) config: &'a AwsImageBuilderConfig,
    pub(crate) events: &'a EventSink,
    pub(crate) cleanup: &'a Cleanup,
}

impl Starter<'_> {
    /// Starts a build. Where the account may run no more at the same time, it waits for its turn and says so.
    pub(crate) async fn start(&self, call: StartBuildInputBuilder) -> Result<Build> {
        let begin = Instant::now();
        let limit = self
            .config
            .queued_timeout_minutes
            .map_or(TURN, |minutes| Duration::from_secs(60 * u64::from(minutes)));
        let mut told = false;
        loop {
            match self.try_start(call.clone()).await {
                Err(error) if error.kind() == ErrorKind::ResourceExhausted && begin.elapsed() < limit => {
                    if !std::mem::replace(&mut told, true) {
                        let warning = Warning::new(format!("{}: waiting for a turn", error.message()));
                        self.events
                            .warn(warning.with_detail(error.hint().map(str::to_owned)));
                    }
                    tokio::time::sleep(RETRY).await;
                }
                other => return other,
            }
        }
    }

    /// The call is made in a task of its own: a build that it started is stopped also when nobody waits any more.
    async fn try_start(&self, call: StartBuildInputBuilder) -> Result<Build> {
        let client = Client::new(&self.access.sdk().await?);
        let config = self.config.clone();
        let (sender, receiver) = oneshot::channel();
        self.cleanup.starting(tokio::spawn(async move {
            let started = send(&client, call, &config).await;
            if let Err(Ok(Build { id: Some(id), .. })) = sender.send(started) {
                // It is nobody's any more; that stopping it failed cannot be told to anybody.
                let _ = stop(&client, &id).await;
            }
        }));
        let build = receiver
            .await
            .map_err(|_| Error::new(ErrorKind::Unexpected, "starting the build broke off"))??;
        self.cleanup.build(build.id.clone());
        Ok(build)
    }
}

async fn send(
    client: &Client,
    call: StartBuildInputBuilder,
    config: &AwsImageBuilderConfig,
) -> Result<Build> {
    let answer = call.send_with(client).await;
    let answer = answer.map_err(|error| {
        let code = error.code().map(str::to_owned);
        failure::not_started(
            code.as_deref(),
            from_sdk("start the build", "codebuild:StartBuild", error),
            config,
        )
    })?;
    answer.build_value.ok_or_else(|| {
        Error::new(
            ErrorKind::Unexpected,
            "CodeBuild started a build and says nothing about it",
        )
    })
}

/// The arguments of `StartBuild`. `source` is the zip, as `bucket/key`.
pub(crate) fn start_build(
    config: &AwsImageBuilderConfig,
    source: &str,
    variables: &[Variable],
) -> Result<StartBuildInputBuilder> {
    let minutes = |minutes: Option<u32>| minutes.and_then(|minutes| i32::try_from(minutes).ok());
    let variables = variables
        .iter()
        .map(variable)
        .collect::<Result<Vec<_>, _>>()
        .map_err(incomplete)?;
    let artifacts = ProjectArtifacts::builder()
        .r#type(ArtifactsType::NoArtifacts)
        .build();
    Ok(StartBuildInputBuilder::default()
        .project_name(&config.code_build_project)
        .source_type_override(SourceType::S3)
        .source_location_override(source)
        .buildspec_override(buildspec::yaml()?)
        .environment_type_override(environment_type(config.environment_type))
        .image_override(config::build_image(config))
        .set_image_pull_credentials_type_override(
            config::build_image_needs_role(config).then_some(ImagePullCredentialsType::ServiceRole),
        )
        .compute_type_override(ComputeType::from(config.compute_type.as_str()))
        .privileged_mode_override(config.privileged_mode)
        .set_environment_variables_override(Some(variables))
        .artifacts_override(artifacts.map_err(incomplete)?)
        .set_timeout_in_minutes_override(minutes(config.timeout_minutes))
        .set_queued_timeout_in_minutes_override(minutes(config.queued_timeout_minutes))
        .set_service_role_override(config.service_role.clone())
        .set_cache_override(cache(config)?)
        .set_logs_config_override(logs(config)?))
}

fn environment_type(kind: CodeBuildEnvironment) -> EnvironmentType {
    match kind {
        CodeBuildEnvironment::LinuxContainer => EnvironmentType::LinuxContainer,
        CodeBuildEnvironment::ArmContainer => EnvironmentType::ArmContainer,
        CodeBuildEnvironment::LinuxGpuContainer => EnvironmentType::LinuxGpuContainer,
    }
}

fn variable(variable: &Variable) -> Result<EnvironmentVariable, BuildError> {
    let kind = match variable.value {
        Value::Plain(_) | Value::Exposed(_) => EnvironmentVariableType::Plaintext,
        Value::Stored(_) => EnvironmentVariableType::SecretsManager,
    };
    EnvironmentVariable::builder()
        .name(&variable.name)
        .value(variable.value.text())
        .r#type(kind)
        .build()
}

fn cache(config: &AwsImageBuilderConfig) -> Result<Option<ProjectCache>> {
    let cache = match config.cache {
        None => return Ok(None),
        Some(CodeBuildCache::None) => ProjectCache::builder().r#type(CacheType::NoCache),
        Some(CodeBuildCache::DockerLayers) => ProjectCache::builder()
            .r#type(CacheType::Local)
            .modes(CacheMode::LocalDockerLayerCache),
        Some(CodeBuildCache::S3) => ProjectCache::builder()
            .r#type(CacheType::S3)
            .set_location(config.cache_location.clone()),
    };
    cache.build().map(Some).map_err(incomplete)
}

fn logs(config: &AwsImageBuilderConfig) -> Result<Option<LogsConfig>> {
    if config.log_group.is_none() && config.s3_logs_location.is_none() {
        return Ok(None);
    }
    let cloud_watch = CloudWatchLogsConfig::builder()
        .status(LogsConfigStatusType::Enabled)
        .set_group_name(config.log_group.clone())
        .set_stream_name(config.log_stream.clone());
    let mut logs = LogsConfig::builder().cloud_watch_logs(cloud_watch.build().map_err(incomplete)?);
    if let Some(location) = &config.s3_logs_location {
        let s3 = S3LogsConfig::builder()
            .status(LogsConfigStatusType::Enabled)
            .location(location);
        logs = logs.s3_logs(s3.build().map_err(incomplete)?);
    }
    Ok(Some(logs.build()))
}

fn incomplete(source: BuildError) -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "the call that starts a build is incomplete",
    )
    .with_source(source)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_core::flavor::read_config;

    use super::*;

    fn call(config: serde_json::Value) -> StartBuildInputBuilder {
        let config = read_config(config.as_object().unwrap().clone()).unwrap();
        start_build(&config, "bucket/x.zip", &[]).unwrap()
    }

    #[test]
    fn every_setting_is_sent() {
        let call = call(json!({
            "code_build_project": "p", "environment_type": "LINUX_GPU_CONTAINER", "compute_type": "BUILD_GENERAL1_LARGE",
            "privileged_mode": false, "timeout_minutes": 90, "queued_timeout_minutes": 30, "service_role": "arn:x",
            "cache": "docker_layers", "log_group": "g", "log_stream": "s", "s3_logs_location": "bucket/logs",
            "build_image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/b:1",
        }));
        assert_eq!(
            call.get_environment_type_override(),
            &Some(EnvironmentType::LinuxGpuContainer)
        );
        assert_eq!(call.get_privileged_mode_override(), &Some(false));
        assert_eq!(call.get_timeout_in_minutes_override(), &Some(90));
        assert_eq!(call.get_queued_timeout_in_minutes_override(), &Some(30));
        assert_eq!(call.get_service_role_override().as_deref(), Some("arn:x"));
        let cache = call.get_cache_override().clone().unwrap();
        assert_eq!(cache.modes(), [CacheMode::LocalDockerLayerCache]);
        let logs = call.get_logs_config_override().clone().unwrap();
        assert_eq!(logs.cloud_watch_logs().unwrap().group_name(), Some("g"));
        assert_eq!(logs.s3_logs().unwrap().location(), Some("bucket/logs"));
        let pull = call.get_image_pull_credentials_type_override();
        assert_eq!(pull, &Some(ImagePullCredentialsType::ServiceRole));
    }

    #[test]
    fn what_is_not_set_is_the_project_s() {
        let call = call(json!({"code_build_project": "p"}));
        assert!(call.get_timeout_in_minutes_override().is_none());
        assert!(call.get_cache_override().is_none() && call.get_logs_config_override().is_none());
        assert!(call.get_service_role_override().is_none());
    }
}
