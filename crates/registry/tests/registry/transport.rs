//! Connections: TLS, its failures, and registries that are not there.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wharf_core::{Error, ErrorKind, Secret};

use crate::server::{Server, assert_clean, client, reply};

/// A CA of its own: its certificate as a file, and a server's TLS with a certificate for `name`.
fn authority(dir: &tempfile::TempDir, name: &str) -> (PathBuf, TlsAcceptor) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, issuer.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    (path, TlsAcceptor::from(Arc::new(config)))
}

fn hinted(error: &Error, kind: ErrorKind, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(
        error.hint().is_some_and(|text| text.contains(hint)),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn a_ca_of_ones_own_is_trusted_when_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, tls) = authority(&dir, "127.0.0.1");
    let server = Server::listen(|_, _| reply(200, &[], "{}"), Some(tls)).await;
    let uri = server.address.to_string();
    let trusting = client(&uri, None, Some(&ca), |registry| registry).unwrap();
    assert_eq!(trusting.check_login().await.unwrap(), None);

    let other = client(&uri, Some(false), None, |registry| registry).unwrap();
    let error = other.check_login().await.unwrap_err();
    hinted(&error, ErrorKind::Unavailable, "\"ca_certificate\"");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_certificate_for_another_name_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, tls) = authority(&dir, "other.example");
    let server = Server::listen(|_, _| reply(200, &[], "{}"), Some(tls)).await;
    let client = client(&server.address.to_string(), None, Some(&ca), |registry| registry).unwrap();
    hinted(
        &client.check_login().await.unwrap_err(),
        ErrorKind::Unavailable,
        "another name",
    );
}

#[tokio::test]
async fn plain_http_and_tls_are_not_mixed_up() {
    let plain = Server::start(|_, _| reply(200, &[], "{}")).await;
    let client = client(&plain.address.to_string(), Some(false), None, |registry| registry).unwrap();
    let error = client.check_login().await.unwrap_err();
    hinted(&error, ErrorKind::Unavailable, "\"insecure\" to true");
    assert!(plain.seen().is_empty());
}

#[tokio::test]
async fn a_password_does_not_leave_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, tls) = authority(&dir, "127.0.0.1");
    let plain = Server::start(|_, _| reply(200, &[], r#"{"token":"t"}"#)).await;
    let challenge = format!("Bearer realm=\"http://{}/token\"", plain.address);
    let server = Server::listen(
        move |_, _| reply(401, &[("www-authenticate", &challenge)], ""),
        Some(tls),
    )
    .await;
    let client = client(&server.address.to_string(), None, Some(&ca), |registry| {
        registry.with_login("user", Secret::new("planted"))
    })
    .unwrap();
    let error = client.check_login().await.unwrap_err();
    assert!(error.message().contains("without TLS"), "{error}");
    assert_clean(&error);
    assert!(plain.seen().is_empty());
}

#[tokio::test]
async fn a_registry_that_is_not_there_can_be_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(&address.to_string(), None, None, |registry| registry).unwrap();
    let error = client
        .digest_of(&format!("{address}/app:1").parse().unwrap())
        .await
        .unwrap_err();
    hinted(&error, ErrorKind::Unavailable, "that the registry runs");
    assert!(error.is_retryable());
    assert!(
        error.report().contains(&format!("registry: {address}")),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn a_host_without_an_address_is_unavailable() {
    let client = client("registry.invalid", None, None, |registry| registry).unwrap();
    let error = client.check_login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let server = Server::start(|_, _| reply(302, &[("location", "/v2/app/manifests/1")], "")).await;
    let error = server
        .client()
        .digest_of(&server.image("app:1"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error:?}");
}
