//! How the code gets to where a step runs.

use serde::Serialize;
use wharf_core::{Error, ErrorKind, Result};

use crate::inputs::{LocalRepository, RepositoryDifference};
use crate::settings::DockerSettings;

/// Where a step gets the code from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodeSource {
    /// Nowhere: the user has the files at their places in the image.
    None,
    /// It is part of the image.
    Included,
    /// The step fetches it from the artifact store.
    ArtifactStore,
    /// The step fetches it from the code repository.
    CodeRepository,
}

impl CodeSource {
    /// The first that is allowed and possible of: included, when the image installs the project itself;
    /// code repository; artifact store; included.
    #[must_use]
    pub fn of(settings: &DockerSettings, has_repository: bool) -> Self {
        if settings.local_project_install_command.is_some() {
            Self::Included
        } else if settings.allow_download_from_code_repository && has_repository {
            Self::CodeRepository
        } else if settings.allow_download_from_artifact_store {
            Self::ArtifactStore
        } else if settings.allow_including_files_in_images {
            Self::Included
        } else {
            Self::None
        }
    }

    /// Whether the step fetches the code when it begins.
    #[must_use]
    pub fn is_download(self) -> bool {
        matches!(self, Self::ArtifactStore | Self::CodeRepository)
    }
}

/// Whether settings leave no way to get code but the code repository.
fn needs_repository(settings: &DockerSettings) -> bool {
    settings.local_project_install_command.is_none()
        && settings.allow_download_from_code_repository
        && !settings.allow_download_from_artifact_store
        && !settings.allow_including_files_in_images
}

/// What the code sources of all steps mean for the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PipelineCode {
    /// An image has code in it, so that a build can only be reused for the same code.
    pub requires_included_code: bool,
    /// A step can get its code from the code repository alone.
    pub requires_download_from_code_repository: bool,
    /// Every step can fetch its code, so that a build made for other code will do.
    pub code_download_possible: bool,
    /// A step may fetch its code from the code repository.
    pub allows_download_from_code_repository: bool,
    /// A step does not want an image that exists.
    pub should_prevent_build_reuse: bool,
    /// The code is to be put into the artifact store.
    pub should_upload_code: bool,
}

impl PipelineCode {
    /// Looks at all settings of a pipeline's steps.
    pub fn of<'a>(steps: impl IntoIterator<Item = &'a DockerSettings>, has_repository: bool) -> Self {
        let mut code = Self {
            requires_included_code: false,
            requires_download_from_code_repository: false,
            code_download_possible: true,
            allows_download_from_code_repository: false,
            should_prevent_build_reuse: false,
            should_upload_code: false,
        };
        for settings in steps {
            let source = CodeSource::of(settings, has_repository);
            code.requires_included_code |= source == CodeSource::Included;
            code.requires_download_from_code_repository |= needs_repository(settings);
            code.code_download_possible &= source.is_download();
            code.allows_download_from_code_repository |= settings.allow_download_from_code_repository;
            code.should_prevent_build_reuse |= settings.prevent_build_reuse;
            code.should_upload_code |= source == CodeSource::ArtifactStore;
        }
        code
    }
}

/// Refuses a step that can get its code from the code repository alone when that has not the code.
///
/// # Errors
///
/// [`ErrorKind::InvalidConfiguration`] naming the step and what keeps the repository from being used.
pub(crate) fn check_repository(
    step: Option<&str>,
    settings: &DockerSettings,
    repository: &LocalRepository,
) -> Result<()> {
    if !needs_repository(settings) {
        return Ok(());
    }
    let (reason, hint) = match repository {
        LocalRepository::Usable(_) => return Ok(()),
        LocalRepository::None => (
            "the source root is in no checkout of one".to_owned(),
            "Put the code into a Git repository that is pushed, or allow another way.",
        ),
        LocalRepository::Unusable(difference) => (difference.to_string(), cure(difference)),
    };
    let who = step.map_or_else(|| "the pipeline".to_owned(), |step| format!("the step `{step}`"));
    Err(Error::new(
        ErrorKind::InvalidConfiguration,
        format!("{who} may get its code from the code repository alone, which cannot be used: {reason}"),
    )
    .with_hint(cure_or(hint)))
}

fn cure(difference: &RepositoryDifference) -> &'static str {
    match difference {
        RepositoryDifference::Uncommitted(_) => "Commit and push the changes, or allow another way.",
        RepositoryDifference::Untracked(_) => {
            "Commit and push the files or list them in .gitignore, or set \
             WHARF_CODE_REPOSITORY_IGNORE_UNTRACKED_FILES=true, or allow another way."
        }
        RepositoryDifference::Unpushed(_) => "Push the commit, or allow another way.",
        RepositoryDifference::NoRemote => "Add a remote and push, or allow another way.",
    }
}

fn cure_or(hint: &str) -> String {
    hint.replace(
        "allow another way",
        "set `allow_download_from_artifact_store` or `allow_including_files_in_images`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(repository: bool, store: bool, image: bool) -> DockerSettings {
        DockerSettings {
            allow_download_from_code_repository: repository,
            allow_download_from_artifact_store: store,
            allow_including_files_in_images: image,
            ..DockerSettings::default()
        }
    }

    #[test]
    fn the_order_of_steps_changes_nothing() {
        let mut all = Vec::new();
        for bits in 0..8_u8 {
            all.push(allowing(bits & 1 > 0, bits & 2 > 0, bits & 4 > 0));
        }
        for has_repository in [false, true] {
            for one in &all {
                for other in &all {
                    assert_eq!(
                        PipelineCode::of([one, other], has_repository),
                        PipelineCode::of([other, one], has_repository)
                    );
                }
            }
        }
    }

    #[test]
    fn a_step_without_another_way_needs_a_repository_that_has_its_code() {
        let settings = allowing(true, false, false);
        check_repository(None, &allowing(true, true, false), &LocalRepository::None).unwrap();
        let dirty = LocalRepository::Unusable(RepositoryDifference::Uncommitted(vec!["a.py".into()]));
        let error = check_repository(Some("train"), &settings, &dirty).unwrap_err();
        assert!(error.message().starts_with("the step `train`"));
        assert!(error.message().ends_with("uncommitted changes (a.py)"));
        assert!(
            error
                .hint()
                .unwrap()
                .starts_with("Commit and push the changes, or set")
        );
    }
}
