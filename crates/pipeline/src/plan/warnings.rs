//! What the user should know about a plan.

use super::recipe::Recipe;
use crate::decide::PipelineCode;
use crate::gather::index_credentials::has_credentials;
use crate::inputs::{LocalRepository, RepositoryDifference};
use crate::settings::DockerSettings;

/// What keeps code from being fetched from a repository that it could be fetched from otherwise.
pub(super) fn repository_not_used(repository: &LocalRepository, code: &PipelineCode) -> Option<String> {
    let LocalRepository::Unusable(difference) = repository else {
        return None;
    };
    let is_wanted =
        code.allows_download_from_code_repository && *difference != RepositoryDifference::NoRemote;
    is_wanted.then(|| format!("The code is not fetched from its repository: {difference}."))
}

/// What is to be said of images, each once.
pub(super) fn of_recipes<'a>(recipes: impl Iterator<Item = &'a Recipe>) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for recipe in recipes {
        let settings = &recipe.settings;
        let all = recipe.warnings.iter().cloned();
        for warning in all.chain(credentials(settings)) {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    warnings
}

/// Variables that hold a login stay in the image for whoever has it.
fn credentials(settings: &DockerSettings) -> Vec<String> {
    let variables = settings.environment.iter().chain(&settings.runtime_environment);
    variables
        .filter(|(_, value)| has_credentials(value))
        .map(|(name, _)| {
            format!("The variable `{name}` holds a login; everyone who has the image can read it.")
        })
        .collect()
}
