//! Why a build ended badly, and what helps: the only place that reads CodeBuild's and Docker's words.

use aws_sdk_codebuild::types::{Build, BuildPhase, BuildPhaseType, StatusType};
use wharf_core::dockerfile::step_lines;
use wharf_core::flavor::known::AwsImageBuilderConfig;
use wharf_core::{Error, ErrorKind};

use crate::config::next_compute_type;
use crate::plan::BuildPlan;
use crate::watch::{Ended, phase_message};

/// A text in a log or a message, and what it means. The first that fits is taken.
struct Meaning {
    text: &'static str,
    kind: ErrorKind,
    hint: &'static str,
}

const MEANINGS: [Meaning; 12] = [
    Meaning {
        text: "cannot connect to the docker daemon",
        kind: ErrorKind::InvalidConfiguration,
        hint: "No Docker daemon runs in the build. Set `privileged_mode: true`, and use a build image that brings Docker.",
    },
    Meaning {
        text: "toomanyrequests",
        kind: ErrorKind::RateLimited,
        hint: "The registry limits pulls, and CodeBuild shares its addresses with many: start from \
               public.ecr.aws/docker/library/… or a pull-through cache of ECR, or log in at Docker Hub.",
    },
    Meaning {
        text: "no space left on device",
        kind: ErrorKind::ResourceExhausted,
        hint: LARGER,
    },
    Meaning {
        text: "exit code: 137",
        kind: ErrorKind::ResourceExhausted,
        hint: OUT_OF_MEMORY,
    },
    Meaning {
        text: "returned a non-zero code: 137",
        kind: ErrorKind::ResourceExhausted,
        hint: OUT_OF_MEMORY,
    },
    Meaning {
        text: "exit status 137",
        kind: ErrorKind::ResourceExhausted,
        hint: OUT_OF_MEMORY,
    },
    Meaning {
        text: "unable to pull customer's container image",
        kind: ErrorKind::InvalidConfiguration,
        hint: "The build image cannot be pulled: check `build_image`, and that the project's role may pull it.",
    },
    Meaning {
        text: "target stage",
        kind: ErrorKind::NotFound,
        hint: "Name one of the Dockerfile's stages.",
    },
    Meaning {
        text: "immutable",
        kind: ErrorKind::Conflict,
        hint: "The repository's tags cannot be moved. Use a tag that is new, or make the repository's tags mutable.",
    },
    Meaning {
        text: "does not exist in the registry",
        kind: ErrorKind::NotFound,
        hint: "Make the repository, or set `create_repository: true` in the registry's configuration.",
    },
    Meaning {
        text: "not authorized to perform",
        kind: ErrorKind::PermissionDenied,
        hint: ROLE,
    },
    Meaning {
        text: "access denied",
        kind: ErrorKind::PermissionDenied,
        hint: ROLE,
    },
];

const LARGER: &str = "The build machine's disk is full. Use a larger `compute_type`";
const OUT_OF_MEMORY: &str =
    "Exit code 137: the step was killed, most often because memory ran out. Use a larger `compute_type`";
const ROLE: &str =
    "The project's service role lacks a permission; docs/builders/aws.md has the policy it needs.";

/// The error of a build that did not succeed.
pub(crate) fn explain(ended: &Ended, plan: &BuildPlan, config: &AwsImageBuilderConfig) -> Error {
    let build = &ended.build;
    let phase = failed_phase(build);
    let mut error = match build.build_status() {
        Some(StatusType::TimedOut) => timed_out(build, config),
        Some(StatusType::Stopped) => {
            Error::new(ErrorKind::Unavailable, "somebody stopped the build in CodeBuild")
                .with_hint("CloudTrail's event `StopBuild` says who.")
        }
        Some(StatusType::Fault) => Error::new(ErrorKind::Unavailable, "CodeBuild itself failed")
            .with_hint("Build again; https://health.aws.amazon.com says whether the service is well.")
            .set_retryable(true),
        _ => failed(ended, phase, config),
    };
    if let Some(step) = &ended.failed_step {
        error = error.with_context("step", &step.name);
        if let Some(lines) = step_lines(&plan.dockerfile_text(), &step.name) {
            error = error
                .with_context("dockerfile", plan.dockerfile.name.display().to_string())
                .with_context("dockerfile_line", lines.start().to_string())
                .with_context("dockerfile_end_line", lines.end().to_string());
        }
    }
    if let Some(phase) = phase {
        let name = phase.phase_type().map(BuildPhaseType::as_str).unwrap_or_default();
        error = error.with_context("phase", name);
        if let Some(message) = phase_message(phase) {
            error = error.with_context("reason", message);
        }
    }
    if !ended.last_lines.is_empty() {
        error = error.with_context(
            "last lines of the log",
            format!("\n    {}", ended.last_lines.join("\n    ")),
        );
    }
    match console_link(build) {
        Some(link) => error.with_context("console", link),
        None => error,
    }
}

