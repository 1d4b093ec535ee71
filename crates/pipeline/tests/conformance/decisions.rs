//! Decisions before a build.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wharf_core::registry::FlavoredRegistry;
use wharf_pipeline::decide::{CodeSource, ORCHESTRATOR_KEY, PipelineCode, orchestrator_images};
use wharf_pipeline::inputs::{LocalRepository, RepositoryDifference, Surroundings};
use wharf_pipeline::plan::{Action, CodeRepositoryUse, ImagePlan, PullParent, StackNeeds};
use wharf_pipeline::settings::{PipelineFile, StepSettings};
use wharf_pipeline::{DockerSettings, ImageRequest, PipelinePlan, PlanInput};

use crate::compare::{Answer, compare};
use crate::dockerfile::extra_requirements;
use crate::world::{ROOT, World, builder, registry, texts};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: String,
    given: Given,
    expected: Value,
}

/// The inputs of all kinds. Settings are kept as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default)]
    settings: Option<Box<RawValue>>,
    #[serde(default)]
    pipeline_settings: Option<Box<RawValue>>,
    #[serde(default)]
    steps: Vec<GivenStep>,
    #[serde(default)]
    code_repository: bool,
    #[serde(default)]
    local_repository: String,
    #[serde(default)]
    dynamic: bool,
    #[serde(default)]
    pipeline_name: String,
    #[serde(default)]
    container_registry: Value,
    #[serde(default)]
    extra_builds: Vec<GivenBuild>,
    #[serde(default)]
    source_root_files: Value,
    #[serde(default)]
    steps_to_skip: BTreeSet<String>,
    #[serde(default)]
    image_builder: String,
    #[serde(default)]
    entrypoint: Option<String>,
    #[serde(default)]
    extra_files: BTreeMap<String, String>,
    #[serde(default)]
    extra_requirements_files: Value,
    #[serde(default)]
    include_files: bool,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    local_images: Vec<String>,
    #[serde(default)]
    stack_requirements: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    value: Option<Box<RawValue>>,
    #[serde(default)]
    environment: Option<Box<RawValue>>,
    #[serde(default, rename = "lines")]
    _lines: String,
}

#[derive(Deserialize)]
struct GivenStep {
    name: String,
    settings: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenBuild {
    key: String,
    settings: Box<RawValue>,
    #[serde(default)]
    step: Option<String>,
    #[serde(default)]
    entrypoint: Option<String>,
    #[serde(default)]
    extra_requirements_files: Value,
}

fn settings(raw: &RawValue) -> Option<DockerSettings> {
    DockerSettings::from_yaml(raw.get(), &|_| None)
        .ok()
        .map(|(settings, _)| settings)
}

fn arc(raw: &RawValue) -> Arc<DockerSettings> {
    Arc::new(settings(raw).unwrap())
}

fn failed(stage: &str) -> Value {
    json!({"error": stage})
}

impl Case {
    fn answer(&self) -> Value {
        let given = &self.given;
        match self.kind.as_str() {
            "code" => given.code_of_a_step(),
            "code of two steps" | "code of a pipeline" => given.code_of_a_pipeline(),
            "local repository" => given.repository_state(),
            "substitution" => given.substituted(),
            "substitution in settings" => given.substituted_settings(),
            "environment in docker" => given.docker_environment(),
            "plan" => given.plan(),
            "images of a pipeline" => given.images(),
            kind => panic!("there is no kind {kind:?}"),
        }
    }

    /// ZenML's answer in the form of wharf's.
    fn peer(&self) -> Value {
        let expected = &self.expected;
        if let Some(stage) = expected["error"]["stage"].as_str() {
            return failed(stage);
        }
        match self.kind.as_str() {
            "environment in docker" if expected["error"].is_string() => failed("docker"),
            "environment in docker" => json!(expected["env"]),
            "substitution" => expected["value"].clone(),
            "substitution in settings" => requirements_and_variables(&expected["dockerfile"]),
            "plan" => plan_of_peer(expected),
            "images of a pipeline" => images_of_peer(expected),
            _ => {
                let mut answer = expected.clone();
                let map = answer.as_object_mut().unwrap();
                map.remove("error");
                // What ZenML asks about a build that exists is not asked of a plan.
                map.retain(|name, _| !name.starts_with("should_upload_code_"));
                answer
            }
        }
    }
}

/// What a pipeline's code means, in ZenML's words.
fn code(code: PipelineCode) -> Value {
    json!(code)
}

impl Given {
    fn code_of_a_step(&self) -> Value {
        let Some(settings) = settings(self.settings.as_ref().unwrap()) else {
            return failed("settings");
        };
        let source = CodeSource::of(&settings, self.code_repository);
        let mut answer = code(PipelineCode::of([&settings], self.code_repository));
        answer["should_include_files"] = (source == CodeSource::Included).into();
        answer["should_download_files"] = source.is_download().into();
        answer["should_download_files_from_code_repository"] = (source == CodeSource::CodeRepository).into();
        answer
    }

