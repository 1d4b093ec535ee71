//! Names that nobody else has.

use crate::{Error, ErrorKind, Result};

/// So many random bytes in hexadecimal digits. They cannot be guessed.
///
/// # Errors
///
/// [`ErrorKind::Unexpected`] when the system gives no random numbers.
pub fn random_name(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the system gives no random numbers").with_source(source)
    })?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_long_enough_and_differ() {
        let (one, other) = (random_name(5).unwrap(), random_name(5).unwrap());
        assert_eq!((one.len(), other.len()), (10, 10));
        assert_ne!(one, other);
    }
}
