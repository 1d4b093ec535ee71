//! Which images are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use wharf_core::{Error, ErrorKind, Result};

use crate::settings::{DockerSettings, PipelineFile, StepSettings};

/// The key of the image that an orchestrator runs steps in. ZenML's name.
pub const ORCHESTRATOR_KEY: &str = "orchestrator";

/// An image that an orchestrator, or another component, asks for.
///
/// Requests that come to the same image are built once; the answer names the image under the key of each.
#[derive(Debug, Clone)]
pub struct ImageRequest {
    /// What the image is for: [`ORCHESTRATOR_KEY`], `step_operator`.
    pub key: String,
    /// The step it is for; none: every step that has no image of its own under this key.
    pub step: Option<String>,
    /// What it is made of.
    pub settings: Arc<DockerSettings>,
    /// The words of its entrypoint; empty: the parent image's.
    pub entrypoint: Vec<String>,
    /// Files to put below `/app`, by their path there.
    pub extra_files: BTreeMap<String, Vec<u8>>,
    /// Requirements to install after all others.
    pub extra_requirements: Vec<ExtraRequirements>,
    /// The steps that will run in the image.
    pub steps: Vec<String>,
}

/// Requirements that the one who asks for an image adds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtraRequirements {
    /// The name of the requirements file in the image: ASCII letters, digits, dots, dashes, underscores.
    pub name: String,
    /// The requirements; their order does not matter.
    pub requirements: Vec<String>,
}

impl ImageRequest {
    /// A request for a step's image, or for all steps', with nothing extra.
    #[must_use]
    pub fn new(key: impl Into<String>, step: Option<&str>, settings: Arc<DockerSettings>) -> Self {
        Self {
            key: key.into(),
            step: step.map(str::to_owned),
            settings,
            entrypoint: Vec::new(),
            extra_files: BTreeMap::new(),
            extra_requirements: Vec::new(),
            steps: step.map(str::to_owned).into_iter().collect(),
        }
    }

    /// The same with an entrypoint.
    #[must_use]
    pub fn with_entrypoint(self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            entrypoint: words.into_iter().map(Into::into).collect(),
            ..self
        }
    }

    /// The same with an entrypoint that is written as for a shell, which will not see it: quotes and backslashes
    /// hold words together, and nothing else is special.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when a quote is not closed.
    pub fn with_entrypoint_line(self, line: &str) -> Result<Self> {
        let words = shlex::split(line).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("a quote is not closed in the entrypoint: {line}"),
            )
        })?;
        Ok(self.with_entrypoint(words))
    }

    /// The key under which the image is found: `orchestrator`, or `train.orchestrator` for the step `train`.
    #[must_use]
    pub fn full_key(&self) -> String {
        match &self.step {
            Some(step) => format!("{step}.{}", self.key),
            None => self.key.clone(),
        }
    }
}

/// What an orchestrator asks for that runs every step in an image: one for each step with settings of its own,
/// and one for all others. A `dynamic` pipeline, whose steps are not all known beforehand, also needs the image
/// of its own settings.
#[must_use]
pub fn orchestrator_images(
    settings: &Arc<DockerSettings>,
    steps: &[StepSettings],
    dynamic: bool,
) -> Vec<ImageRequest> {
    let mut requests: Vec<ImageRequest> = Vec::new();
    let mut shared: Option<usize> = None;
    for step in steps {
        if Arc::ptr_eq(&step.settings, settings) || step.settings == *settings {
            let at = *shared.get_or_insert_with(|| {
                requests.push(ImageRequest::new(ORCHESTRATOR_KEY, None, Arc::clone(settings)));
                requests.len() - 1
            });
            requests[at].steps.push(step.name.clone());
        } else {
            let own = Arc::clone(&step.settings);
            requests.push(ImageRequest::new(ORCHESTRATOR_KEY, Some(&step.name), own));
        }
    }
    if shared.is_none() && dynamic {
        requests.push(ImageRequest::new(ORCHESTRATOR_KEY, None, Arc::clone(settings)));
    }
    requests
}

impl PipelineFile {
    /// What an orchestrator asks for that runs every step of the pipeline in an image. Where the file names no
    /// steps, there are some nevertheless, which have the pipeline's settings.
    #[must_use]
    pub fn images(&self) -> Vec<ImageRequest> {
        orchestrator_images(&self.settings, &self.steps, self.steps.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_with_the_pipelines_settings_share_its_image() {
        let settings = Arc::new(DockerSettings::default());
        let own = Arc::new(DockerSettings {
            user: Some("u".into()),
            ..DockerSettings::default()
        });
        let step = |name: &str, settings: &Arc<DockerSettings>| StepSettings {
            name: name.into(),
            settings: Arc::clone(settings),
        };
        let steps = [
            step("a", &own),
            step("b", &settings),
            step("c", &Arc::new(DockerSettings::default())),
        ];
        let requests = orchestrator_images(&settings, &steps, false);
        let keys: Vec<String> = requests.iter().map(ImageRequest::full_key).collect();
        assert_eq!(keys, ["a.orchestrator", "orchestrator"]);
        assert_eq!(requests[1].steps, ["b", "c"]);
        assert_eq!(orchestrator_images(&settings, &steps[..1], true).len(), 2);
        assert_eq!(orchestrator_images(&settings, &steps[..1], false).len(), 1);
        assert_eq!(orchestrator_images(&settings, &[], false).len(), 0);
    }
}
