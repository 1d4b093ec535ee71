//! From requests to images: what is the same is planned once, and every image gets a name of its own.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use wharf_core::options::BuildOption;
use wharf_core::{Error, ErrorKind, ImageReference, Result, registry};

use super::instructions::{dockerfile_name, left_out};
use super::problems::Problems;
use super::questions::Questions;
use super::recipe::{OwnDockerfile, Parent, Recipe, Work};
use super::{
    Action, BuildInstructions, CodeRepositoryUse, ImagePlan, PipelinePlan, PlanEffort, PlanInput, PullParent,
    warnings,
};
use crate::decide::{
    CodeSource, ImageRequest, PipelineCode, check_repository, default_tag, intermediate_tag, unique_tag,
};
use crate::dockerfile::Ingredients;
use crate::inputs::LocalRepository;
use crate::settings::{DockerBuildConfig, DockerSettings};

/// How the names of ZenML's own images begin.
const ZENML_IMAGES: &str = "zenmldocker/zenml:";

/// Requests that come to the same image.
struct Group<'a> {
    recipe: Recipe,
    requests: Vec<&'a ImageRequest>,
}

pub(super) fn plan(input: &PlanInput<'_>) -> Result<PipelinePlan> {
    let repository = local_repository(input)?;
    for request in &input.images {
        check_repository(request.step.as_deref(), &request.settings, &repository)?;
    }
    let has_repository = matches!(repository, LocalRepository::Usable(_));
    let settings = input.images.iter().map(|request| &*request.settings);
    let code = PipelineCode::of(settings, has_repository);
    let mut questions = Questions::new(input.surroundings);
    let (groups, gathered) = group(input, &repository, &mut questions)?;
    let mut planner = Planner {
        input,
        questions,
        taken: BTreeSet::new(),
        parents: BTreeMap::new(),
        images: Vec::new(),
        written: 0,
    };
    let names = planner.names(&groups)?;
    for (group, name) in groups.iter().zip(names) {
        let key = || first(group).map_or_else(String::new, ImageRequest::full_key);
        planner
            .add(group, name)
            .map_err(|error| error.with_context("image", key()))?;
    }
    let unused = warnings::repository_not_used(&repository, &code).into_iter();
    let of_images = warnings::of_recipes(groups.iter().map(|group| &group.recipe));
    let warnings = unused.chain(of_images).collect();
    Ok(PipelinePlan {
        pipeline: input.pipeline.to_owned(),
        images: planner.images,
        code,
        warnings,
        repository: match repository {
            LocalRepository::Usable(code) => Some(code),
            _ => None,
        },
        effort: PlanEffort {
            gathered,
            written: planner.written,
            read: 0,
        },
    })
}

fn local_repository(input: &PlanInput<'_>) -> Result<LocalRepository> {
    if input.code_repository == CodeRepositoryUse::Off {
        return Ok(LocalRepository::None);
    }
    let surroundings = input.surroundings;
    let repository = surroundings.repositories.local(&surroundings.source_root)?;
    let reason = match (input.code_repository, &repository) {
        (CodeRepositoryUse::On, LocalRepository::None) => {
            "the source root is in no checkout of one".to_owned()
        }
        (CodeRepositoryUse::On, LocalRepository::Unusable(difference)) => difference.to_string(),
        _ => return Ok(repository),
    };
    let message = format!("the code repository cannot be used: {reason}");
    Err(Error::new(ErrorKind::InvalidConfiguration, message)
        .with_context("source root", surroundings.source_root.display().to_string())
        .with_hint("Commit and push everything, or leave the code repository out."))
}