    fn code_of_a_pipeline(&self) -> Value {
        let mut all: Vec<DockerSettings> = self
            .steps
            .iter()
            .map(|step| settings(&step.settings).unwrap())
            .collect();
        if let Some(raw) = self.pipeline_settings.as_ref().filter(|_| self.dynamic) {
            all.push(settings(raw).unwrap());
        }
        code(PipelineCode::of(&all, self.code_repository))
    }

    fn repository_state(&self) -> Value {
        let repository = match self.local_repository.as_str() {
            "none" => LocalRepository::None,
            "clean" => World::default().with_repository(Vec::new()).repository,
            "uncommitted" => LocalRepository::Unusable(RepositoryDifference::Uncommitted(vec!["a".into()])),
            "unpushed" => LocalRepository::Unusable(RepositoryDifference::Unpushed("0".repeat(40))),
            other => panic!("{other}"),
        };
        let world = World {
            repository,
            ..World::default()
        };
        let settings = arc(self.settings.as_ref().unwrap());
        let request = ImageRequest::new(ORCHESTRATOR_KEY, None, settings);
        match self.planned("p", vec![request], &world.surroundings(), None) {
            Ok(plan) => json!({"code_repository_used": plan.repository.is_some()}),
            Err(()) => failed("build"),
        }
    }

    fn lookup(&self) -> impl Fn(&str) -> Option<String> {
        |name| self.variables.get(name).cloned()
    }

    /// The value goes through settings, as installer options do not exist that could hold it: through the
    /// function for texts, item by item.
    fn substituted(&self) -> Value {
        let text = self.value.as_ref().map_or("null", |value| value.get());
        let value: Value = serde_json::from_str(text).unwrap();
        substituted(value, &self.lookup()).unwrap_or_else(|| failed("substitution"))
    }

    fn substituted_settings(&self) -> Value {
        let text = self.settings.as_ref().unwrap().get();
        let Ok((settings, _)) = DockerSettings::from_yaml(text, &self.lookup()) else {
            return failed("settings");
        };
        let runtime: Vec<String> = settings
            .runtime_environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = ImageRequest::new(ORCHESTRATOR_KEY, None, Arc::new(settings));
        let surroundings = World::default().surroundings();
        let plan = self.planned("p", vec![request], &surroundings, None).unwrap();
        json!([plan.images[0].requirements(), runtime])
    }

    /// What Docker reads from wharf's `ENV`. That it reads values as given is proven on a real engine; here it
    /// is asked which variables there are.
    fn docker_environment(&self) -> Value {
        let text = format!("environment: {}", self.environment.as_ref().unwrap().get());
        let unchanged = |name: &str| Some(format!("${{{name}}}"));
        match DockerSettings::from_yaml(&text, &unchanged) {
            Err(_) => failed("settings"),
            Ok((settings, _)) => settings
                .environment
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        }
    }

    fn planned(
        &self,
        pipeline: &str,
        images: Vec<ImageRequest>,
        surroundings: &Surroundings,
        registry: Option<&FlavoredRegistry>,
    ) -> Result<PipelinePlan, ()> {
        let input = PlanInput {
            pipeline,
            images,
            surroundings,
            stack: StackNeeds {
                requirements: self.stack_requirements.clone(),
                apt_packages: Vec::new(),
            },
            registry: registry.map(|registry| registry as _),
            builder: builder(false, self.image_builder == "local"),
            default_parent: None,
            code_repository: CodeRepositoryUse::Auto,
        };
        PipelinePlan::new(&input).map_err(drop)
    }

