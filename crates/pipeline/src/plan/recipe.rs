//! What one distinct request comes to: everything that goes into its image but the image's name.

use std::sync::Arc;

use wharf_core::{Error, ErrorKind, Result};

use super::PlanInput;
use super::index_access::{IndexLogins, mark_secret_options};
use super::questions::Questions;
use crate::checksum::Checksum;
use crate::decide::{CodeSource, ImageRequest};
use crate::gather::default_parent_image;
use crate::gather::index_credentials::hide_credentials;
use crate::inputs::{DetectedRequirements, EnvironmentExport, LocalRepository, RequirementsText};
use crate::requirements::{GatheredRequirements, RequirementsFile, integration_packages};
use crate::settings::{DockerBuildConfig, DockerSettings, Requirements};

/// What is done for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// Nothing: the parent image is used.
    Use(String),
    /// The parent image gets another name.
    Tag(String),
    /// The Dockerfile of the user's own is built, and is the image.
    BuildOwn(OwnDockerfile),
    /// A generated Dockerfile is built.
    Build(Parent),
}

/// What a generated Dockerfile starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parent {
    /// An image by its name: the user's, or the default.
    Named(String),
    /// The image of the user's own Dockerfile.
    Own(OwnDockerfile),
}

/// A Dockerfile of the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnDockerfile {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) context_root: Option<String>,
    pub(super) config: DockerBuildConfig,
    pub(super) checksum: String,
}

/// Everything that goes into an image.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) settings: Arc<DockerSettings>,
    pub(super) entrypoint: Vec<String>,
    pub(super) extra_files: Vec<(String, Vec<u8>)>,
    pub(super) code: CodeSource,
    pub(super) work: Work,
    pub(super) requirements: Vec<RequirementsFile>,
    pub(super) apt_packages: Vec<String>,
    pub(super) runs_zenml: bool,
    pub(super) logins: IndexLogins,
    pub(super) reasons: Vec<&'static str>,
    pub(super) warnings: Vec<String>,
    pub(super) missing: Vec<String>,
    pub(super) checksum: String,
}

impl Recipe {
    /// Gathers what a request asks for.
    pub(super) fn gather(
        input: &PlanInput<'_>,
        repository: &LocalRepository,
        request: &ImageRequest,
        questions: &mut Questions<'_>,
    ) -> Result<Self> {
        let settings = Arc::clone(&request.settings);
        let has_repository = matches!(repository, LocalRepository::Usable(_));
        let mut recipe = Self {
            code: CodeSource::of(&settings, has_repository),
            settings,
            entrypoint: request.entrypoint.clone(),
            extra_files: request
                .extra_files
                .iter()
                .map(|(name, content)| (name.clone(), content.clone()))
                .collect(),
            work: Work::Use(String::new()),
            requirements: Vec::new(),
            apt_packages: Vec::new(),
            runs_zenml: false,
            logins: IndexLogins::default(),
            reasons: Vec::new(),
            warnings: Vec::new(),
            missing: Vec::new(),
            checksum: String::new(),
        };
        if recipe.settings.skip_build {
            recipe.work = Work::Use(recipe.settings.parent_image.clone().unwrap_or_default());
        } else {
            recipe.fill(input, repository, request, questions)?;
        }
        recipe.checksum = recipe.sum();
        Ok(recipe)
    }

    fn fill(
        &mut self,
        input: &PlanInput<'_>,
        repository: &LocalRepository,
        request: &ImageRequest,
        questions: &mut Questions<'_>,
    ) -> Result<()> {
        let settings = Arc::clone(&self.settings);
        let gathered = self.requirements(input, repository, request, questions)?;
        self.requirements = gathered.into_files()?;
        mark_secret_options(&settings, &mut self.requirements);
        self.logins = IndexLogins::find(&settings, &self.requirements, questions)?;
        if !input.builder.dialect.secret_mounts {
            self.warnings.extend(self.logins.warning());
        }
        self.check_files()?;
        self.apt_packages.extend_from_slice(&settings.apt_packages);
        if settings.install_stack_requirements {
            self.apt_packages.extend_from_slice(&input.stack.apt_packages);
        }
        let integrations = integration_packages(&settings.required_integrations)?;
        self.apt_packages.extend(integrations.apt_packages);
        self.other_reasons();
        self.runs_zenml = questions.python()?.is_some_and(|python| python.zenml.is_some());
        self.work = self.work(input, questions)?;
        Ok(())
    }

