use super::*;
use crate::inputs::EnvironmentExport;
use crate::settings::{PythonPackageInstaller, Requirements};

fn none(_: &str) -> Option<String> {
    None
}

fn parse(text: &str) -> PipelineFile {
    PipelineFile::parse(text, Path::new("dir/train.yaml"), &none).unwrap()
}

fn refused(text: &str) -> String {
    let error = PipelineFile::parse(text, Path::new("p.yaml"), &none).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    error.message().to_owned()
}

#[test]
fn a_step_overrides_the_pipeline_attribute_by_attribute() {
    let file = parse(
        "
settings:
  docker:
    parent_image: python:3.11-slim
    apt_packages: [git, curl]
    environment: {A: 1, B: 2}
steps:
  load:
  train:
    enable_cache: false
    settings:
      resources: {gpu_count: 1}
      docker:
        apt_packages: []
        environment: {C: 3}
",
    );
    assert_eq!(file.name, "train");
    let names: Vec<&str> = file.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["load", "train"]);
    assert!(Arc::ptr_eq(&file.steps[0].settings, &file.settings));
    let train = &file.steps[1].settings;
    assert_eq!(train.parent_image.as_deref(), Some("python:3.11-slim"));
    assert!(train.apt_packages.is_empty());
    assert_eq!(train.environment.keys().collect::<Vec<_>>(), ["C"]);
    assert_eq!(file.settings.environment["B"], "2");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line() {
    let message = refused(
        "
settings:
  docker:
    requirement: [a]
    apt_packages: git
    user: a b
    environment: {A: [1], 'b c': x}
steps:
  train:
    setings: {}
    settings:
      docker: {install_stack_requirements: maybe, requirements: 3}
",
    );
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    assert_eq!(lines[0], "8 settings are wrong");
    for (line, expected) in lines[1..].iter().zip([
        "p.yaml:4: `settings.docker.requirement`: there is no such attribute, did you mean `requirements`?",
        "p.yaml:5: `settings.docker.apt_packages`: expected a list of texts, found the text `git`",
        "p.yaml:6: `settings.docker.user`: `a b` is not a user",
        "p.yaml:7: `settings.docker.environment.A`: expected a text, a number or a boolean",
        "p.yaml:7: `settings.docker.environment.b c`: the name of a variable",
        "p.yaml:10: `steps.train.setings`: a run configuration has no such key, did you mean `settings`?",
        "p.yaml:12: `steps.train.settings.docker.install_stack_requirements`: expected true or false, found the text \
         `maybe`",
        "p.yaml:12: `steps.train.settings.docker.requirements`: expected a list of requirements or the path",
    ]) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
}

#[test]
fn what_a_pipeline_has_wrong_is_not_said_again_for_each_step() {
    let message = refused(
        "
settings: {docker: {skip_build: true}}
steps: {a: , b: {settings: {docker: {user: x}}}, c: {settings: {docker: {user: y}}}}
",
    );
    assert_eq!(
        message,
        "p.yaml:2: `settings.docker.skip_build`: the step is to run in `parent_image` as it is: name that image"
    );
}

#[test]
fn settings_that_only_make_sense_with_each_steps_own_are_no_problem() {
    let file = parse(
        "
settings: {docker: {skip_build: true}}
steps: {a: {settings: {docker: {parent_image: x}}}}
",
    );
    assert!(file.steps[0].settings.skip_build);
}

#[test]
fn variables_are_replaced_in_values_and_a_missing_one_is_named_with_its_step() {
    let text = "
name: ${NAME}
build: null
settings: {docker: {environment: {KEY: 'x-${NAME}'}}}
steps: {s: {parameters: {p: '${UNREAD}'}, settings: {docker: {requirements: ['a==${VERSION}']}}}}
";
    let some = |name: &str| (name != "UNREAD").then(|| name.to_lowercase());
    let file = PipelineFile::parse(text, Path::new("p"), &some).unwrap();
    assert_eq!(
        (file.name.as_str(), file.settings.environment["KEY"].as_str()),
        ("name", "x-name")
    );
    assert_eq!(
        file.steps[0].settings.requirements,
        Some(Requirements::List(vec!["a==version".into()]))
    );
    let error =
        PipelineFile::parse(text, Path::new("p"), &|name| (name == "NAME").then(String::new)).unwrap_err();
    assert_eq!(
        error.message(),
        "p:5: `steps.s.settings.docker.requirements`: the environment variable `VERSION` is not set"
    );
}

