//! Names that nobody else has.

use std::fmt::Write as _;

use wharf_core::{Error, ErrorKind, Result};

/// 128 random bits in hexadecimal digits: who knows a session's id may ask it for secrets, so it must not be
/// guessable.
pub(crate) fn random() -> Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "the system gives no random numbers").with_source(error)
    })?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    }))
}
