//! What changed between an image of a record and the one that would be built now, in words.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::{difference, instruction, requirement_lines};
use crate::content::ContentParts;
use crate::plan::ImagePlan;
use crate::records::{ImageRecord, value_checksum};

/// An image as it would be built now.
#[derive(Debug)]
pub(super) struct Now<'a> {
    pub(super) image: &'a ImagePlan,
    /// Its parts, parents left aside.
    pub(super) parts: ContentParts,
    /// Its parents and what they mean; none: not known.
    pub(super) parents: BTreeMap<String, Option<String>>,
}

/// Every change, each a few words. None at all: building again would give the same.
pub(super) fn changes(before: &ImageRecord, now: &Now<'_>) -> Vec<String> {
    let image = now.image;
    let mut changes = Vec::new();
    let mut add = |what: &str, how: Option<String>| {
        if let Some(how) = how {
            changes.push(format!("{what} changed: {how}"));
        }
    };
    let dockerfiles = (before.dockerfile.as_deref(), image.dockerfile.as_deref());
    add("parent image", parents(before, now));
    let requirements = (before.requirements.as_deref(), image.requirements());
    add(
        "requirements",
        difference(
            &requirement_lines(requirements.0.unwrap_or_default()),
            &requirement_lines(requirements.1.as_deref().unwrap_or_default()),
        ),
    );
    add(
        "apt packages",
        difference(&before.apt_packages, &image.apt_packages),
    );
    if before.content.is_some() {
        let values = image.environment.iter();
        let sums = values
            .map(|(name, value)| (name.clone(), value_checksum(value)))
            .collect();
        add("environment", of_maps(&before.environment, &sums));
    }
    for (what, word) in [("user", "USER"), ("entrypoint", "ENTRYPOINT")] {
        add(what, instruction(word, dockerfiles));
    }
    add("build options", options(before, now));
    changes.extend(contents(before, now));
    if changes.is_empty() {
        changes.extend(otherwise(before, now));
    }
    changes
}

/// What changed when nothing that has a name did.
fn otherwise(before: &ImageRecord, now: &Now<'_>) -> Option<String> {
    let (then, text) = (before.dockerfile.as_deref(), now.image.dockerfile.as_deref());
    if then != text {
        let lines = |text: Option<&str>| text.unwrap_or_default().lines().map(shown).collect::<Vec<_>>();
        let how = difference(&lines(then), &lines(text));
        return Some(format!(
            "Dockerfile changed: {}",
            how.unwrap_or_else(|| "other values".into())
        ));
    }
    let is_old = before.content.is_none();
    (is_old && before.checksum != now.image.checksum).then(|| "settings changed".into())
}

/// Code, added files and platform.
fn contents(before: &ImageRecord, now: &Now<'_>) -> Vec<String> {
    let Some(then) = &before.content else {
        let has_code = before.contains_code || now.image.include_files;
        return has_code
            .then(|| "the record does not say which code was in it".into())
            .into_iter()
            .collect();
    };
    let mut changes = Vec::new();
    match (&then.code, &now.parts.code) {
        (Some(then), Some(now)) if then != now => changes.push("code changed".into()),
        (None, Some(_)) => changes.push("code is included now".into()),
        (Some(_), None) => changes.push("code is included no more".into()),
        _ => {}
    }
    let is_known = |name: &String| {
        now.image
            .requirements_files
            .iter()
            .any(|file| is_of(&file.name, name))
    };
    let differing = of_maps(&then.files, &now.parts.files);
    let names: Vec<&str> = names_of(&then.files, &now.parts.files)
        .into_iter()
        .filter(|name| !is_known(name))
        .map(String::as_str)
        .collect();
    if !names.is_empty() {
        changes.push(format!("added files changed: {}", names.join(", ")));
    } else if differing.is_some() && before.requirements == now.image.requirements() {
        changes.push("files of the requirements changed".into());
    }
    changes.extend(platform(then, &now.parts));
    changes
}

/// Platforms that options say, or that the builder was asked for. Without either it is taken for what it was.
fn platform(then: &ContentParts, now: &ContentParts) -> Option<String> {
    let of = |parts: &ContentParts| match parts.platform.as_str() {
        "" => "the builder's own".to_owned(),
        name => name.to_owned(),
    };
    let is_known = now.is_platform_given || then.is_platform_given || !now.platform.is_empty();
    (is_known && then.platform != now.platform)
        .then(|| format!("platform changed: {} to {}", of(then), of(now)))
}

/// Whether a file is a requirements file, or one that is made of it: `<name>` or `<name>.large`.
fn is_of(requirements: &str, name: &str) -> bool {
    name.starts_with(requirements)
}

/// The parents: other names, or a name that means another image now.
fn parents(before: &ImageRecord, now: &Now<'_>) -> Option<String> {
    let Some(then) = &before.content else {
        let name = now.image.parent_image.as_ref();
        return (before.parent_image.as_ref() != name)
            .then(|| difference(before.parent_image.as_slice(), now.image.parent_image.as_slice()))?;
    };
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>();
    let other = difference(
        &names(then.parents.keys().collect()),
        &names(now.parents.keys().collect()),
    );
    let moved = || {
        let mut moved = now.parents.iter().filter(|(name, meaning)| {
            let is_same = |meaning: &String| then.parents.get(*name) == Some(meaning);
            !meaning.as_ref().is_none_or(is_same)
        });
        moved
            .next()
            .map(|(name, _)| format!("{name} is another image now"))
    };
    other.or_else(moved)
}

/// Options by name. What the environment needs for itself is no change of its own.
fn options(before: &ImageRecord, now: &Now<'_>) -> Option<String> {
    let then = before.content.as_ref()?;
    let names: Vec<&String> = names_of(&then.options, &now.parts.options).into_iter().collect();
    let is_of_environment =
        names == ["build_args"] && before.environment.len() != now.image.environment.len();
    (!names.is_empty() && !is_of_environment).then(|| {
        names
            .into_iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    })
}

/// `+ new - old ~ other value`, names alone: values may be secret.
fn of_maps(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    let names = names_of(before, now);
    let sign = |name: &String| match (before.contains_key(name), now.contains_key(name)) {
        (false, _) => '+',
        (_, false) => '-',
        _ => '~',
    };
    let words: Vec<String> = names
        .into_iter()
        .map(|name| format!("{} {name}", sign(name)))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The names whose values differ.
fn names_of<'a>(
    before: &'a BTreeMap<String, String>,
    now: &'a BTreeMap<String, String>,
) -> BTreeSet<&'a String> {
    let all = before.keys().chain(now.keys());
    all.filter(|name| before.get(*name) != now.get(*name)).collect()
}

/// A line of a Dockerfile without what may be secret in it.
fn shown(line: &str) -> String {
    match line.split_once(' ') {
        Some((word @ ("ENV" | "ARG"), rest)) => {
            let name = rest.split(['=', ' ']).next().unwrap_or_default();
            format!("{word} {name}")
        }
        _ => line.trim().to_owned(),
    }
}
