//! Sizes as people write them.

use crate::{Error, ErrorKind, Result};

/// Reads a size in bytes: a whole number, or one with a unit (`b`, `k`, `m`, `g`, `t`, also with a `b` or `ib`
/// behind it). Units are powers of 1024, as in Docker's `--shm-size`.
///
/// ```
/// # fn main() -> wharf_core::Result<()> {
/// assert_eq!(wharf_core::options::parse_bytes("64m")?, 64 * 1024 * 1024);
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when the text is no size or does not fit 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(invalid(text)),
    };
    let number: u64 = number.parse().map_err(|_| invalid(text))?;
    number.checked_mul(1 << shift).ok_or_else(|| invalid(text))
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("`{text}` is not a size"))
        .with_hint("Write a number of bytes, or one with a unit, for example 64m or 1g.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, expected) in [
            ("0", 0),
            ("5", 5),
            ("1k", 1024),
            ("2 MiB", 2 << 20),
            ("3GB", 3 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "m",
            "-1",
            "1.5g",
            "1x",
            "99999999999999999999",
            "18446744073709551615k",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