fn failed(ended: &Ended, phase: Option<&BuildPhase>, config: &AwsImageBuilderConfig) -> Error {
    let (fallback, what) = match phase.and_then(BuildPhase::phase_type) {
        Some(BuildPhaseType::PreBuild) => (
            ErrorKind::Unauthenticated,
            "the build could not log in to the registry",
        ),
        Some(BuildPhaseType::PostBuild) => (ErrorKind::PushFailed, "the image could not be pushed"),
        Some(BuildPhaseType::Build) => (ErrorKind::BuildFailed, "the build failed"),
        Some(BuildPhaseType::DownloadSource) => (
            ErrorKind::Unavailable,
            "CodeBuild could not fetch the build context",
        ),
        _ => (ErrorKind::Unavailable, "CodeBuild could not run the build"),
    };
    let reason = phase.and_then(phase_message).unwrap_or_default();
    let step = ended.failed_step.as_ref().map(|step| step.error.as_str());
    let text = [step.unwrap_or_default(), &ended.last_lines.join("\n"), &reason]
        .join("\n")
        .to_ascii_lowercase();
    let message = step.map_or_else(|| what.to_owned(), |step| format!("{what}: {step}"));
    match MEANINGS.iter().find(|meaning| text.contains(meaning.text)) {
        // Words like these in the output of somebody's own step say nothing about AWS.
        Some(meaning) if step.is_some() && meaning.kind == ErrorKind::PermissionDenied => {
            Error::new(fallback, message)
        }
        Some(meaning) => Error::new(meaning.kind, message).with_hint(hint(meaning, config)),
        None => Error::new(fallback, message),
    }
    .set_retryable(false)
}

fn hint(meaning: &Meaning, config: &AwsImageBuilderConfig) -> String {
    if ![LARGER, OUT_OF_MEMORY].contains(&meaning.hint) {
        return meaning.hint.to_owned();
    }
    match next_compute_type(&config.compute_type) {
        Some(next) => format!("{} than {}: {next}.", meaning.hint, config.compute_type),
        None => format!("{} than {}.", meaning.hint, config.compute_type),
    }
}

fn timed_out(build: &Build, config: &AwsImageBuilderConfig) -> Error {
    let queued = failed_phase(build).and_then(BuildPhase::phase_type) == Some(&BuildPhaseType::Queued);
    match queued {
        true => Error::new(ErrorKind::Timeout, "the build waited for its turn for too long").with_hint(
            "Set a longer `queued_timeout_minutes`, or ask AWS for a higher limit of concurrent builds.",
        ),
        false => {
            let limit = build
                .timeout_in_minutes()
                .map(|minutes| format!(" of {minutes} minutes"))
                .unwrap_or_default();
            Error::new(
                ErrorKind::Timeout,
                format!("the build ran longer than its limit{limit}"),
            )
            .with_hint(format!(
                "Set a longer `timeout_minutes` or a larger `compute_type` than {}.",
                config.compute_type
            ))
        }
    }
}

/// The first phase that did not end well.
pub(crate) fn failed_phase(build: &Build) -> Option<&BuildPhase> {
    let good = |status: &StatusType| matches!(status, StatusType::Succeeded | StatusType::InProgress);
    build
        .phases()
        .iter()
        .find(|phase| phase.phase_status().is_some_and(|status| !good(status)))
}

/// Where the build is shown in the browser.
pub(crate) fn console_link(build: &Build) -> Option<String> {
    // arn:aws:codebuild:eu-west-1:123456789012:build/project:id
    let parts: Vec<&str> = build.arn()?.splitn(6, ':').collect();
    let [_, partition, _, region, account, rest] = parts.as_slice() else {
        return None;
    };
    let id = rest.strip_prefix("build/")?;
    let project = id.split(':').next()?;
    let host = match *partition {
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    let id = id.replace(':', "%3A");
    Some(format!(
        "https://{region}.{host}/codesuite/codebuild/{account}/projects/{project}/build/{id}/?region={region}"
    ))
}

/// What a refusal to start means here.
pub(crate) fn not_started(code: Option<&str>, told: Error, config: &AwsImageBuilderConfig) -> Error {
    match code {
        Some("ResourceNotFoundException") => {
            let message = format!("there is no CodeBuild project `{}` in this account and region", config.code_build_project);
            Error::new(ErrorKind::NotFound, message).with_hint(
                "Check `code_build_project` and `region`; docs/builders/aws.md has a template that makes the project.",
            )
        }
        Some("AccountLimitExceededException") => Error::new(
            ErrorKind::ResourceExhausted,
            "the account may not run more builds at the same time",
        )
        .with_hint(
            "New accounts run one build at a time. Ask for more in Service Quotas: AWS CodeBuild, concurrently running builds.",
        )
        .set_retryable(true),
        _ => told,
    }
}
