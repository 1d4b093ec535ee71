//! A request after everything in it was checked: what the ways of building share.

use std::collections::BTreeSet;

use wharf_core::context::ResolvedDockerfile;
use wharf_core::options::DockerBuildOptions;
use wharf_core::{BuildContext, Error, ErrorKind, ImageReference, Result};

/// What to build.
pub(crate) struct BuildPlan {
    /// The image's names, each with a tag. The first is the image's own.
    pub(crate) names: Vec<ImageReference>,
    pub(crate) context: BuildContext,
    pub(crate) dockerfile: ResolvedDockerfile,
    pub(crate) options: DockerBuildOptions,
}

impl BuildPlan {
    /// The Dockerfile's path in the context, as a text.
    pub(crate) fn dockerfile_name(&self) -> Result<String> {
        let name = &self.dockerfile.name;
        name.to_str().map(str::to_owned).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "the Dockerfile's name is not UTF-8")
                .with_context("path", name.display().to_string())
                .with_hint("Rename it: the engine takes the name as a text.")
        })
    }

    /// The Dockerfile's content, for finding places in it.
    pub(crate) fn dockerfile_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.dockerfile.content)
    }

    /// The registries that the Dockerfile's `FROM` and `COPY --from` and the cache images name. Names made
    /// from build arguments are filled in where the argument is given or has a default.
    pub(crate) fn parent_registries(&self) -> BTreeSet<String> {
        let text = self.dockerfile_text();
        let images = parents(&text, |name| self.options.build_args.get(name).cloned());
        let cache = self.options.cache_from.iter().cloned();
        let references = images
            .into_iter()
            .chain(cache)
            .filter_map(|image| image.parse::<ImageReference>().ok());
        references
            .map(|reference| reference.domain().to_owned())
            .collect()
    }

    /// Names the Dockerfile in an error that has a place in it.
    pub(crate) fn locate(&self, error: Error) -> Error {
        let has_place = error.context().any(|(key, _)| key == "dockerfile_line");
        match has_place {
            true => error.with_context("dockerfile", self.dockerfile.name.display().to_string()),
            false => error,
        }
    }

    /// When sending the context failed, the engine's connection breaks: what is wrong with the context is the
    /// real reason then.
    pub(crate) fn context_error(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Unavailable {
            return error;
        }
        let mut sink = std::io::sink();
        let read = self
            .context
            .write_archive(wharf_core::ArchiveFormat::Tar, &mut sink, &mut |_| {});
        read.err().unwrap_or(error)
    }
}

/// The images that a Dockerfile names, with arguments replaced.
fn parents(dockerfile: &str, argument: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut defaults: Vec<(String, String)> = Vec::new();
    let mut images = Vec::new();
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "ARG" => defaults.extend(
                words
                    .filter_map(|word| word.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned())),
            ),
            "FROM" => images.extend(words.find(|word| !word.starts_with("--")).map(str::to_owned)),
            "COPY" => images.extend(
                words
                    .find_map(|word| word.strip_prefix("--from="))
                    .map(str::to_owned),
            ),
            _ => {}
        }
    }
    let value = |name: &str| {
        let default = || {
            defaults
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        argument(name).or_else(default)
    };
    images.iter().map(|image| substitute(image, &value)).collect()
}

/// Replaces `$NAME`, `${NAME}` and `${NAME:-default}`.
fn substitute(text: &str, value: &impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (expression, behind) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(parts) => parts,
            None => after.split_at(
                after
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(after.len()),
            ),
        };
        let (name, default) = expression.split_once(":-").unwrap_or((expression, ""));
        out.push_str(
            &value(name)
                .filter(|value| !value.is_empty())
                .unwrap_or_else(|| default.to_owned()),
        );
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_found_with_their_arguments() {
        let dockerfile = "ARG BASE=r.example/a\nARG TAG\nFROM --platform=linux/amd64 ${BASE}:$TAG AS x\n\
                          from ${MIRROR:-docker.io}/b\nCOPY --from=other.example/c:1 /x /y\nRUN echo FROM z\n";
        let argument = |name: &str| (name == "TAG").then(|| "7".to_owned());
        assert_eq!(
            parents(dockerfile, argument),
            ["r.example/a:7", "docker.io/b", "other.example/c:1"]
        );
    }
}
