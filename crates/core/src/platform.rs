//! The platform an image is for.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, ErrorKind};

/// A platform as the OCI image specification has it: operating system, architecture, variant.
///
/// ```
/// # fn main() -> wharf_core::Result<()> {
/// let platform: wharf_core::Platform = "linux/arm64/v8".parse()?;
/// assert_eq!(platform.architecture(), "arm64");
/// assert_eq!(platform.to_string(), "linux/arm64/v8");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Names that people and `uname -m` use for architectures that the specification calls otherwise.
const ARCHITECTURE_ALIASES: [(&str, &str, Option<&str>); 5] = [
    ("x86_64", "amd64", None),
    ("aarch64", "arm64", None),
    ("armhf", "arm", Some("v7")),
    ("armel", "arm", Some("v6")),
    ("i386", "386", None),
];

impl Platform {
    /// The operating system: `linux`.
    #[must_use]
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The architecture in the specification's spelling: `amd64`.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The architecture's variant: `v8`.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// Linux on the architecture of this machine: what an engine here builds for.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let (_, architecture, variant) = ARCHITECTURE_ALIASES
            .into_iter()
            .find(|(name, ..)| *name == std::env::consts::ARCH)
            .unwrap_or((std::env::consts::ARCH, std::env::consts::ARCH, None));
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    fn invalid(text: &str) -> Error {
        Error::new(ErrorKind::InvalidInput, format!("`{text}` is not a platform"))
            .with_hint("Write it as os/architecture or os/architecture/variant, for example linux/amd64.")
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let well_formed = |part: &&str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        };
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(well_formed) {
            return Err(Self::invalid(text));
        }
        let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
        let alias = ARCHITECTURE_ALIASES.iter().find(|(name, ..)| *name == lower[1]);
        Ok(Self {
            os: lower[0].clone(),
            architecture: alias.map_or_else(|| lower[1].clone(), |(_, name, _)| (*name).to_owned()),
            variant: lower
                .get(2)
                .cloned()
                .or_else(|| alias.and_then(|(_, _, variant)| variant.map(str::to_owned))),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Platform {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Platform".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[^/]+/[^/]+(/[^/]+)?$", "examples": ["linux/amd64"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_become_the_specification_s() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn this_machine_has_a_platform_of_the_specification() {
        let platform = Platform::of_this_machine();
        assert_eq!(platform.to_string().parse::<Platform>().unwrap(), platform);
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in [
            "",
            "amd64",
            "linux/",
            "linux/amd64/v2/x",
            "linux/a md64",
            "linux//v8",
        ] {
            assert_eq!(
                text.parse::<Platform>().unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{text}"
            );
        }
    }
}