/// Puts requests for the same image together. Each distinct request is gathered once.
fn group<'a>(
    input: &'a PlanInput<'_>,
    repository: &LocalRepository,
    questions: &mut Questions<'_>,
) -> Result<(Vec<Group<'a>>, usize)> {
    let mut by_request: HashMap<String, Option<usize>> = HashMap::new();
    let mut by_settings: HashMap<*const DockerSettings, String> = HashMap::new();
    let mut by_checksum: HashMap<String, usize> = HashMap::new();
    let mut by_key: BTreeMap<String, usize> = BTreeMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut problems = Problems::default();
    let mut gathered = 0;
    for request in &input.images {
        let at = match by_request.entry(identity(request, &mut by_settings)?) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                gathered += 1;
                let recipe = Recipe::gather(input, repository, request, questions);
                let recipe = problems.take(request.full_key(), recipe);
                *new.insert(recipe.map(|recipe| {
                    let checksum = recipe.checksum.clone();
                    *by_checksum.entry(checksum).or_insert_with(|| {
                        let requests = Vec::new();
                        groups.push(Group { recipe, requests });
                        groups.len() - 1
                    })
                }))
            }
        };
        let Some(at) = at else { continue };
        groups[at].requests.push(request);
        let key = request.full_key();
        if by_key.insert(key.clone(), at).is_some_and(|before| before != at) {
            let message = format!("two different images are asked for under the key `{key}`");
            return Err(Error::new(ErrorKind::InvalidConfiguration, message)
                .with_hint("Ask for them under different keys, or with the same settings."));
        }
    }
    problems.finish()?;
    Ok((groups, gathered))
}

/// A text that equal requests have in common, whoever asks and for which step.
fn identity(
    request: &ImageRequest,
    by_settings: &mut HashMap<*const DockerSettings, String>,
) -> Result<String> {
    let settings = match by_settings.get(&Arc::as_ptr(&request.settings)) {
        Some(text) => text.clone(),
        None => {
            let text = serde_json::to_string(&*request.settings).map_err(|error| {
                Error::new(ErrorKind::Unexpected, "the settings cannot be written down").with_source(error)
            })?;
            by_settings.insert(Arc::as_ptr(&request.settings), text.clone());
            text
        }
    };
    let rest = (
        &request.entrypoint,
        &request.extra_files,
        &request.extra_requirements,
    );
    Ok(format!("{settings}{rest:?}"))
}

/// The request that an image is called after.
fn first<'a>(group: &Group<'a>) -> Option<&'a ImageRequest> {
    group.requests.iter().copied().min_by_key(|request| rank(request))
}

fn rank(request: &ImageRequest) -> (Option<&str>, &str) {
    (request.step.as_deref(), &request.key)
}

/// The name of an image.
struct Name {
    tag: String,
    reference: ImageReference,
}

struct Planner<'a> {
    input: &'a PlanInput<'a>,
    questions: Questions<'a>,
    taken: BTreeSet<String>,
    /// Images of Dockerfiles of the user's own that others are built on: their place in the plan.
    parents: BTreeMap<(String, Option<String>), usize>,
    images: Vec<ImagePlan>,
    written: usize,
}

