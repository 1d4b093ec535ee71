//! Reads Docker settings from their attributes.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use wharf_core::options::DockerBuildOptions;
use wharf_core::{ImageReference, registry, sanitize_tag};

use super::deprecated::DEPRECATED;
use super::node::{Key, Node, Value};
use super::problem::Findings;
use super::reader::Reader;
use super::{DockerBuildConfig, DockerSettings, InstallerArgument, PythonPackageInstaller, Requirements};
use crate::inputs::EnvironmentExport;
use crate::nearest::suggestion;
use crate::requirements::integration_packages;

/// The attributes, as they are written.
const ATTRIBUTES: [&str; 28] = [
    "parent_image",
    "image_tag",
    "dockerfile",
    "build_context_root",
    "parent_image_build_config",
    "skip_build",
    "prevent_build_reuse",
    "target_repository",
    "python_package_installer",
    "python_package_installer_args",
    "python_package_installer_cache_mount",
    "disable_automatic_requirements_detection",
    "replicate_local_python_environment",
    "pyproject_path",
    "pyproject_export_command",
    "requirements",
    "required_integrations",
    "install_stack_requirements",
    "install_deployment_requirements",
    "local_project_install_command",
    "apt_packages",
    "environment",
    "runtime_environment",
    "user",
    "build_config",
    "allow_including_files_in_images",
    "allow_download_from_code_repository",
    "allow_download_from_artifact_store",
];

/// An attribute with the place of the settings it came from: a step's own, or the pipeline's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) place: &'a str,
    pub(super) key: &'a Key,
    pub(super) node: &'a Node,
}

/// Refuses names that are no attributes, with the nearest one.
pub(super) fn check_names(entries: &[(Key, Node)], place: &str, findings: &mut Findings) {
    let known = || ATTRIBUTES.into_iter().chain(DEPRECATED.map(|(name, _)| name));
    for (key, _) in entries {
        if !known().any(|name| name == key.name) {
            let message = format!("there is no such attribute{}", suggestion(known(), &key.name));
            findings.problem(key.line, &format!("{place}.{}", key.name), message);
        }
    }
}

