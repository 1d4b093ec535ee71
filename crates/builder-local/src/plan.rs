//! A request after everything in it was checked: what the ways of building share.

use std::collections::BTreeSet;

use wharf_core::context::ResolvedDockerfile;
use wharf_core::dockerfile::parent_images;
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
        let images = parent_images(&text, |name| self.options.build_args.get(name).cloned());
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
