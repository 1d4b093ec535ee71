//! The key of everything that goes into an image.

use std::fmt;

use serde::Serialize;

use super::ContentParts;
use crate::checksum::Checksum;
use crate::plan::BuildInstructions;

/// The key of everything that goes into an image, which is listed at [the module](super). Equal keys mean that
/// building again would give the same image, as far as the Dockerfile's own commands do the same again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ContentKey(String);

/// How many hexadecimal digits of the SHA-256 a key has: 160 bits, and a tag that people can still compare.
const KEY_DIGITS: usize = 40;

impl ContentKey {
    /// The tag under which an image with this key is found.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("wharf-{}", self.0)
    }

    pub(crate) fn of(instructions: &BuildInstructions, parts: &ContentParts) -> Self {
        let mut sum = Checksum::new("wharf content key 1");
        let (name, text) = &instructions.dockerfile;
        sum.texts(&[name, text]);
        sum.optional(parts.code.as_deref());
        for pairs in [&parts.files, &parts.options, &parts.parents] {
            sum.pairs(
                pairs
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_bytes())),
            );
        }
        sum.text(&parts.platform);
        let mut hex = sum.finish();
        hex.truncate(KEY_DIGITS);
        Self(hex)
    }
}

impl fmt::Display for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wharf_core::options::DockerBuildOptions;

    use super::*;
    use crate::plan::PullParent;

    fn instructions() -> BuildInstructions {
        BuildInstructions {
            image: "app:1".parse().unwrap(),
            context_root: None,
            ignore_file: None,
            files: vec![("a".into(), b"1".to_vec())],
            missing: Vec::new(),
            dockerfile: ("Dockerfile".into(), "FROM p".into()),
            open_modes: false,
            left_out: Vec::new(),
            options: DockerBuildOptions::default(),
            pull: PullParent::No,
        }
    }

    struct Outside<'a> {
        parent: &'a str,
        code: Option<&'a str>,
        platform: Option<&'a str>,
    }

    const OUTSIDE: Outside<'_> = Outside {
        parent: "sha256:1",
        code: Some("code"),
        platform: Some("linux/amd64"),
    };

    fn key(change: impl FnOnce(&mut BuildInstructions), outside: &Outside<'_>) -> ContentKey {
        let mut instructions = instructions();
        change(&mut instructions);
        let parents = BTreeMap::from([("p".to_owned(), outside.parent.to_owned())]);
        let platform = outside.platform.map(|name| name.parse().unwrap());
        let code = outside.code.map(str::to_owned);
        let parts = ContentParts::of(&instructions, code, parents, platform.as_ref());
        ContentKey::of(&instructions, &parts)
    }

    fn changed(change: impl FnOnce(&mut BuildInstructions)) -> ContentKey {
        key(change, &OUTSIDE)
    }

    fn on(platform: Option<&str>, change: impl FnOnce(&mut BuildInstructions)) -> ContentKey {
        key(change, &Outside { platform, ..OUTSIDE })
    }

    #[test]
    fn everything_that_changes_the_image_changes_the_key() {
        let base = changed(|_| {});
        assert_eq!(base, changed(|_| {}));
        assert!(base.tag().starts_with("wharf-") && base.tag().len() == 46);
        let pair = || ("a".to_owned(), "b".to_owned());
        let others = [
            changed(|build| build.dockerfile.1 = "FROM p\nUSER x".into()),
            changed(|build| build.files[0].1 = b"2".to_vec()),
            changed(|build| build.files[0].0 = "b".into()),
            changed(|build| build.options.labels.extend([pair()])),
            changed(|build| build.options.build_args.extend([pair()])),
            on(Some("linux/arm64"), |_| {}),
            on(None, |_| {}),
            key(
                |_| {},
                &Outside {
                    parent: "sha256:2",
                    ..OUTSIDE
                },
            ),
            key(
                |_| {},
                &Outside {
                    code: Some("other"),
                    ..OUTSIDE
                },
            ),
            key(
                |_| {},
                &Outside {
                    code: None,
                    ..OUTSIDE
                },
            ),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(*other, base, "{at}");
            assert!(!others[..at].contains(other), "{at}");
        }
    }

    #[test]
    fn the_platform_of_the_options_is_the_one_that_counts() {
        let own = on(Some("linux/arm64"), |_| {});
        let given = |name: &str| changed(|build| build.options.platforms = vec![name.parse().unwrap()]);
        assert_eq!(own, given("linux/arm64"));
        assert_ne!(own, given("linux/riscv64"));
    }

    #[test]
    fn what_does_not_change_the_image_does_not_change_the_key() {
        let base = changed(|_| {});
        assert_eq!(base, changed(|build| build.options.pull = true));
        assert_eq!(base, changed(|build| build.options.no_cache = true));
        assert_eq!(base, changed(|build| build.image = "other:2".parse().unwrap()));
        assert_eq!(
            base,
            changed(|build| build.context_root = Some("/anywhere".into()))
        );
    }
}