    fn requirements(
        &mut self,
        input: &PlanInput<'_>,
        repository: &LocalRepository,
        request: &ImageRequest,
        questions: &mut Questions<'_>,
    ) -> Result<GatheredRequirements> {
        let settings = Arc::clone(&self.settings);
        let mut gathered = GatheredRequirements {
            extra: request.extra_requirements.clone(),
            ..GatheredRequirements::default()
        };
        if let Some(how) = &settings.replicate_local_python_environment {
            gathered.local = Some(questions.frozen(how)?);
            gathered.local_is_lock = !matches!(how, EnvironmentExport::Command(_));
            self.reasons.push("the local environment");
        }
        if settings.install_stack_requirements {
            gathered.stack = input.stack.requirements.clone();
            if let (CodeSource::CodeRepository, LocalRepository::Usable(code)) = (self.code, repository) {
                gathered.stack.extend_from_slice(&code.requirements);
            }
            self.reasons.push("stack requirements");
        }
        if !settings.required_integrations.is_empty() {
            gathered.integrations = integration_packages(&settings.required_integrations)?.requirements;
            self.reasons.push("integrations");
        }
        let command = settings.pyproject_export_command.as_deref();
        gathered.pyproject_is_lock = command.is_none();
        if let Some(path) = &settings.pyproject_path {
            let project = questions.project(questions.path(path), command);
            gathered.pyproject = Some(project.map_err(|error| of_attribute(error, "pyproject_path", input))?);
            self.reasons.push("the project's dependencies");
        }
        match &settings.requirements {
            Some(Requirements::File(path)) => {
                let file = questions.requirements_file(questions.path(path));
                gathered.own = Some(file.map_err(|error| of_attribute(error, "requirements", input))?);
            }
            Some(Requirements::List(list)) if !list.is_empty() => {
                gathered.own = Some(questions.requirements_list(list)?);
            }
            // As in ZenML, an empty list asks for nothing and does not keep anything from being found.
            Some(Requirements::List(_)) | None => {}
        }
        self.detect(questions, &mut gathered)?;
        if gathered.own.as_ref().is_some_and(|own| !own.content.is_empty()) {
            self.reasons.push("requirements");
        }
        if !gathered.extra.is_empty() {
            self.reasons.push("added requirements");
        }
        let texts = [&gathered.local, &gathered.pyproject, &gathered.own];
        let missing = texts.into_iter().flatten().flat_map(|text| text.missing.clone());
        self.missing.extend(missing);
        let warning =
            |missing: &String| format!("{missing}, which does not exist: nothing can be built from it.");
        self.warnings.extend(self.missing.iter().map(warning));
        self.warnings
            .extend(texts.into_iter().flatten().flat_map(|text| text.warnings.clone()));
        Ok(gathered)
    }

    /// Takes what the source root has, where the settings say that and name nothing themselves.
    fn detect(&mut self, questions: &mut Questions<'_>, gathered: &mut GatheredRequirements) -> Result<()> {
        let settings = &self.settings;
        let names_some = settings.replicate_local_python_environment.is_some()
            || gathered.pyproject.is_some()
            || gathered.own.is_some();
        if settings.disable_automatic_requirements_detection || names_some {
            return Ok(());
        }
        match questions.detected()? {
            None => {}
            Some(DetectedRequirements::File(path)) => gathered.own = Some(questions.requirements_file(path)?),
            Some(DetectedRequirements::Project(path)) => {
                let command = settings.pyproject_export_command.as_deref();
                let text: RequirementsText = questions.project(path, command)?;
                gathered.pyproject = Some(text);
                self.reasons.push("the project's dependencies");
            }
        }
        Ok(())
    }

    fn other_reasons(&mut self) {
        let settings = &self.settings;
        let reasons = [
            (!settings.apt_packages.is_empty(), "apt packages"),
            (!settings.environment.is_empty(), "environment"),
            (!settings.runtime_environment.is_empty(), "runtime environment"),
            (
                settings.local_project_install_command.is_some(),
                "the local project",
            ),
            (self.code == CodeSource::Included, "code"),
            (settings.user.is_some(), "user"),
            (!self.extra_files.is_empty(), "added files"),
            (!self.entrypoint.is_empty(), "entrypoint"),
        ];
        let given = reasons.into_iter().filter(|(is_given, _)| *is_given);
        self.reasons.extend(given.map(|(_, reason)| reason));
    }

