//! TLS to an engine, with the files the `docker` command uses.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wharf_core::{Error, ErrorKind, Result};

use super::endpoint::TlsFiles;
use super::environment::exists;

/// Speaks TLS on a connection.
///
/// # Errors
///
/// [`ErrorKind::InvalidConfiguration`] when a file cannot be used, [`ErrorKind::Unavailable`] when the two
/// sides do not agree.
pub(super) async fn wrap(stream: TcpStream, host: &str, files: &TlsFiles) -> Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|source| {
        Error::new(ErrorKind::InvalidInput, "the host has no name TLS can use").with_source(source)
    })?;
    let connector = TlsConnector::from(Arc::new(configuration(files)?));
    connector.connect(name, stream).await.map_err(|source| {
        Error::new(ErrorKind::Unavailable, "the engine and wharf do not agree on TLS")
            .with_hint("Check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH or in the Docker context.")
            .with_context("certificates", files.directory.display().to_string())
            .with_source(source)
    })
}

fn configuration(files: &TlsFiles) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|source| unusable(&files.directory, source))?;
    let builder = match files.verify {
        true => builder.with_root_certificates(roots(&files.directory.join("ca.pem"))?),
        false => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    };
    let (certificate, key) = (files.directory.join("cert.pem"), files.directory.join("key.pem"));
    if !exists(&certificate) && !exists(&key) {
        return Ok(builder.with_no_client_auth());
    }
    let chain = certificates(&certificate)?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|source| unusable(&key, source))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|source| unusable(&certificate, source))
}

fn roots(authority: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let certificates = match exists(authority) {
        true => certificates(authority)?,
        false => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|source| unusable(path, source))
}

fn unusable(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, "a file for TLS cannot be used")
        .with_context("path", path.display().to_string())
        .with_source(source)
}

/// For `DOCKER_CERT_PATH` without `DOCKER_TLS_VERIFY`: encrypted, but with whoever answers.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
