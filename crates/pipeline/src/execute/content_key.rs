//! The key of everything that goes into an image.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use wharf_core::dockerfile::parent_images;
use wharf_core::options::DockerBuildOptions;
use wharf_core::{BuildContext, Error, ErrorKind, Platform, Result};

/// The key of everything that goes into an image: the Dockerfile, the context, the parents' digests, the options
/// that change the result, the platform. Equal keys mean that building again would give the same image, as far
/// as the Dockerfile's own commands do the same again.
///
/// The builder's kind is in it through the Dockerfile, which is written for what the builder understands. The
/// platforms are those of the options, else the [builder's own](wharf_core::builder::ImageBuilder::default_platform);
/// where that is not known, Linux on the architecture of this machine for builders that work here, and nothing for
/// others. So an image that was built on an ARM engine is not taken for one that was built on an Intel engine, and
/// an image is found again while the engine is down.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ContentKey(String);

/// How many hexadecimal digits of the SHA-256 a key has: 160 bits, and a tag that people can still compare.
const KEY_DIGITS: usize = 40;

/// What a key is made from.
pub(super) struct Ingredients<'a> {
    pub(super) dockerfile: &'a str,
    pub(super) context: &'a BuildContext,
    /// Each parent's name and what it means now: a digest, or a key.
    pub(super) parents: Vec<(String, String)>,
    pub(super) options: &'a DockerBuildOptions,
    /// For what the image is where the options do not say.
    pub(super) platform: Option<Platform>,
}

impl ContentKey {
    /// The tag under which an image with this key is found.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("wharf-{}", self.0)
    }

    pub(super) fn of(ingredients: &Ingredients<'_>) -> Result<Self> {
        let mut hasher = Parts(Sha256::new());
        hasher.add("dockerfile", ingredients.dockerfile);
        hasher.add("context", &ingredients.context.digest()?);
        for (name, meaning) in &ingredients.parents {
            hasher.add(name, meaning);
        }
        hasher.add("platform", &platforms(ingredients));
        hasher.add("options", &options(ingredients.options)?);
        let hex: String = hasher
            .0
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self(hex[..KEY_DIGITS].to_owned()))
    }
}

impl fmt::Display for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn platforms(ingredients: &Ingredients<'_>) -> String {
    let given = &ingredients.options.platforms;
    let own = ingredients.platform.iter().filter(|_| given.is_empty());
    let mut names: Vec<String> = given.iter().chain(own).map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    names.join(",")
}

/// A checksum of parts that cannot run into each other: each begins with its length.
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, name: &str, value: &str) {
        for part in [name, value] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part.as_bytes());
        }
    }
}

/// The options that change what comes out. Whether parents are pulled, caches used, and which secrets a step
/// may see does not.
fn options(options: &DockerBuildOptions) -> Result<String> {
    let DockerBuildOptions {
        build_args,
        labels,
        target,
        platforms: _,
        shm_size,
        network,
        extra_hosts,
        extra,
        pull: _,
        no_cache: _,
        cache_from: _,
        secrets: _,
        ssh: _,
    } = options;
    serde_json::to_string(&(build_args, labels, target, shm_size, network, extra_hosts, extra))
        .map_err(|source| Error::new(ErrorKind::Unexpected, "build options are not JSON").with_source(source))
}

/// The parents that a Dockerfile names, arguments replaced.
pub(super) fn parents(dockerfile: &str, options: &DockerBuildOptions) -> Vec<String> {
    parent_images(dockerfile, |name| options.build_args.get(name).cloned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wharf_core::FileSource;

    use super::*;

    fn key(change: impl FnOnce(&mut Ingredients<'_>, &mut DockerBuildOptions)) -> ContentKey {
        let mut context = BuildContext::empty();
        context
            .add_file("a", FileSource::Bytes(Bytes::from_static(b"1")), None)
            .unwrap();
        let mut options = DockerBuildOptions::default();
        let empty = DockerBuildOptions::default();
        let mut ingredients = Ingredients {
            dockerfile: "FROM p",
            context: &context,
            parents: vec![("p".into(), "sha256:1".into())],
            options: &empty,
            platform: Some("linux/amd64".parse().unwrap()),
        };
        change(&mut ingredients, &mut options);
        let ingredients = Ingredients {
            options: &options,
            ..ingredients
        };
        ContentKey::of(&ingredients).unwrap()
    }

    #[test]
    fn everything_that_changes_the_image_changes_the_key() {
        let base = key(|_, _| {});
        assert_eq!(base, key(|_, _| {}));
        assert!(base.tag().starts_with("wharf-") && base.tag().len() == 46);
        let others = [
            key(|i, _| i.dockerfile = "FROM p\nUSER x"),
            key(|i, _| i.parents[0].1 = "sha256:2".into()),
            key(|i, _| i.platform = Some("linux/arm64".parse().unwrap())),
            key(|i, _| i.platform = None),
            key(|_, o| o.labels.extend([("a".to_owned(), "b".to_owned())])),
            key(|_, o| o.build_args.extend([("a".to_owned(), "b".to_owned())])),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(*other, base);
            assert!(!others[..at].contains(other));
        }
    }

    #[test]
    fn the_platform_of_the_options_is_the_one_that_counts() {
        let arm = || "linux/arm64".parse().unwrap();
        let own = key(|i, _| i.platform = Some(arm()));
        let given = key(|_, o| o.platforms = vec![arm()]);
        assert_eq!(own, given);
        assert_ne!(
            given,
            key(|_, o| o.platforms = vec!["linux/riscv64".parse().unwrap()])
        );
    }

    #[test]
    fn what_does_not_change_the_image_does_not_change_the_key() {
        let base = key(|_, _| {});
        assert_eq!(base, key(|_, o| o.pull = true));
        assert_eq!(base, key(|_, o| o.no_cache = true));
    }
}