#[test]
fn deprecated_attributes_work_and_warn() {
    let file = parse(
        "
settings:
  docker:
    source_files: download_or_include
    copy_files: true
    dockerignore: x.ignore
    build_options: {buildargs: {A: 1}}
",
    );
    let settings = &file.settings;
    assert!(settings.allow_including_files_in_images && settings.allow_download_from_code_repository);
    assert!(!settings.allow_download_from_artifact_store);
    let parent = settings.parent_image_build_config.as_ref().unwrap();
    assert_eq!(parent.options().unwrap().build_args["A"], "1");
    assert_eq!(parent.dockerignore.as_deref(), Some("x.ignore"));
    let config = settings.build_config.as_ref().unwrap();
    assert_eq!(config.dockerignore.as_deref(), Some("x.ignore"));
    assert_eq!(file.warnings.len(), 4);
    assert!(
        file.warnings[0].starts_with("dir/train.yaml:4: `settings.docker.source_files`: deprecated: use")
    );
}

#[test]
fn every_form_of_a_value_is_understood() {
    let (settings, _) = DockerSettings::from_yaml(
        "
python_package_installer: pip
python_package_installer_args: {z: 1.50, a: null, no-deps: true, pre: false, m: q}
replicate_local_python_environment: 'true'
pyproject_export_command: []
requirements: reqs.txt
parent_image: ''
environment: {A: true, B: null, C: -0.0, d: 'é'}
install_stack_requirements: 'off'
build_config: {build_options: {platform: linux/amd64}}
",
        &none,
    )
    .unwrap();
    assert_eq!(settings.python_package_installer, PythonPackageInstaller::Pip);
    let arguments: Vec<(&str, Option<&str>)> = settings
        .python_package_installer_args
        .iter()
        .map(|argument| (argument.name.as_str(), argument.value.as_deref()))
        .collect();
    assert_eq!(
        arguments,
        [
            ("z", Some("1.50")),
            ("a", None),
            ("no-deps", None),
            ("m", Some("q"))
        ]
    );
    assert_eq!(
        settings.replicate_local_python_environment,
        Some(EnvironmentExport::PipFreeze)
    );
    assert_eq!(settings.pyproject_export_command, None);
    assert_eq!(settings.requirements, Some(Requirements::File("reqs.txt".into())));
    assert_eq!(settings.parent_image, None);
    let values: Vec<&str> = settings.environment.values().map(String::as_str).collect();
    assert_eq!(values, ["True", "None", "-0.0", "é"]);
    assert!(!settings.install_stack_requirements);
}

#[test]
fn the_beginning_of_a_build_s_id_may_look_like_a_number() {
    for id in ["123456", "12e456", "1e10", "0x10", "7f3a"] {
        let file = parse(&format!("build: {id}\nsteps: {{a: }}\n"));
        assert_eq!(file.build.as_deref(), Some(id));
    }
}

#[test]
fn a_file_without_steps_or_with_nothing_is_a_pipeline() {
    assert!(parse("").steps.is_empty());
    assert!(parse("steps:\n").steps.is_empty());
    assert!(refused("- a").contains("expected a mapping"));
}

#[test]
fn integrations_and_repositories_are_checked_where_they_stand() {
    let text = "settings:\n  docker:\n    required_integrations: [sklern]\n    target_repository: My Repo\n";
    let message = refused(text);
    for part in [
        "p.yaml:3: `settings.docker.required_integrations`",
        "did you mean `sklearn`?",
        "p.yaml:4: `settings.docker.target_repository`: `My Repo` is not a repository",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}