impl Planner<'_> {
    /// A name for each group, chosen in an order that is not that of the steps: an image is called after the
    /// pipeline where the pipeline uses it, else after the first of its steps by name.
    fn names(&mut self, groups: &[Group<'_>]) -> Result<Vec<Option<Name>>> {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|at| first(&groups[*at]).map(rank));
        let mut names: Vec<Option<Name>> = groups.iter().map(|_| None).collect();
        for at in order {
            let (Some(request), group) = (first(&groups[at]), &groups[at]) else {
                continue;
            };
            if !matches!(group.recipe.work, Work::Use(_)) {
                let step = request.step.as_deref();
                let name = self.name(&group.recipe, step, &request.key);
                let key = || request.full_key();
                names[at] = Some(name.map_err(|error| error.with_context("image", key()))?);
            }
        }
        Ok(names)
    }

    fn name(&mut self, recipe: &Recipe, step: Option<&str>, key: &str) -> Result<Name> {
        let wanted = match &recipe.settings.image_tag {
            Some(tag) => tag.clone(),
            None => default_tag(self.input.pipeline, step, key)?,
        };
        let repository = recipe.settings.target_repository.as_deref();
        self.free_name(
            self.input.registry.is_some(),
            repository,
            &wanted,
            &recipe.checksum,
        )
    }

    fn free_name(
        &mut self,
        in_registry: bool,
        repository: Option<&str>,
        wanted: &str,
        checksum: &str,
    ) -> Result<Name> {
        let registry = self.input.registry.filter(|_| in_registry);
        let name = |tag: &str| registry::target_image(registry, repository, tag);
        let first = name(wanted)?.familiar();
        let tag = unique_tag(wanted, checksum, |_| self.taken.contains(&first));
        let reference = name(&tag)?;
        self.taken.insert(reference.familiar());
        Ok(Name { tag, reference })
    }

    fn add(&mut self, group: &Group<'_>, name: Option<Name>) -> Result<()> {
        let recipe = &group.recipe;
        let mut plan = start(group);
        match (&recipe.work, name) {
            (Work::Tag(parent), Some(name)) => {
                plan.action = Action::Tag;
                plan.reason = "nothing is added to the parent image".into();
                plan.image = name.reference.familiar();
                plan.parent_image = Some(parent.clone());
                plan.push = self.input.registry.is_some();
            }
            (Work::BuildOwn(own), Some(name)) => {
                plan.reason = format!("the Dockerfile {}, to which nothing is added", own.path);
                self.own(&mut plan, own, name)?;
            }
            (Work::Build(parent), Some(name)) => self.build(&mut plan, recipe, parent, name)?,
            (Work::Use(image), _) => {
                plan.image.clone_from(image);
                plan.parent_image = Some(image.clone());
            }
            (_, None) => return Err(Error::new(ErrorKind::Unexpected, "an image was given no name")),
        }
        self.images.push(plan);
        Ok(())
    }

    /// The image of a Dockerfile of the user's own.
    fn own(&mut self, plan: &mut ImagePlan, own: &OwnDockerfile, name: Name) -> Result<()> {
        let root = own.context_root.as_deref().map(|root| self.questions.path(root));
        let path = self.questions.path(&own.path);
        plan.action = Action::Build;
        plan.image = name.reference.familiar();
        plan.dockerfile = Some(own.text.clone());
        plan.push = plan.push || self.input.registry.is_some();
        plan.instructions = Some(BuildInstructions {
            image: name.reference,
            ignore_file: own
                .config
                .dockerignore
                .as_deref()
                .map(|path| self.questions.path(path)),
            files: Vec::new(),
            missing: Vec::new(),
            dockerfile: (dockerfile_name(&path, root.as_deref()), own.text.clone()),
            context_root: root,
            open_modes: false,
            left_out: Vec::new(),
            options: own.config.options()?,
            pull: given_pull(&own.config).unwrap_or(PullParent::UnlessLocal),
        });
        Ok(())
    }

    fn build(&mut self, plan: &mut ImagePlan, recipe: &Recipe, parent: &Parent, name: Name) -> Result<()> {
        let (parent_image, pull) = match parent {
            Parent::Named(image) => (image.clone(), pull(image)),
            Parent::Own(own) => {
                let at = self.parent(recipe, own, &name, plan)?;
                plan.built_on = Some(at);
                let pull = match self.images[at].push {
                    true => PullParent::UnlessLocal,
                    false => PullParent::No,
                };
                (self.images[at].image.clone(), pull)
            }
        };
        let config = recipe.settings.build_config.clone().unwrap_or_default();
        let mut options = config.options()?;
        let generated = Ingredients {
            settings: &recipe.settings,
            parent: &parent_image,
            build_args: options.build_args.keys().cloned().collect(),
            apt_packages: &recipe.apt_packages,
            requirements: &recipe.requirements,
            has_files: recipe.code == CodeSource::Included || !recipe.extra_files.is_empty(),
            entrypoint: &recipe.entrypoint,
            logins: recipe.logins.secret().as_ref(),
            runs_zenml: recipe.runs_zenml,
        }
        .dockerfile(&self.input.builder.dialect)?;
        self.written += 1;
        options.build_args.extend(generated.build_args);
        options.secrets.extend(generated.secrets);
        plan.action = Action::Build;
        plan.reason = format!("adds {}", recipe.reasons.join(", "));
        plan.image = name.reference.familiar();
        plan.parent_image = Some(parent_image);
        plan.dockerfile = Some(generated.text.clone());
        plan.push = self.input.registry.is_some();
        plan.instructions = Some(BuildInstructions {
            image: name.reference,
            context_root: plan
                .include_files
                .then(|| self.input.surroundings.source_root.clone()),
            ignore_file: config
                .dockerignore
                .as_deref()
                .map(|path| self.questions.path(path)),
            files: files(recipe),
            missing: recipe.missing.clone(),
            dockerfile: (wharf_core::context::DEFAULT_DOCKERFILE.to_owned(), generated.text),
            open_modes: true,
            left_out: left_out(&recipe.settings),
            options,
            pull: given_pull(&config).unwrap_or(pull),
        });
        Ok(())
    }

    /// The place of the image that a recipe is built on, which is planned when it is first needed.
    fn parent(
        &mut self,
        recipe: &Recipe,
        own: &OwnDockerfile,
        name: &Name,
        user: &ImagePlan,
    ) -> Result<usize> {
        let repository = recipe.settings.target_repository.clone();
        let key = (own.checksum.clone(), repository.clone());
        if let Some(at) = self.parents.get(&key).copied() {
            let steps = &mut self.images[at].steps;
            steps.extend(
                user.steps
                    .iter()
                    .filter(|step| !steps.contains(step))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
            self.images[at].prevent_reuse |= user.prevent_reuse;
            return Ok(at);
        }
        let in_registry = self.input.registry.is_some() && !self.input.builder.builds_locally;
        let tag = intermediate_tag(&name.tag);
        let own_name = self.free_name(in_registry, repository.as_deref(), &tag, &own.checksum)?;
        let mut plan = ImagePlan {
            keys: Vec::new(),
            requirements_files: Vec::new(),
            apt_packages: Vec::new(),
            environment: BTreeMap::new(),
            include_files: false,
            download_code: CodeSource::None,
            checksum: own.checksum.clone(),
            reason: format!(
                "the Dockerfile {}, which {} is built on",
                own.path,
                user.keys.join(", ")
            ),
            ..user.clone()
        };
        self.own(&mut plan, own, own_name)?;
        plan.push = in_registry;
        self.images.push(plan);
        let at = self.images.len() - 1;
        self.parents.insert(key, at);
        Ok(at)
    }
}

/// What the plan of a group has whatever is done for it.
fn start(group: &Group<'_>) -> ImagePlan {
    let recipe = &group.recipe;
    let settings = &recipe.settings;
    let mut keys: Vec<String> = Vec::new();
    let mut steps: Vec<String> = Vec::new();
    for request in &group.requests {
        let key = request.full_key();
        if !keys.contains(&key) {
            keys.push(key);
        }
        for step in &request.steps {
            if !steps.contains(step) {
                steps.push(step.clone());
            }
        }
    }
    let is_built = matches!(recipe.work, Work::Build(_));
    let variables = settings.environment.iter().chain(&settings.runtime_environment);
    ImagePlan {
        keys,
        image: String::new(),
        action: Action::None,
        reason: "`skip_build` is set".into(),
        parent_image: None,
        dockerfile: None,
        requirements_files: recipe.requirements.clone(),
        apt_packages: recipe.apt_packages.clone(),
        environment: match is_built {
            true => variables
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            false => BTreeMap::new(),
        },
        include_files: is_built && recipe.code == CodeSource::Included,
        download_code: recipe.code,
        checksum: recipe.checksum.clone(),
        steps,
        instructions: None,
        built_on: None,
        push: false,
        prevent_reuse: group
            .requests
            .iter()
            .any(|request| request.settings.prevent_build_reuse),
    }
}

/// What the context has beside the code.
fn files(recipe: &Recipe) -> Vec<(String, Vec<u8>)> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for file in recipe.requirements.iter().filter(|file| !file.is_blank()) {
        files.insert(file.name.clone(), file.content.clone().into_bytes());
        if let Some(large) = &file.large {
            files.insert(file.large_name(), large.clone().into_bytes());
        }
        for included in &file.included {
            files.insert(included.name.clone(), included.content.clone());
        }
    }
    files.extend(recipe.extra_files.iter().cloned());
    files.into_iter().collect()
}

/// ZenML's images are called after their whole version and stay what they are; other names move.
fn pull(parent: &str) -> PullParent {
    match parent.starts_with(ZENML_IMAGES) {
        true => PullParent::No,
        false => PullParent::UnlessLocal,
    }
}

fn given_pull(config: &DockerBuildConfig) -> Option<PullParent> {
    let names = BuildOption::Pull.names();
    let given = config
        .build_options
        .iter()
        .find(|(name, _)| names.contains(&name.as_str()));
    given
        .and_then(|(_, value)| value.as_bool())
        .map(PullParent::Given)
}
