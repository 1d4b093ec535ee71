use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::json;
use wharf_core::registry::{FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{Error, ErrorKind};

use super::*;
use crate::decide::ORCHESTRATOR_KEY;
use crate::inputs::{
    ActivePython, CodeRepositories, DetectedRequirements, EnvironmentExport, LocalEnvironment,
    LocalRepository, RepositoryDifference, RequirementsSource, RequirementsText,
};
use crate::settings::{DockerSettings, PipelineFile};

/// Answers from memory, and writes down every question.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub(crate) files: BTreeMap<&'static str, &'static str>,
    pub(crate) zenml: Option<String>,
    pub(crate) repository: LocalRepository,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Outside {
    fn ask(&self, question: impl Into<String>) {
        self.asked.lock().unwrap().push(question.into());
    }

    fn file(&self, path: &Path) -> Result<String> {
        let name = path.strip_prefix("/root").unwrap().to_str().unwrap();
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no {name}"));
        self.files
            .get(name)
            .map(|text| (*text).to_owned())
            .ok_or_else(missing)
    }
}

impl LocalEnvironment for Outside {
    fn freeze(&self, how: &EnvironmentExport) -> Result<RequirementsText> {
        self.ask(format!("{how:?}"));
        Ok(RequirementsText::plain("frozen==1\n"))
    }

    fn python(&self) -> Result<Option<ActivePython>> {
        self.ask("python");
        Ok(Some(ActivePython {
            major: 3,
            minor: 12,
            zenml: self.zenml.clone(),
        }))
    }
}

impl RequirementsSource for Outside {
    fn read(&self, path: &Path) -> Result<RequirementsText> {
        self.ask(format!("read {}", path.display()));
        self.file(path).map(RequirementsText::plain)
    }

    fn resolve(&self, requirements: &[String], _: &Path) -> Result<RequirementsText> {
        self.ask("resolve");
        Ok(RequirementsText::plain(requirements.join("\n")))
    }

    fn export(&self, path: &Path, _: Option<&[String]>) -> Result<RequirementsText> {
        self.ask(format!("export {}", path.display()));
        Ok(RequirementsText::plain("exported\n"))
    }

    fn detect(&self, root: &Path) -> Result<Option<DetectedRequirements>> {
        self.ask("detect");
        let found = self.files.contains_key("requirements.txt");
        Ok(found.then(|| DetectedRequirements::File(root.join("requirements.txt"))))
    }

    fn text(&self, path: &Path) -> Result<String> {
        self.file(path)
    }
}

impl CodeRepositories for Outside {
    fn local(&self, _: &Path) -> Result<LocalRepository> {
        self.ask("repository");
        Ok(self.repository.clone())
    }
}

fn around(outside: &Arc<Outside>) -> Surroundings {
    Surroundings {
        source_root: PathBuf::from("/root"),
        environment: outside.clone(),
        files: outside.clone(),
        repositories: outside.clone(),
    }
}

fn registry() -> FlavoredRegistry {
    let config = RegistryConfig {
        uri: "r.example/ml".into(),
        ..RegistryConfig::default()
    };
    FlavoredRegistry::new(RegistryFlavor::Default, config).unwrap()
}

fn file(text: &str) -> PipelineFile {
    PipelineFile::parse(text, Path::new("train.yaml"), &|_| None).unwrap()
}

pub(crate) fn plan_with(
    outside: &Arc<Outside>,
    text: &str,
    edit: impl FnOnce(&mut PlanInput<'_>),
) -> Result<PipelinePlan> {
    let (file, registry, surroundings) = (file(text), registry(), around(outside));
    let mut input = PlanInput {
        pipeline: &file.name,
        images: file.images(),
        surroundings: &surroundings,
        stack: StackNeeds::default(),
        registry: Some(&registry),
        builder: BuilderFacts::default(),
        default_parent: None,
        code_repository: CodeRepositoryUse::Auto,
    };
    edit(&mut input);
    PipelinePlan::new(&input)
}

fn plan(text: &str) -> PipelinePlan {
    plan_with(&Arc::default(), text, |_| {}).unwrap()
}

#[test]
fn the_json_is_that_of_the_command() {
    let plan = plan(
        "
settings: {docker: {requirements: [numpy], environment: {A: 1}, runtime_environment: {B: 2}, apt_packages: [git]}}
steps: {a: , b: }
",
    );
    let mut json = serde_json::to_value(&plan).unwrap();
    let image = &mut json["images"][0];
    assert_eq!(image["checksum"].as_str().unwrap().len(), 64);
    image["checksum"] = "sum".into();
    image["dockerfile"] = image["dockerfile"].as_str().unwrap().lines().next().into();
    let keys: Vec<&String> = image.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "keys",
            "image",
            "action",
            "reason",
            "parent_image",
            "dockerfile",
            "requirements_files",
            "apt_packages",
            "environment",
            "include_files",
            "download_code",
            "checksum",
            "steps"
        ]
    );
    assert_eq!(
        json,
        json!({"pipeline": "train", "images": [{
            "keys": ["orchestrator"],
            "image": "r.example/ml/zenml:train-orchestrator",
            "action": "build",
            "reason": "adds stack requirements, requirements, apt packages, environment, runtime environment",
            "parent_image": "python:3.12-slim",
            "dockerfile": "FROM python:3.12-slim",
            "requirements_files": [{"name": ".zenml_user_requirements", "content": "numpy"}],
            "apt_packages": ["git"],
            "environment": {"A": "1", "B": "2"},
            "include_files": false,
            "download_code": "artifact-store",
            "checksum": "sum",
            "steps": ["a", "b"],
        }]})
    );
}

