//! Digests of content, as registries write them.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::grammar::{Problem, is_hex};
use super::repair::printable;
use crate::{Error, ErrorKind, Result};

/// The algorithms of the OCI image specification that Docker knows, and how many digits each has.
const ALGORITHMS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// The digest of some bytes: `sha256:` and 64 hexadecimal digits, or sha384 or sha512 alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The sha256 digest of these bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::from_sha256(Sha256::digest(bytes).into())
    }

    /// The digest that a finished sha256 hasher gave.
    #[must_use]
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        Self(format!("sha256:{}", lower_hex(&hash)))
    }

    /// The whole text: `sha256:…`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The algorithm: `sha256`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.parts().0
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.parts().1
    }

    /// Whether these bytes have this digest.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let hex = match self.algorithm() {
            "sha512" => lower_hex(&Sha512::digest(bytes)),
            "sha384" => lower_hex(&Sha384::digest(bytes)),
            _ => lower_hex(&Sha256::digest(bytes)),
        };
        hex == self.hex()
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once(':').unwrap_or(("", &self.0))
    }

    pub(super) fn checked(text: &str) -> Result<Self, Problem> {
        let Some((algorithm, hex)) = text.split_once(':') else {
            return Err("a digest has the form sha256:<64 hexadecimal digits>".into());
        };
        let Some((_, length)) = ALGORITHMS.iter().find(|(name, _)| *name == algorithm) else {
            return Err("the digest's algorithm is none of sha256, sha384 and sha512".into());
        };
        if hex.len() != *length || !hex.bytes().all(is_hex) {
            return Err(format!("a {algorithm} digest has {length} hexadecimal digits in lower case").into());
        }
        Ok(Self(text.to_owned()))
    }
}

fn lower_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::checked(text).map_err(|problem| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("{} is not a digest: {problem}", printable(text)),
            )
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$"
        })
    }
}
