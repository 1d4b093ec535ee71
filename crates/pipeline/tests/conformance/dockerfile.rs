//! Docker settings and the image they make.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wharf_pipeline::decide::ExtraRequirements;
use wharf_pipeline::dockerfile::NEWLINE_ARGUMENT;
use wharf_pipeline::plan::{CodeRepositoryUse, ImagePlan, StackNeeds};
use wharf_pipeline::{DockerSettings, ImageRequest, PipelinePlan, PlanInput};

use crate::compare::{Answer, compare};
use crate::disk::Disk;
use crate::world::{builder, registry, repository, texts};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// As it is written, so that numbers stay what they are.
    settings: Box<RawValue>,
    stack_requirements: Vec<String>,
    stack_apt_packages: Vec<String>,
    source_root_files: Value,
    entrypoint: Option<String>,
    tools: BTreeMap<String, String>,
    extra_files: BTreeMap<String, String>,
    extra_requirements_files: Value,
    code_repository_requirements: Option<Vec<String>>,
    expected: Value,
}

impl Case {
    fn answer(&self) -> Value {
        // Variables were not replaced where this was observed.
        let unchanged = |name: &str| Some(format!("${{{name}}}"));
        let Ok((settings, _)) = DockerSettings::from_yaml(self.settings.get(), &unchanged) else {
            return json!({"error": "settings"});
        };
        let disk = Disk::new(&self.source_root_files, &self.tools);
        let repository = self.code_repository_requirements.clone().map(repository);
        let registry = registry("registry.example.com", None);
        let cache_mounts = settings.python_package_installer_cache_mount.is_some();
        let input = PlanInput {
            pipeline: "p",
            images: vec![self.request(settings)],
            surroundings: &disk.surroundings(repository.unwrap_or_default()),
            stack: StackNeeds {
                requirements: self.stack_requirements.clone(),
                apt_packages: self.stack_apt_packages.clone(),
            },
            registry: Some(&registry),
            builder: builder(cache_mounts, false),
            default_parent: None,
            code_repository: CodeRepositoryUse::Auto,
        };
        match PipelinePlan::new(&input) {
            Ok(plan) => disk.with_root_hidden(&image(&plan.images[0], disk.root())),
            Err(_) => json!({"error": "build"}),
        }
    }

    fn request(&self, settings: DockerSettings) -> ImageRequest {
        let mut request = ImageRequest::new("orchestrator", None, Arc::new(settings))
            .with_entrypoint_line(self.entrypoint.as_deref().unwrap_or_default())
            .unwrap();
        let files = self.extra_files.iter();
        request.extra_files = files
            .map(|(name, text)| (name.clone(), text.clone().into_bytes()))
            .collect();
        request.extra_requirements = extra_requirements(&self.extra_requirements_files);
        request
    }

    /// ZenML's answer in the form of wharf's.
    fn peer(&self) -> Value {
        let expected = &self.expected;
        if let Some(stage) = expected["error"]["stage"].as_str() {
            return json!({"error": stage});
        }
        let dockerfile = expected["dockerfile"].as_str().unwrap_or_default();
        let repository = expected["image"]
            .as_str()
            .and_then(|image| image.split('@').next());
        json!({
            "parent_image": expected["parent_image"],
            "requirements_files": expected["requirements_files"],
            "requirements": expected["requirements"],
            "apt_packages": expected["apt_packages"],
            "include_files": expected["include_files"],
            "dockerignore": expected["dockerignore"],
            "repository": repository,
            "installs": installs(dockerfile),
            "build_args": arguments(dockerfile),
            "user": after(dockerfile, "USER "),
            "entrypoint": after(dockerfile, "ENTRYPOINT ").and_then(shlex::split).unwrap_or_default(),
        })
    }
}

pub(crate) fn extra_requirements(files: &Value) -> Vec<ExtraRequirements> {
    let files = files.as_object().into_iter().flatten();
    files
        .map(|(name, requirements)| ExtraRequirements {
            name: name.clone(),
            requirements: texts(requirements),
        })
        .collect()
}

fn image(plan: &ImagePlan, root: &Path) -> Value {
    let files = plan.requirements_files.iter();
    let dockerfile = plan.dockerfile.as_deref().unwrap_or_default();
    let ignore_file = plan
        .instructions
        .as_ref()
        .and_then(|build| build.ignore_file.clone());
    let entrypoint = after(dockerfile, "ENTRYPOINT ").unwrap_or("[]");
    json!({
        "parent_image": plan.parent_image,
        "requirements_files": files.map(|file| json!([file.name, file.content])).collect::<Vec<_>>(),
        "requirements": plan.requirements(),
        "apt_packages": plan.apt_packages,
        "include_files": plan.include_files,
        "dockerignore": ignore_file.map(|path| path.strip_prefix(root).unwrap().to_owned()),
        "repository": plan.image.split(':').next(),
        "installs": installs(dockerfile),
        "build_args": arguments(dockerfile),
        "user": after(dockerfile, "USER "),
        "entrypoint": serde_json::from_str::<Value>(entrypoint).unwrap(),
    })
}

/// The calls of the installer that read a requirements file: mount and words. Words that are no words are null.
fn installs(dockerfile: &str) -> Vec<Value> {
    let lines = dockerfile.lines().filter_map(|line| line.strip_prefix("RUN "));
    let calls = lines.filter(|line| line.contains("pip install ") && line.contains(" -r "));
    calls
        .map(|line| {
            let (mount, call) = match line
                .strip_prefix("--mount=")
                .and_then(|rest| rest.split_once(' '))
            {
                Some((mount, call)) => (Some(mount), call),
                None => (None, line),
            };
            // Where uv installs to is wharf's own.
            let call = call.replace("UV_PYTHON=\"${UV_PYTHON:-$(command -v python3)}\" ", "");
            json!([mount, shlex::split(&call)])
        })
        .collect()
}

/// Build arguments of the user's.
fn arguments(dockerfile: &str) -> Vec<&str> {
    let names = dockerfile.lines().filter_map(|line| line.strip_prefix("ARG "));
    names
        .filter(|name| !name.contains('=') && *name != NEWLINE_ARGUMENT)
        .collect()
}

fn after<'a>(dockerfile: &'a str, instruction: &str) -> Option<&'a str> {
    let lines = dockerfile.lines().rev();
    lines.filter_map(|line| line.strip_prefix(instruction)).next()
}

#[test]
fn images_are_those_of_zenml_except_where_it_is_wrong() {
    let Cases { cases } = serde_json::from_str(include_str!("dockerfile.json")).unwrap();
    let answers: Vec<Answer> = cases
        .iter()
        .map(|case| (case.name.clone(), case.answer(), case.peer()))
        .collect();
    compare("dockerfile", answers);
}