#[test]
fn three_hundred_steps_cost_what_their_forty_settings_cost() {
    let mut text = "settings: {docker: {replicate_local_python_environment: true}}\nsteps:\n".to_owned();
    for step in 0..300 {
        let number = step % 40;
        text += &format!("  s{step}: {{settings: {{docker: {{requirements: ['p=={number}']}}}}}}\n");
    }
    let outside = Arc::<Outside>::default();
    let plan = plan_with(&outside, &text, |_| {}).unwrap();
    let effort = PlanEffort {
        gathered: 40,
        written: 40,
        read: 0,
    };
    assert_eq!((plan.effort, plan.images.len()), (effort, 40));
    assert_eq!(plan.image("s299.orchestrator").unwrap().steps.len(), 8);
    let asked = outside.asked.lock().unwrap();
    assert_eq!(*asked, ["repository", "PipFreeze", "python"]);
}

#[test]
fn an_empty_list_of_requirements_hides_no_file_of_them() {
    let outside = Arc::new(Outside {
        files: [("requirements.txt", "found==1")].into(),
        ..Outside::default()
    });
    let content = |own: &str| {
        let automatic = "disable_automatic_requirements_detection: false";
        let text = format!("settings: {{docker: {{requirements: {own}, {automatic}}}}}\n");
        let plan = plan_with(&outside, &text, |_| {}).unwrap();
        plan.images[0].requirements_files[0].content.clone()
    };
    assert_eq!(content("[]"), "found==1");
    assert_eq!(content("[own==1]"), "own==1");
}

#[test]
fn the_order_of_steps_changes_no_image() {
    let steps = [
        "a: {settings: {docker: {requirements: [x]}}}",
        "b: {settings: {docker: {requirements: [x], prevent_build_reuse: true}}}",
        "c: {settings: {docker: {user: u}}}",
        "d: ",
    ];
    let images = |order: [usize; 4]| {
        let steps = order.map(|at| steps[at]).join(", ");
        let mut images: Vec<_> = plan(&format!("steps: {{{steps}}}"))
            .images
            .into_iter()
            .map(|image| (image.image, image.checksum, image.dockerfile, image.prevent_reuse))
            .collect();
        images.sort();
        images
    };
    let first = images([0, 1, 2, 3]);
    assert_eq!(first.len(), 3);
    assert_eq!(first[0].0, "r.example/ml/zenml:train-a-orchestrator");
    assert!(first[0].3);
    for order in [[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]] {
        assert_eq!(images(order), first);
    }
}

#[test]
fn different_images_never_have_the_same_name() {
    let plan = plan(
        "
settings: {docker: {image_tag: v1}}
steps: {a: , b: {settings: {docker: {user: u}}}, c: {settings: {docker: {image_tag: null, user: v}}},
  'c!': {settings: {docker: {image_tag: null, user: w}}}}
",
    );
    let names: Vec<&str> = plan
        .images
        .iter()
        .map(|image| image.image.rsplit(':').next().unwrap())
        .collect();
    assert_eq!((names[0], names[2]), ("v1", "train-c-orchestrator"));
    assert!(names[1].starts_with("v1-") && names[1].len() == 11, "{names:?}");
    assert!(names[3].starts_with("train-c-orchestrator-"), "{names:?}");
}

