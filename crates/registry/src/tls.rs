//! Which certificates are trusted.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use wharf_core::{Error, ErrorKind, Result};

/// TLS with the system's certificates and those of an extra file. Without any certificates connections fail,
/// but plain HTTP still works, so that is no error here.
pub(crate) fn config(extra: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = extra {
        add_file(&mut roots, path).map_err(|error| error.with_context("path", path.display().to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Unexpected, "TLS cannot be set up").with_source(error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<()> {
    let text =
        std::fs::read(path).map_err(|error| Error::io("the CA certificate cannot be read", path, error))?;
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(
            ErrorKind::InvalidConfiguration,
            "the CA certificate is not a certificate in PEM form",
        )
        .with_source(source)
    };
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| wrong(error.into()))?;
        roots.add(certificate).map_err(|error| wrong(Box::new(error)))?;
        found = true;
    }
    match found {
        true => Ok(()),
        false => Err(wrong("the file holds no certificate".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let missing = config(Some(&path)).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Io);
        assert!(missing.report().contains("ca.pem"));
        for text in [
            "",
            "nonsense",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = config(Some(&path)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{text:?}");
            assert!(error.report().contains("ca.pem"));
        }
    }
}
