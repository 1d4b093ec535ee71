//! The digest of a context.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::BuildContext;
use super::archive::ArchiveFormat;
use crate::Result;

impl BuildContext {
    /// `sha256:<hex>` of the tar archive, which is not stored anywhere: the same for the same names, contents,
    /// modes, Dockerfile and ignore rules, on every machine.
    ///
    /// # Errors
    ///
    /// As [`BuildContext::write_archive`].
    pub fn digest(&self) -> Result<String> {
        let mut hasher = Hasher(Sha256::new());
        self.write_archive(ArchiveFormat::Tar, &mut hasher, &mut |_| {})?;
        let digest = hasher.0.finalize();
        Ok(digest
            .iter()
            .fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}")))
    }
}

struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