#[test]
fn images_on_one_dockerfile_share_it() {
    let outside = Arc::new(Outside {
        files: [("Dockerfile.base", "FROM x\n")].into(),
        ..Outside::default()
    });
    let text = "
settings: {docker: {dockerfile: Dockerfile.base, build_context_root: base}}
steps: {a: {settings: {docker: {user: u}}}, b: {settings: {docker: {user: v}}}}
";
    let plan = plan_with(&outside, text, |_| {}).unwrap();
    let names: Vec<&str> = plan.images.iter().map(|image| image.image.as_str()).collect();
    assert_eq!(
        names,
        [
            "r.example/ml/zenml:train-a-orchestrator-intermediate-build",
            "r.example/ml/zenml:train-a-orchestrator",
            "r.example/ml/zenml:train-b-orchestrator"
        ]
    );
    let parent = &plan.images[0];
    assert_eq!(
        (parent.keys.len(), &parent.steps),
        (0, &vec!["a".to_owned(), "b".to_owned()])
    );
    assert!(parent.push && plan.images[1..].iter().all(|image| image.built_on == Some(0)));
    assert_eq!(plan.images[2].parent_image.as_deref(), Some(names[0]));

    let local = plan_with(&outside, text, |input| input.builder.builds_locally = true).unwrap();
    assert_eq!(
        local.images[0].image,
        "zenml:train-a-orchestrator-intermediate-build"
    );
    assert!(!local.images[0].push && local.images[1].push);
    assert_eq!(local.images[0].checksum, parent.checksum);
}

#[test]
fn a_context_has_the_code_only_when_it_is_included() {
    let included = "settings: {docker: {local_project_install_command: pip install ., requirements: [a]}}";
    let plan_included = plan(included);
    let build = plan_included.images[0].instructions.as_ref().unwrap();
    assert_eq!(build.context_root.as_deref(), Some(Path::new("/root")));
    assert!(plan_included.images[0].include_files && plan_included.code.requires_included_code);
    let plan = plan("settings: {docker: {requirements: [a], environment: {X: \"1\\n2\"}}}");
    let build = plan.images[0].instructions.as_ref().unwrap();
    assert_eq!(build.context_root, None);
    assert_eq!(build.options.build_args["WHARF_NEWLINE"], "\n");
    let context = build.context().unwrap();
    let files = context.files().unwrap();
    let names: Vec<String> = files.iter().map(wharf_core::ContextEntry::display_name).collect();
    assert_eq!(names, [".zenml_user_requirements"]);
    assert_eq!(
        context.dockerfile().unwrap().content,
        plan.images[0].dockerfile.as_ref().unwrap().as_bytes()
    );
}

#[test]
fn a_step_that_needs_the_repository_is_named_with_what_keeps_it_from_it() {
    let outside = Arc::new(Outside {
        repository: LocalRepository::Unusable(RepositoryDifference::Unpushed("abc".into())),
        ..Outside::default()
    });
    let text = "
steps: {a: , b: {settings: {docker: {allow_download_from_artifact_store: off, allow_including_files_in_images: off}}}}
";
    let error = plan_with(&outside, text, |_| {}).unwrap_err();
    assert!(error.message().contains("the step `b`") && error.message().contains("not pushed"));
    let error = plan_with(&outside, "{}", |input| {
        input.code_repository = CodeRepositoryUse::On
    })
    .unwrap_err();
    assert!(error.message().contains("not pushed"));
    let off = plan_with(&outside, "{}", |input| {
        input.code_repository = CodeRepositoryUse::Off
    })
    .unwrap();
    assert_eq!(off.warnings, [""; 0]);
    let auto = plan_with(&outside, "{}", |_| {}).unwrap();
    assert_eq!(
        auto.warnings,
        ["The code is not fetched from its repository: the commit abc is not pushed."]
    );
}