    fn plan(&self) -> Value {
        let Some(mut settings) = settings(self.settings.as_ref().unwrap()) else {
            return failed("settings");
        };
        // The case says what was decided about code and name before.
        settings.allow_download_from_code_repository = false;
        settings.allow_download_from_artifact_store = false;
        settings.allow_including_files_in_images = self.include_files;
        let installs = settings.local_project_install_command.is_some() && !self.include_files;
        settings.image_tag = Some(self.tag.clone());
        let mut request = ImageRequest::new(ORCHESTRATOR_KEY, None, Arc::new(settings))
            .with_entrypoint_line(self.entrypoint.as_deref().unwrap_or_default())
            .unwrap();
        let files = self.extra_files.iter();
        request.extra_files = files
            .map(|(name, text)| (name.clone(), text.clone().into_bytes()))
            .collect();
        request.extra_requirements = extra_requirements(&self.extra_requirements_files);
        let registry = self.container_registry["uri"]
            .as_str()
            .map(|uri| registry(uri, self.container_registry["default_repository"].as_str()));
        let surroundings = World::new(&self.source_root_files).surroundings();
        let Ok(plan) = self.planned("p", vec![request], &surroundings, registry.as_ref()) else {
            return failed("build");
        };
        let mut operations: Vec<Value> = plan
            .images
            .iter()
            .flat_map(|image| self.operations(image))
            .collect();
        if installs {
            // A project is installed from files: wharf includes them where ZenML was told that there are none.
            operations
                .iter_mut()
                .for_each(|operation| operation["context_root"] = Value::Null);
        }
        json!({
            "operations": operations,
            "image": repository_of(&plan.images.last().unwrap().image),
            "requirements": plan.images.last().unwrap().requirements(),
        })
    }

    fn operations(&self, image: &ImagePlan) -> Vec<Value> {
        match (image.action, &image.instructions) {
            (Action::Tag, _) => {
                let mut operations =
                    vec![json!({"op": "tag", "source": image.parent_image, "target": image.image})];
                if image.push {
                    operations.push(json!({"op": "push", "image": image.image}));
                }
                operations
            }
            (_, Some(build)) => {
                let relative = |path: &std::path::Path| match path.strip_prefix(ROOT).unwrap().to_str() {
                    Some("") => ".".to_owned(),
                    other => other.unwrap().to_owned(),
                };
                let files = build.files.iter();
                let options = &build.options;
                vec![json!({
                    "op": "build",
                    "image": image.image,
                    "push": image.push,
                    "context_root": build.context_root.as_deref().map(relative),
                    "dockerignore": build.ignore_file.as_deref().map(relative),
                    "files": files.map(|(name, content)| (name.clone(), String::from_utf8(content.clone()).unwrap()))
                        .collect::<BTreeMap<_, _>>(),
                    "from": from(build.dockerfile.1.as_str()),
                    "pull": self.pulls(image, build.pull),
                    "options": json!({
                        "build_args": options.build_args, "labels": options.labels, "no_cache": options.no_cache,
                        "cache_from": options.cache_from, "shm_size": options.shm_size.unwrap_or(0),
                    }),
                })]
            }
            _ => Vec::new(),
        }
    }

    /// Whether the parent is asked for, on a builder with these images of its own.
    fn pulls(&self, image: &ImagePlan, pull: PullParent) -> bool {
        let parent = image.parent_image.clone().unwrap_or_default();
        match pull {
            PullParent::Given(pull) => pull,
            PullParent::UnlessLocal => {
                image.parent_image.is_some()
                    && !(self.image_builder == "local" && self.local_images.contains(&parent))
            }
            PullParent::No => false,
        }
    }

    fn images(&self) -> Value {
        let pipeline = arc(self.pipeline_settings.as_ref().unwrap());
        let steps: Vec<StepSettings> = self
            .steps
            .iter()
            .map(|step| StepSettings {
                name: step.name.clone(),
                settings: arc(&step.settings),
            })
            .collect();
        let mut requests = orchestrator_images(&pipeline, &steps, self.dynamic);
        requests.extend(self.extra_builds.iter().map(GivenBuild::request));
        let kept = requests.iter().filter(|request| {
            !request
                .step
                .as_ref()
                .is_some_and(|step| self.steps_to_skip.contains(step))
        });
        let kept: Vec<ImageRequest> = kept.cloned().collect();
        let registry = self.container_registry.as_str().map(|uri| registry(uri, None));
        let mut world = World::new(&self.source_root_files);
        if self.code_repository {
            world = world.with_repository(Vec::new());
        }
        let surroundings = world.surroundings();
        let (Ok(all), Ok(plan)) = (
            self.planned(&self.pipeline_name, requests, &surroundings, registry.as_ref()),
            self.planned(&self.pipeline_name, kept, &surroundings, registry.as_ref()),
        ) else {
            return failed("build");
        };
        let groups = all.images.iter().filter(|image| !image.keys.is_empty());
        let built = plan.images.iter().filter(|image| image.action == Action::Build);
        json!({
            "same_checksum": sets(groups.map(|image| image.keys.clone())),
            "built": built.map(|image| image.image.clone()).collect::<BTreeSet<_>>(),
            "images": plan.images.iter().flat_map(|image| image.keys.iter().map(move |key| {
                (key.clone(), json!({
                    "image": repository_of(&image.image),
                    "contains_code": image.include_files,
                    "requires_code_download": image.download_code.is_download(),
                }))
            })).collect::<BTreeMap<_, _>>(),
        })
    }
}

impl GivenBuild {
    fn request(&self) -> ImageRequest {
        let mut request = ImageRequest::new(&self.key, self.step.as_deref(), arc(&self.settings))
            .with_entrypoint_line(self.entrypoint.as_deref().unwrap_or_default())
            .unwrap();
        request.extra_requirements = extra_requirements(&self.extra_requirements_files);
        request
    }
}

fn sets(groups: impl Iterator<Item = Vec<String>>) -> BTreeSet<BTreeSet<String>> {
    groups.map(|keys| keys.into_iter().collect()).collect()
}

fn repository_of(image: &str) -> String {
    let name = image.split('@').next().unwrap();
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
        _ => name.to_owned(),
    }
}