    fn work(&self, input: &PlanInput<'_>, questions: &mut Questions<'_>) -> Result<Work> {
        let is_needed = !self.reasons.is_empty();
        if let Some(path) = &self.settings.dockerfile {
            let own = self
                .own_dockerfile(path, questions)
                .map_err(|error| of_attribute(error, "dockerfile", input))?;
            return Ok(match is_needed {
                true => Work::Build(Parent::Own(own)),
                false => Work::BuildOwn(own),
            });
        }
        match (self.settings.parent_image.clone(), is_needed) {
            (Some(parent), true) => Ok(Work::Build(Parent::Named(parent))),
            (Some(parent), false) => Ok(Work::Tag(parent)),
            (None, true) => Ok(Work::Build(Parent::Named(default_parent(input, questions)?))),
            (None, false) => Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "nothing is to be put into the image, and there is no parent image that could be used as it is",
            )
            .with_hint("Set `parent_image`, or something that the image is to have.")),
        }
    }

    fn own_dockerfile(&self, path: &str, questions: &mut Questions<'_>) -> Result<OwnDockerfile> {
        let text = questions.text(&questions.path(path))?;
        let settings = &self.settings;
        let config = settings.parent_image_build_config.clone().unwrap_or_default();
        let mut checksum = Checksum::new("wharf own Dockerfile 1");
        checksum.text(&text);
        checksum.optional(settings.build_context_root.as_deref());
        add_config(&mut checksum, Some(&config));
        Ok(OwnDockerfile {
            path: path.to_owned(),
            text,
            context_root: settings.build_context_root.clone(),
            config,
            checksum: checksum.finish(),
        })
    }

    /// Two files in the context cannot have one name.
    fn check_files(&self) -> Result<()> {
        let has = |name: &str| self.extra_files.iter().any(|(extra, _)| extra == name);
        let included = self.requirements.iter().flat_map(|file| &file.included);
        let mut names = self
            .requirements
            .iter()
            .map(|file| &file.name)
            .chain(included.map(|file| &file.name));
        match names.find(|name| has(name)) {
            None => Ok(()),
            Some(name) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("a file is to be added as `{name}`, which is the name of a requirements file"),
            )),
        }
    }

    /// The checksum of the settings in force. Neither the builder nor the place of the source root is in it, and
    /// whether an image that exists will do is not either.
    fn sum(&self) -> String {
        let settings = &self.settings;
        let mut sum = Checksum::new("wharf image 1");
        match &self.work {
            Work::Use(image) => sum.texts(&["use", image]),
            Work::Tag(image) => sum.texts(&["tag", image]),
            Work::BuildOwn(own) => sum.texts(&["build own", &own.checksum]),
            Work::Build(Parent::Own(own)) => sum.texts(&["build on own", &own.checksum]),
            Work::Build(Parent::Named(image)) => sum.texts(&["build on", image]),
        }
        sum.optional(settings.target_repository.as_deref());
        sum.optional(settings.image_tag.as_deref());
        sum.text(&format!("{:?}", self.code));
        if matches!(self.work, Work::Build(_)) {
            self.add_content(&mut sum);
        }
        sum.finish()
    }

    fn add_content(&self, sum: &mut Checksum) {
        let settings = &self.settings;
        sum.count(self.requirements.len());
        for file in &self.requirements {
            sum.texts(&[&file.name, &file.content]);
            let included = file.included.iter();
            sum.pairs(included.map(|file| (file.name.as_str(), file.content.as_slice())));
        }
        sum.texts(&self.apt_packages);
        for variables in [&settings.environment, &settings.runtime_environment] {
            sum.pairs(
                variables
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_bytes())),
            );
        }
        sum.text(&format!("{:?}", settings.python_package_installer));
        sum.count(settings.python_package_installer_args.len());
        for argument in &settings.python_package_installer_args {
            sum.text(&argument.name);
            sum.optional(argument.value.as_deref().map(hide_credentials).as_deref());
        }
        sum.optional(settings.python_package_installer_cache_mount.as_deref());
        sum.optional(settings.local_project_install_command.as_deref());
        sum.optional(settings.user.as_deref());
        add_config(sum, settings.build_config.as_ref());
        let extra = self.extra_files.iter();
        sum.pairs(extra.map(|(name, content)| (name.as_str(), content.as_slice())));
        sum.texts(&self.entrypoint);
        sum.count(usize::from(self.runs_zenml));
    }
}

/// Says which attribute it is about, and where its path counts from if there is nothing.
fn of_attribute(error: Error, attribute: &str, input: &PlanInput<'_>) -> Error {
    let error = error.with_context("attribute", attribute);
    if error.kind() != ErrorKind::NotFound || error.hint().is_some() {
        return error;
    }
    let root = input.surroundings.source_root.display();
    error.with_hint(format!("Relative paths count from the source root, {root}."))
}

fn add_config(sum: &mut Checksum, config: Option<&DockerBuildConfig>) {
    let none = DockerBuildConfig::default();
    let config = config.unwrap_or(&none);
    sum.json(&serde_json::Value::Object(config.build_options.clone()));
    sum.optional(config.dockerignore.as_deref());
}

/// The configured parent image, else the one for the active Python.
pub(super) fn default_parent(input: &PlanInput<'_>, questions: &mut Questions<'_>) -> Result<String> {
    if let Some(image) = &input.default_parent {
        return Ok(image.clone());
    }
    Ok(default_parent_image(questions.python()?.as_ref(), None))
}