#[test]
fn the_default_parent_follows_zenml_and_can_be_configured() {
    let outside = Arc::new(Outside {
        zenml: Some("0.98.0".into()),
        ..Outside::default()
    });
    let plan = plan_with(&outside, "{}", |_| {}).unwrap();
    assert_eq!(
        plan.images[0].parent_image.as_deref(),
        Some("zenmldocker/zenml:0.98.0-py3.12")
    );
    assert!(
        plan.images[0]
            .dockerfile
            .as_ref()
            .unwrap()
            .contains("ZENML_CONFIG_PATH")
    );
    let plan = plan_with(&outside, "{}", |input| {
        input.default_parent = Some("base:1".into())
    })
    .unwrap();
    assert_eq!(plan.images[0].parent_image.as_deref(), Some("base:1"));
}

#[test]
fn parents_whose_names_move_are_pulled_like_the_digests_they_are_known_by() {
    let pull = |zenml: Option<&str>| {
        let zenml = zenml.map(str::to_owned);
        let outside = Arc::new(Outside {
            zenml,
            ..Outside::default()
        });
        let plan = plan_with(&outside, "settings: {docker: {user: u}}", |_| {}).unwrap();
        plan.images[0].instructions.as_ref().unwrap().pull
    };
    assert_eq!(pull(Some("0.98.0")), PullParent::No);
    assert_eq!(pull(None), PullParent::UnlessLocal);
}

#[test]
fn one_key_is_one_image() {
    let error = plan_with(&Arc::default(), "{}", |input| {
        let other = DockerSettings {
            user: Some("u".into()),
            ..DockerSettings::default()
        };
        input
            .images
            .push(ImageRequest::new(ORCHESTRATOR_KEY, None, Arc::new(other)));
    })
    .unwrap_err();
    assert!(error.message().contains("under the key `orchestrator`"));
}

#[test]
fn an_error_names_the_image_it_is_about() {
    let text = "steps: {a: {settings: {docker: {install_stack_requirements: false}}}}";
    let error = plan_with(&Arc::default(), text, |_| {}).unwrap_err();
    assert!(
        error
            .message()
            .contains("no parent image that could be used as it is")
    );
    assert!(error.context().any(|fact| fact == ("image", "a.orchestrator")));
}

#[test]
fn a_file_that_is_missing_is_named_with_its_attribute_and_root() {
    for (attribute, value) in [("requirements", "none.txt"), ("dockerfile", "docker/none")] {
        let text = format!("steps: {{a: {{settings: {{docker: {{{attribute}: {value}}}}}}}}}");
        let error = plan_with(&Arc::default(), &text, |_| {}).unwrap_err();
        assert!(error.context().any(|fact| fact == ("attribute", attribute)));
        assert!(
            error.hint().unwrap().contains("source root, /root."),
            "{}",
            error.report()
        );
    }
}

#[test]
fn everything_that_cannot_be_gathered_is_told_at_once() {
    let text = "
steps:
  a: {settings: {docker: {requirements: gone.txt}}}
  b: {settings: {docker: {requirements: lost.txt}}}
  c: {settings: {docker: {requirements: lost.txt, user: u}}}
  d: {settings: {docker: {requirements: [x]}}}
";
    let error = plan_with(&Arc::default(), text, |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for part in [
        "2 things keep images from being planned",
        "\n  a.orchestrator: there is no gone.txt",
        "\n  b.orchestrator, c.orchestrator: there is no lost.txt",
    ] {
        assert!(error.message().contains(part), "{part} in {error}");
    }
}

#[test]
fn a_login_in_the_environment_is_warned_of_once_and_not_shown() {
    let plan = plan(
        "
settings: {docker: {environment: {PIP_EXTRA_INDEX_URL: 'https://me:planted@pypi.example/simple', B: 'https://x/@'}}}
steps: {a: , b: {settings: {docker: {user: u}}}}
",
    );
    assert_eq!(plan.warnings.len(), 1);
    assert!(plan.warnings[0].contains("`PIP_EXTRA_INDEX_URL`") && !plan.warnings[0].contains("planted"));
}

#[test]
fn the_table_has_a_row_for_each_image() {
    let plan = plan(
        "
settings: {docker: {install_stack_requirements: false, parent_image: base}}
steps: {a: , b: , c: , d: , e: {settings: {docker: {skip_build: true}}}}
",
    );
    assert_eq!(
        plan.to_string(),
        "\
ACTION  IMAGE                                  STEPS            WHY
tag     r.example/ml/zenml:train-orchestrator  a, b and 2 more  nothing is added to the parent image
none    base                                   e                `skip_build` is set
"
    );
}
