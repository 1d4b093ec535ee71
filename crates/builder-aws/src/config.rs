//! The configuration of the flavor `aws`. It lives in the core, where it can be checked without this crate; what
//! follows from it is here.

use wharf_aws::EcrAddress;
pub use wharf_core::flavor::known::AwsImageBuilderConfig;
use wharf_core::flavor::known::{CodeBuildCache, CodeBuildEnvironment};
use wharf_core::{Error, ErrorKind, Result};

/// The build image where none is configured: ZenML's.
const BUILD_IMAGE: &str = "bentolor/docker-dind-awscli";

/// The same for ARM, for which the other is not made: Amazon's own.
const ARM_BUILD_IMAGE: &str = "aws/codebuild/amazonlinux-aarch64-standard:3.0";

/// Prefixes of variables that are CodeBuild's and wharf's own.
const TAKEN: [&str; 2] = ["CODEBUILD_", "WHARF_"];

/// The sizes of build machines, from small to large.
const COMPUTE_TYPES: [&str; 5] = [
    "BUILD_GENERAL1_SMALL",
    "BUILD_GENERAL1_MEDIUM",
    "BUILD_GENERAL1_LARGE",
    "BUILD_GENERAL1_XLARGE",
    "BUILD_GENERAL1_2XLARGE",
];

/// The image in which builds run.
pub(crate) fn build_image(config: &AwsImageBuilderConfig) -> &str {
    config
        .build_image
        .as_deref()
        .unwrap_or(match config.environment_type {
            CodeBuildEnvironment::ArmContainer => ARM_BUILD_IMAGE,
            _ => BUILD_IMAGE,
        })
}

/// Whether the build image is in a registry that only the project's role may pull from.
pub(crate) fn build_image_needs_role(config: &AwsImageBuilderConfig) -> bool {
    let host = build_image(config).split('/').next().unwrap_or_default();
    matches!(EcrAddress::parse(host), Some(EcrAddress::Private { .. }))
}

/// The next larger machine; none for the largest and for those that wharf does not know.
pub(crate) fn next_compute_type(compute_type: &str) -> Option<&'static str> {
    let at = COMPUTE_TYPES.iter().position(|known| *known == compute_type)?;
    COMPUTE_TYPES.get(at + 1).copied()
}

/// Checks what a schema cannot say.
///
/// # Errors
///
/// [`ErrorKind::InvalidConfiguration`] listing every problem.
pub(crate) fn check(config: &AwsImageBuilderConfig) -> Result<()> {
    let mut problems = Vec::new();
    if config.code_build_project.trim().is_empty() {
        problems.push("`code_build_project` is empty".to_owned());
    }
    for (key, minutes, most) in [
        ("timeout_minutes", config.timeout_minutes, 2160),
        ("queued_timeout_minutes", config.queued_timeout_minutes, 480),
    ] {
        if minutes.is_some_and(|minutes| !(5..=most).contains(&minutes)) {
            problems.push(format!("`{key}` is from 5 to {most}"));
        }
    }
    for name in config
        .custom_env_vars
        .iter()
        .flat_map(|variables| variables.keys())
    {
        if name.is_empty() || name.contains(['=', '\0']) {
            problems.push(format!("`custom_env_vars`: `{name}` is no name of a variable"));
        } else if TAKEN.iter().any(|taken| name.starts_with(taken)) {
            problems.push(format!(
                "`custom_env_vars`: `{name}` begins like CodeBuild's or wharf's own variables"
            ));
        }
    }
    if (config.cache == Some(CodeBuildCache::S3)) != config.cache_location.is_some() {
        problems.push("`cache: s3` and `cache_location` go together".to_owned());
    }
    if config.log_stream.is_some() && config.log_group.is_none() {
        problems.push("`log_stream` needs `log_group`".to_owned());
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::InvalidConfiguration, problems.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_core::flavor::read_config;

    use super::*;

    fn config(value: serde_json::Value) -> AwsImageBuilderConfig {
        read_config(value.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_defaults_are_zenml_s() {
        let config = config(json!({"code_build_project": "p"}));
        check(&config).unwrap();
        assert_eq!(build_image(&config), "bentolor/docker-dind-awscli");
        assert_eq!(config.compute_type, "BUILD_GENERAL1_SMALL");
        assert!(config.implicit_container_registry_auth && config.custom_env_vars.is_none());
    }

    #[test]
    fn every_problem_is_told() {
        let wrong = config(json!({
            "code_build_project": " ", "timeout_minutes": 1, "queued_timeout_minutes": 481, "cache": "s3",
            "log_stream": "x", "custom_env_vars": {"CODEBUILD_X": "1", "A=": "2"},
        }));
        let message = check(&wrong).unwrap_err().message().to_owned();
        for part in [
            "code_build_project",
            "timeout_minutes",
            "480",
            "CODEBUILD_X",
            "`A=`",
            "cache_location",
            "log_group",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn an_arm_machine_gets_an_arm_image_and_a_private_image_the_role() {
        let arm = config(json!({"code_build_project": "p", "environment_type": "ARM_CONTAINER"}));
        assert!(build_image(&arm).contains("aarch64") && !build_image_needs_role(&arm));
        let image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/build:1";
        assert!(build_image_needs_role(&config(
            json!({"code_build_project": "p", "build_image": image})
        )));
        assert_eq!(
            next_compute_type("BUILD_GENERAL1_SMALL"),
            Some("BUILD_GENERAL1_MEDIUM")
        );
        assert_eq!(next_compute_type("BUILD_GENERAL1_2XLARGE"), None);
    }
}
