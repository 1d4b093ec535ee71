//! What is known of the two Kanikos: the maintained fork, and Google's archived one.
//!
//! An unknown flag is fatal to both, so each gets only flags that it knows. Sources:
//! osscontainertools/kaniko, `cmd/executor/cmd/root.go` at v1.28.3; GoogleContainerTools/kaniko at its last
//! commit.

use wharf_core::builder::DockerfileDialect;
use wharf_core::flavor::known::{KanikoExecutor, KanikoImageBuilderConfig};

/// Flags that the fork has and Google's Kaniko has not.
const FORK_ONLY: [&str; 8] = [
    "annotation",
    "credential-helpers",
    "dryrun",
    "image-format",
    "materialize",
    "pre-cleanup",
    "preserve-context",
    "secret",
];

/// Flags that decide what wharf must decide: where the context comes from, where the image goes, and how wharf
/// learns its digest.
const OWN: [&str; 8] = [
    "context",
    "context-sub-path",
    "destination",
    "digest-file",
    "dockerfile",
    "dryrun",
    "no-push",
    "target",
];

/// Switches of the fork that make it own files as BuildKit does.
pub(crate) const LIKE_BUILDKIT: [&str; 6] = [
    "FF_KANIKO_CHOWN_ON_IMPLICIT_DIRS",
    "FF_KANIKO_COPY_AS_ROOT",
    "FF_KANIKO_COPY_CHMOD_ON_IMPLICIT_DIRS",
    "FF_KANIKO_EXPAND_HEREDOC",
    "FF_KANIKO_RUN_HONOR_GROUP",
    "FF_KANIKO_UNTAR_SKIP_ROOT",
];

/// Which Kaniko the executor image holds; none: nobody knows.
pub(crate) fn family(config: &KanikoImageBuilderConfig) -> Option<KanikoExecutor> {
    config.executor.or_else(|| family_of(&config.executor_image))
}

fn family_of(image: &str) -> Option<KanikoExecutor> {
    let repository = image.split('@').next().unwrap_or(image);
    let is = |end: &str| {
        let rest = repository.split_once(end).map(|(_, rest)| rest);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    };
    if is("kaniko-project/executor") {
        Some(KanikoExecutor::Google)
    } else if is("osscontainertools/kaniko") || is("martizih/kaniko") {
        Some(KanikoExecutor::Fork)
    } else {
        None
    }
}

/// What may stand in a Dockerfile. An executor that nobody knows is taken for the older one.
pub(crate) fn dialect(family: Option<KanikoExecutor>) -> DockerfileDialect {
    let fork = family == Some(KanikoExecutor::Fork);
    DockerfileDialect {
        cache_mounts: fork,
        // The fork has them, and keeps the secrets readable in the container while it builds.
        secret_mounts: false,
        bind_mounts: fork,
        copy_chown: true,
        copy_chmod: true,
        heredocs: fork,
    }
}

/// What is wrong with the arguments that a configuration adds.
pub(crate) fn argument_problems(config: &KanikoImageBuilderConfig) -> Vec<String> {
    let google = family(config) == Some(KanikoExecutor::Google);
    let mut problems = Vec::new();
    for argument in &config.executor_args {
        let Some(flag) = argument.strip_prefix("--") else {
            continue;
        };
        let flag = flag.split('=').next().unwrap_or(flag);
        if OWN.contains(&flag) {
            problems.push(format!("`executor_args`: `--{flag}` is set by wharf itself"));
        } else if google && FORK_ONLY.contains(&flag) {
            problems.push(format!(
                "`executor_args`: Google's archived Kaniko does not know `--{flag}`; the fork \
                 ghcr.io/osscontainertools/kaniko does"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_s_name_says_which_kaniko_it_is() {
        for (image, expected) in [
            (
                "gcr.io/kaniko-project/executor:v1.9.1",
                Some(KanikoExecutor::Google),
            ),
            (
                "mirror.example/gcr/kaniko-project/executor",
                Some(KanikoExecutor::Google),
            ),
            (
                "ghcr.io/osscontainertools/kaniko:v1.28.3",
                Some(KanikoExecutor::Fork),
            ),
            ("martizih/kaniko:debug@sha256:00", Some(KanikoExecutor::Fork)),
            ("r.example/kaniko-project/executor-of-ours:1", None),
            ("r.example/kaniko:1", None),
        ] {
            assert_eq!(family_of(image), expected, "{image}");
        }
    }

    fn problems(image: &str, arguments: &[&str]) -> Vec<String> {
        argument_problems(&KanikoImageBuilderConfig {
            executor_image: image.into(),
            executor_args: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            ..KanikoImageBuilderConfig::default()
        })
    }

    #[test]
    fn flags_of_the_fork_are_refused_for_the_other() {
        let arguments = ["--image-format=oci", "--cache-ttl=6h"];
        let google = problems("gcr.io/kaniko-project/executor:v1.24.0", &arguments);
        assert!(
            google.len() == 1 && google[0].contains("--image-format"),
            "{google:?}"
        );
        assert!(problems("martizih/kaniko:1", &arguments).is_empty());
    }

    #[test]
    fn what_wharf_decides_cannot_be_overruled() {
        assert_eq!(
            problems("x", &["--no-push", "--digest-file=/x", "--destination", "y"]).len(),
            3
        );
    }
}