fn from(dockerfile: &str) -> Option<&str> {
    dockerfile.lines().find_map(|line| line.strip_prefix("FROM "))
}

fn plan_of_peer(expected: &Value) -> Value {
    let operations: Vec<Value> = expected["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| match operation["op"].as_str() {
            Some("build") => {
                let options = &operation["sdk_options"];
                let or =
                    |value: &Value, default: Value| if value.is_null() { default } else { value.clone() };
                json!({
                    "op": "build",
                    "image": operation["image"],
                    "push": operation["push"],
                    "context_root": operation["context_root"],
                    "dockerignore": operation["dockerignore"],
                    "files": operation["files"],
                    "from": from(operation["dockerfile"].as_str().unwrap()),
                    "pull": options["pull"].as_bool().unwrap_or(false),
                    "options": json!({
                        "build_args": or(&options["buildargs"], json!({})),
                        "labels": or(&options["labels"], json!({})),
                        "no_cache": or(&options["nocache"], json!(false)),
                        "cache_from": or(&options["cachefrom"], json!([])),
                        "shm_size": or(&options["shmsize"], json!(0)),
                    }),
                })
            }
            _ => operation.clone(),
        })
        .collect();
    json!({
        "operations": operations,
        "image": repository_of(expected["image"].as_str().unwrap()),
        "requirements": expected["requirements"],
    })
}

fn images_of_peer(expected: &Value) -> Value {
    let groups = expected["same_checksum"].as_array().unwrap().iter().map(texts);
    let images = expected["images"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, image)| {
            let mut image = image.clone();
            image["image"] = repository_of(image["image"].as_str().unwrap()).into();
            (key.clone(), image)
        });
    json!({
        "same_checksum": sets(groups),
        "built": texts(&expected["built"]).into_iter().collect::<BTreeSet<_>>(),
        "images": images.collect::<BTreeMap<_, _>>(),
    })
}

/// What ZenML's Dockerfile installs and sets at its end; the quotes around a value are left out.
fn requirements_and_variables(dockerfile: &Value) -> Value {
    let text = dockerfile.as_str().unwrap();
    let runtime = text.split("RUN chmod -R a+rw .").nth(1).unwrap_or_default();
    let variables: Vec<String> = runtime
        .lines()
        .filter_map(|line| line.strip_prefix("ENV "))
        .filter_map(|line| line.split_once("='"))
        .map(|(name, value)| format!("{name}={}", value.strip_suffix('\'').unwrap_or(value)))
        .collect();
    let requirements = text.contains("-r .zenml_user_requirements").then_some("numpy==5");
    json!([requirements, variables])
}

/// Replaces in the texts of a value, as settings do.
fn substituted(value: Value, lookup: &dyn Fn(&str) -> Option<String>) -> Option<Value> {
    Some(match value {
        Value::String(text) => wharf_pipeline::settings::substitute_text(&text, lookup)
            .ok()?
            .into(),
        Value::Array(items) => items
            .into_iter()
            .map(|item| substituted(item, lookup))
            .collect::<Option<_>>()?,
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| Some((key, substituted(value, lookup)?)))
                .collect::<Option<_>>()?,
        ),
        other => other,
    })
}

#[test]
fn decisions_are_those_of_zenml_except_where_it_is_wrong() {
    let Cases { cases } = serde_json::from_str(include_str!("decisions.json")).unwrap();
    let answers: Vec<Answer> = cases
        .iter()
        .map(|case| (case.name.clone(), case.answer(), case.peer()))
        .collect();
    compare("decisions", answers);
}

#[test]
fn a_file_gives_the_requests_that_its_settings_give() {
    let text = "settings: {docker: {user: u}}\nsteps: {a: , b: {settings: {docker: {user: v}}}}\n";
    let file = PipelineFile::parse(text, "p.yaml".as_ref(), &|_| None).unwrap();
    let keys: Vec<String> = file.images().iter().map(ImageRequest::full_key).collect();
    assert_eq!(keys, ["orchestrator", "b.orchestrator"]);
}
