//! Attributes that ZenML gave up: they work, and warn.

use super::node::{Key, Node, Value};
use super::problem::Findings;

/// Attributes that are accepted and do something else, or nothing, today.
pub(super) const DEPRECATED: [(&str, &str); 6] = [
    ("copy_files", "it has no effect; use the `allow_…` attributes"),
    ("copy_global_config", "it has no effect"),
    (
        "required_hub_plugins",
        "it has no effect; there is no hub any more",
    ),
    (
        "source_files",
        "use `allow_download_from_code_repository`, `allow_download_from_artifact_store` and \
         `allow_including_files_in_images`",
    ),
    ("build_options", "use `parent_image_build_config.build_options`"),
    (
        "dockerignore",
        "use `build_config.dockerignore` or `parent_image_build_config.dockerignore`",
    ),
];

/// The three flags that took the place of `source_files`: code repository, artifact store, image.
const FLAGS: [&str; 3] = [
    "allow_download_from_code_repository",
    "allow_download_from_artifact_store",
    "allow_including_files_in_images",
];

/// Warns about deprecated attributes, and puts what `source_files` says into the attributes of today. This is
/// done before a step's settings are laid over the pipeline's.
pub(super) fn translate(entries: &mut Vec<(Key, Node)>, attribute: &str, findings: &mut Findings) {
    for (key, node) in entries.iter() {
        let Some((name, instead)) = DEPRECATED.iter().find(|(name, _)| *name == key.name) else {
            continue;
        };
        if node.value != Value::Null {
            let message = format!("deprecated: {instead}");
            findings.warning(key.line, &format!("{attribute}.{name}"), message);
        }
    }
    translate_source_files(entries, attribute, findings);
}

fn translate_source_files(entries: &mut Vec<(Key, Node)>, attribute: &str, findings: &mut Findings) {
    let Some(position) = entries.iter().position(|(key, _)| key.name == "source_files") else {
        return;
    };
    let (key, node) = entries.remove(position);
    if matches!(&node.value, Value::Null) || matches!(&node.value, Value::Text(text) if text.is_empty()) {
        return;
    }
    let place = format!("{attribute}.source_files");
    if entries.iter().any(|(key, _)| FLAGS.contains(&key.name.as_str())) {
        findings.warning(
            key.line,
            &place,
            "ignored, because an attribute is given that replaces it",
        );
        return;
    }
    let allowed = match &node.value {
        Value::Text(word) => match word.as_str() {
            "download" => [true, false, false],
            "include" => [false, false, true],
            "download_or_include" => [true, false, true],
            "ignore" => [false, false, false],
            _ => return refuse(&node, &place, findings),
        },
        _ => return refuse(&node, &place, findings),
    };
    for (name, value) in FLAGS.into_iter().zip(allowed) {
        let key = Key {
            name: name.into(),
            line: key.line,
        };
        let line = node.line;
        let value = Value::Bool(value);
        entries.push((key, Node { line, value }));
    }
}

fn refuse(node: &Node, place: &str, findings: &mut Findings) {
    let message = format!(
        "expected `download`, `include`, `download_or_include` or `ignore`, found {}",
        node.found()
    );
    findings.problem(node.line, place, message);
}