/// Reads the settings that entries make up. Where the entries are wrong the settings are not to be used.
pub(super) fn docker_settings(entries: &[Entry<'_>], findings: &mut Findings) -> DockerSettings {
    let mut settings = DockerSettings::default();
    let mut deprecated = DockerBuildConfig::default();
    for entry in entries {
        let reader = Reader {
            attribute: format!("{}.{}", entry.place, entry.key.name),
            node: entry.node,
            findings,
        };
        read_attribute(&mut settings, &mut deprecated, &entry.key.name, reader);
    }
    take_deprecated(&mut settings, deprecated);
    check_together(&settings, entries, findings);
    settings
}

fn read_attribute(
    settings: &mut DockerSettings,
    deprecated: &mut DockerBuildConfig,
    name: &str,
    mut reader: Reader<'_>,
) {
    match name {
        "parent_image" => settings.parent_image = reader.checked_text(check_image),
        "image_tag" => settings.image_tag = reader.checked_text(check_tag),
        "dockerfile" => settings.dockerfile = reader.checked_text(check_path),
        "build_context_root" => settings.build_context_root = reader.checked_text(check_path),
        "parent_image_build_config" => settings.parent_image_build_config = build_config(reader),
        "target_repository" => settings.target_repository = reader.checked_text(check_repository),
        "python_package_installer" => {
            settings.python_package_installer = installer(reader).unwrap_or_default();
        }
        "python_package_installer_args" => settings.python_package_installer_args = arguments(reader),
        "python_package_installer_cache_mount" => {
            settings.python_package_installer_cache_mount = reader.checked_text(check_mount);
        }
        "replicate_local_python_environment" => {
            settings.replicate_local_python_environment = replicate(reader);
        }
        "pyproject_path" => settings.pyproject_path = reader.checked_text(check_path),
        "pyproject_export_command" => settings.pyproject_export_command = command(reader),
        "requirements" => settings.requirements = requirements(reader),
        "required_integrations" => settings.required_integrations = integrations(reader),
        "local_project_install_command" => {
            settings.local_project_install_command = reader.checked_text(check_path)
        }
        "apt_packages" => settings.apt_packages = apt_packages(reader),
        "environment" => settings.environment = environment(reader),
        "runtime_environment" => settings.runtime_environment = environment(reader),
        "user" => settings.user = reader.checked_text(check_user),
        "build_config" => settings.build_config = build_config(reader),
        "build_options" => deprecated.build_options = options(&mut reader).unwrap_or_default(),
        "dockerignore" => deprecated.dockerignore = reader.checked_text(check_path),
        "copy_files" | "copy_global_config" => drop(reader.boolean()),
        "required_hub_plugins" => drop(reader.texts()),
        _ => read_flag(settings, name, reader),
    }
}

fn read_flag(settings: &mut DockerSettings, name: &str, reader: Reader<'_>) {
    let flag = match name {
        "skip_build" => &mut settings.skip_build,
        "prevent_build_reuse" => &mut settings.prevent_build_reuse,
        "disable_automatic_requirements_detection" => &mut settings.disable_automatic_requirements_detection,
        "install_stack_requirements" => &mut settings.install_stack_requirements,
        "install_deployment_requirements" => &mut settings.install_deployment_requirements,
        "allow_including_files_in_images" => &mut settings.allow_including_files_in_images,
        "allow_download_from_code_repository" => &mut settings.allow_download_from_code_repository,
        "allow_download_from_artifact_store" => &mut settings.allow_download_from_artifact_store,
        // Names were checked before.
        _ => return,
    };
    if let Some(value) = reader.boolean() {
        *flag = value;
    }
}

/// Options of the build of `dockerfile` and an ignore file for both builds, where nothing newer says otherwise.
fn take_deprecated(settings: &mut DockerSettings, deprecated: DockerBuildConfig) {
    if deprecated == DockerBuildConfig::default() {
        return;
    }
    if let Some(ignore_file) = &deprecated.dockerignore {
        let config = settings.build_config.get_or_insert_default();
        config.dockerignore.get_or_insert_with(|| ignore_file.clone());
    }
    settings.parent_image_build_config.get_or_insert(deprecated);
}

fn check_together(settings: &DockerSettings, entries: &[Entry<'_>], findings: &mut Findings) {
    let mut problem = |name: &str, message: &str| {
        if let Some(entry) = entries.iter().find(|entry| entry.key.name == name) {
            findings.problem(entry.key.line, &format!("{}.{name}", entry.place), message);
        }
    };
    if settings.skip_build && settings.parent_image.is_none() {
        problem(
            "skip_build",
            "the step is to run in `parent_image` as it is: name that image",
        );
    }
    if settings.local_project_install_command.is_some() && !settings.allow_including_files_in_images {
        problem(
            "local_project_install_command",
            "a project can only be installed from files in the image: leave out \
             `allow_including_files_in_images: false`",
        );
    }
}

fn installer(mut reader: Reader<'_>) -> Option<PythonPackageInstaller> {
    match &reader.node.value {
        Value::Text(word) if word == "pip" => Some(PythonPackageInstaller::Pip),
        Value::Text(word) if word == "uv" => Some(PythonPackageInstaller::Uv),
        _ => reader.expected("`uv` or `pip`"),
    }
}

fn replicate(mut reader: Reader<'_>) -> Option<EnvironmentExport> {
    match &reader.node.value {
        Value::Null => None,
        Value::List(_) => reader
            .texts()
            .filter(|words| !words.is_empty())
            .map(EnvironmentExport::Command),
        Value::Text(word) if word == "pip_freeze" => Some(EnvironmentExport::PipFreeze),
        Value::Text(word) if word == "poetry_export" => Some(EnvironmentExport::PoetryExport),
        _ => {
            let mut findings = Findings::default();
            let probe = Reader {
                attribute: String::new(),
                node: reader.node,
                findings: &mut findings,
            };
            match probe.boolean() {
                Some(true) => Some(EnvironmentExport::PipFreeze),
                Some(false) => None,
                None => reader
                    .expected("true, false, `pip_freeze`, `poetry_export` or a list of a command's words"),
            }
        }
    }
}

fn command(reader: Reader<'_>) -> Option<Vec<String>> {
    match &reader.node.value {
        Value::Null => None,
        _ => reader.texts().filter(|words| !words.is_empty()),
    }
}

fn requirements(mut reader: Reader<'_>) -> Option<Requirements> {
    match &reader.node.value {
        Value::Null => None,
        Value::Text(_) => reader.checked_text(check_path).map(Requirements::File),
        Value::List(_) => reader.texts().map(Requirements::List),
        _ => reader.expected("a list of requirements or the path of a file of them"),
    }
}

fn integrations(mut reader: Reader<'_>) -> Vec<String> {
    let names = reader.again().texts().unwrap_or_default();
    match integration_packages(&names) {
        Ok(_) => names,
        Err(error) => reader.problem(error.message()).unwrap_or_default(),
    }
}

fn apt_packages(mut reader: Reader<'_>) -> Vec<String> {
    let packages = reader.again().texts().unwrap_or_default();
    let bad = |package: &&String| package.trim().is_empty() || package.contains(char::is_control);
    if let Some(package) = packages.iter().find(bad) {
        return reader
            .problem(format!("{package:?} is not the name of a package"))
            .unwrap_or_default();
    }
    packages
}

fn arguments(mut reader: Reader<'_>) -> Vec<InstallerArgument> {
    let Value::Map(entries) = &reader.node.value else {
        return reader
            .expected("a mapping of options to values")
            .unwrap_or_default();
    };
    entries
        .iter()
        .filter_map(|(key, node)| argument(&key.name, reader.value(&key.name, node)))
        .collect()
}

/// An option; one that is false is left out.
fn argument(name: &str, mut reader: Reader<'_>) -> Option<InstallerArgument> {
    if name.is_empty() || name.starts_with('-') || name.contains(|c: char| c.is_whitespace() || c == '=') {
        return reader.problem("an option is named without leading dashes, blanks and `=`");
    }
    let value = match &reader.node.value {
        Value::Null | Value::Bool(true) => None,
        Value::Bool(false) => return None,
        _ => Some(reader.scalar()?),
    };
    let name = name.to_owned();
    Some(InstallerArgument { name, value })
}

fn environment(mut reader: Reader<'_>) -> BTreeMap<String, String> {
    let Value::Map(entries) = &reader.node.value else {
        return reader
            .expected("a mapping of names to values")
            .unwrap_or_default();
    };
    entries
        .iter()
        .filter_map(|(key, node)| {
            let mut reader = reader.value(&key.name, node);
            if !is_variable(&key.name) {
                return reader.problem(
                    "the name of a variable has no blanks, quotes, control characters, `=`, `$` and `\\`",
                );
            }
            let value = reader.again().scalar()?;
            match value.contains('\0') {
                true => reader.problem("a value cannot hold a NUL"),
                false => Some((key.name.clone(), value)),
            }
        })
        .collect()
}

fn is_variable(name: &str) -> bool {
    let is_bad =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '=' | '$' | '\\' | '"' | '\'' | '#');
    !name.is_empty() && !name.contains(is_bad)
}

fn build_config(mut reader: Reader<'_>) -> Option<DockerBuildConfig> {
    if reader.node.value == Value::Null {
        return None;
    }
    let mut config = DockerBuildConfig::default();
    let entries: Vec<(Key, Node)> = reader.entries()?.to_vec();
    for (key, node) in &entries {
        match key.name.as_str() {
            "build_options" => {
                config.build_options = options(&mut reader.value(&key.name, node)).unwrap_or_default();
            }
            "dockerignore" => config.dockerignore = reader.value(&key.name, node).checked_text(check_path),
            name => {
                let known = ["build_options", "dockerignore"];
                let message = format!("there is no such attribute{}", suggestion(known, name));
                reader.value(name, node).problem::<()>(message);
            }
        }
    }
    Some(config)
}

fn options(reader: &mut Reader<'_>) -> Option<Map<String, Json>> {
    let Value::Map(_) = &reader.node.value else {
        return reader.expected("a mapping of options to values");
    };
    let Json::Object(map) = reader.node.to_json() else {
        return None;
    };
    match DockerBuildOptions::from_map(&map) {
        Err(error) => reader.problem(error.message()),
        Ok(options) => match options.build_args.keys().find(|name| !is_build_arg(name)) {
            Some(name) => reader.problem(format!(
                "`{name}` is no name for a build argument: it has ASCII letters, digits and underscores"
            )),
            None => Some(map),
        },
    }
}

fn is_build_arg(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn check_image(text: &str) -> Result<(), String> {
    match text.parse::<ImageReference>() {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.hint() {
            Some(hint) => format!("{} ({hint})", error.message()),
            None => error.message().to_owned(),
        }),
    }
}

fn check_repository(text: &str) -> Result<(), String> {
    match registry::target_image(None, Some(text), "latest") {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("`{text}` is not a repository: {}", error.message())),
    }
}

fn check_tag(text: &str) -> Result<(), String> {
    match sanitize_tag(text) {
        Ok(tag) if tag == text => Ok(()),
        Ok(tag) => Err(format!("`{text}` is not a tag; `{tag}` is")),
        Err(error) => Err(error.message().to_owned()),
    }
}

fn check_path(text: &str) -> Result<(), String> {
    match text.contains('\0') {
        true => Err("the text has a NUL in it".into()),
        false => Ok(()),
    }
}

fn check_mount(text: &str) -> Result<(), String> {
    match text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err(
            "the text after `--mount=` has no blanks, for example `type=cache,target=/root/.cache/uv`".into(),
        ),
        false => Ok(()),
    }
}

fn check_user(text: &str) -> Result<(), String> {
    let is_name = |name: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '$' | '\\');
        !name.is_empty()
            && !name.starts_with('-')
            && name.chars().all(|c| is_part(c) && !matches!(c, '$' | '\\'))
    };
    match text.split(':').count() <= 2 && text.split(':').all(is_name) {
        true => Ok(()),
        false => Err(format!(
            "`{text}` is not a user: write a name or a number, and perhaps a group behind a colon"
        )),
    }
}
