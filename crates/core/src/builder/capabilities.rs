//! What a builder can do, as data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::options::{BuildOption, DockerBuildOptions};
use crate::{ArchiveFormat, Error, ErrorKind, Result};

/// What a builder can do.
///
/// Callers decide from this and from nothing else: no code outside of a builder asks for its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// How the build context reaches the builder.
    pub context: ContextTransfer,
    /// What the builder understands inside a Dockerfile.
    pub dialect: DockerfileDialect,
    /// The build options that are honoured.
    pub options: BTreeSet<BuildOption>,
    /// Whether options that wharf does not know are handed on instead of being refused.
    pub passes_unknown_options: bool,
    /// Whether log lines arrive while the build runs, not after it.
    pub live_logs: bool,
    /// Whether events tell which steps came from the cache.
    pub reports_cache: bool,
    /// Whether an image can stay with the builder; if not, every build is pushed.
    pub keeps_images: bool,
    /// Whether a container registry is needed.
    pub needs_registry: bool,
    /// The schemes of artifact stores of which one is needed, for example `s3`; empty: none is.
    pub needs_artifact_store: Vec<String>,
}

/// How the build context reaches a builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContextTransfer {
    /// The builder asks for the files it lacks.
    FileSync,
    /// One archive of everything.
    Archive(ArchiveFormat),
}

/// What a builder understands inside a Dockerfile, beyond the instructions that all know.
/// What an older record of it does not say it could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DockerfileDialect {
    /// `RUN --mount=type=cache`.
    pub cache_mounts: bool,
    /// `RUN --mount=type=secret`.
    pub secret_mounts: bool,
    /// `RUN --mount=type=bind`.
    pub bind_mounts: bool,
    /// `COPY --chown`.
    pub copy_chown: bool,
    /// `COPY --chmod`.
    pub copy_chmod: bool,
    /// Here-documents.
    pub heredocs: bool,
}

impl Capabilities {
    /// Refuses options that the builder cannot honour, all of them at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] naming each option and the builders that could honour it.
    pub fn check_options(&self, builder: &str, options: &DockerBuildOptions) -> Result<()> {
        let mut refused: Vec<String> = Vec::new();
        let mut hints: BTreeSet<&str> = BTreeSet::new();
        for option in options
            .used()
            .into_iter()
            .filter(|option| !self.options.contains(option))
        {
            refused.push(format!("`{}`", option.name()));
            hints.insert(option.served_by());
        }
        if !self.passes_unknown_options {
            refused.extend(
                options
                    .extra
                    .keys()
                    .map(|name| format!("`{name}` (unknown to wharf)")),
            );
        }
        if refused.is_empty() {
            return Ok(());
        }
        let message = format!("{builder} cannot honour the build option {}", refused.join(", "));
        let error = Error::new(ErrorKind::Unsupported, message);
        Err(match hints.is_empty() {
            true => error.with_hint("Leave the option out; `wharf build --help` lists those that are known."),
            false => error.with_hint(format!(
                "Use a builder that can ({}), or leave the option out.",
                hints.into_iter().collect::<Vec<_>>().join("; ")
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(options: &[BuildOption]) -> Capabilities {
        Capabilities {
            context: ContextTransfer::Archive(ArchiveFormat::Tar),
            dialect: DockerfileDialect::default(),
            options: options.iter().copied().collect(),
            passes_unknown_options: false,
            live_logs: true,
            reports_cache: false,
            keeps_images: true,
            needs_registry: false,
            needs_artifact_store: Vec::new(),
        }
    }

    #[test]
    fn a_refusal_names_each_option_and_who_could() {
        let mut options = DockerBuildOptions {
            pull: true,
            ..DockerBuildOptions::default()
        };
        options.secrets.push("id=a,env=B".parse().unwrap());
        options.extra.insert("squash".into(), true.into());
        let error = capabilities(&[BuildOption::Pull])
            .check_options("Podman", &options)
            .unwrap_err();
        assert_eq!(
            error.message(),
            "Podman cannot honour the build option `secrets`, `squash` (unknown to wharf)"
        );
        assert!(error.hint().unwrap().contains("BuildKit"));
    }

    #[test]
    fn what_can_be_honoured_passes() {
        let options = DockerBuildOptions {
            pull: true,
            ..DockerBuildOptions::default()
        };
        capabilities(&[BuildOption::Pull])
            .check_options("x", &options)
            .unwrap();
    }
}
