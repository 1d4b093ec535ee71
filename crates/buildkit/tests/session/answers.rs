//! Credentials, secrets and what else the daemon asks for.

use super::*;

struct Passwords;

#[async_trait]
impl CredentialSource for Passwords {
    async fn credentials(&self, host: &str) -> Result<Option<RegistryCredentials>> {
        match host {
            "r.example:5000" => Ok(Some(RegistryCredentials {
                username: "me".into(),
                secret: Secret::new("pass"),
            })),
            "broken.example" => Err(
                Error::new(ErrorKind::Unauthenticated, "the credential helper failed")
                    .with_context("helper", "docker-credential-x"),
            ),
            _ => Ok(None),
        }
    }
}

#[tokio::test]
async fn credentials_go_only_to_who_they_are_for() {
    let client = client(|peer, _| async move {
        let mut auth = AuthClient::with_origin(peer.session.clone(), origin());
        for (host, expected) in [("r.example:5000", ("me", "pass")), ("other.example", ("", ""))] {
            let found = auth
                .credentials(CredentialsRequest { host: host.into() })
                .await?
                .into_inner();
            assert_eq!((found.username.as_str(), found.secret.as_str()), expected);
        }
        let tokens = auth
            .get_token_authority(GetTokenAuthorityRequest::default())
            .await;
        assert_eq!(tokens.unwrap_err().code(), Code::Unimplemented);
        let broken = CredentialsRequest {
            host: "broken.example".into(),
        };
        auth.credentials(broken).await?;
        done()
    });
    let error = run(client, Session::new().with_credentials(Passwords))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(
        error.report().contains("docker-credential-x"),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn secrets_and_health_are_answered_and_the_rest_is_not() {
    let client = client(|peer, _| async move {
        let mut secrets = SecretsClient::with_origin(peer.session.clone(), origin());
        let request = |id: &str| GetSecretRequest {
            id: id.into(),
            ..GetSecretRequest::default()
        };
        let found = secrets.get_secret(request("binary")).await?.into_inner();
        assert_eq!(found.data, [0, 255, 10]);
        let missing = secrets.get_secret(request("missing")).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
        let mut health = HealthClient::with_origin(peer.session.clone(), origin());
        assert_eq!(
            health
                .check(HealthCheckRequest::default())
                .await?
                .into_inner()
                .status,
            1
        );
        let mut auth = AuthClient::with_origin(peer.session.clone(), origin());
        let nobody = auth.credentials(CredentialsRequest::default()).await.unwrap_err();
        assert_eq!(nobody.code(), Code::Unimplemented);
        let name = |name| {
            peer.headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let methods: Vec<_> = name("x-docker-expose-session-grpc-method").collect();
        assert_eq!(
            methods,
            [
                "/grpc.health.v1.Health/Check",
                "/moby.buildkit.secrets.v1.Secrets/GetSecret"
            ]
        );
        assert_eq!(
            name("x-docker-expose-session-sharedkey").collect::<Vec<_>>(),
            ["the key"]
        );
        assert_eq!(name("x-docker-expose-session-uuid").next().unwrap().len(), 32);
        Ok(HashMap::from([(
            "containerimage.digest".into(),
            "sha256:1".into(),
        )]))
    });
    let session = Session::new()
        .with_secret("binary", SecretBytes::new(vec![0, 255, 10]))
        .with_shared_key("the key");
    let outcome = run(client, session).await.unwrap();
    assert_eq!(outcome.image_digest(), Some("sha256:1"));
    assert_eq!(outcome.config_digest(), None);
}

#[tokio::test]
async fn a_secret_that_is_too_long_is_refused_before_anything_is_opened() {
    let client = client(|_, _| async { unreachable!("the build must not begin") });
    let session = Session::new().with_secret("long", SecretBytes::new(vec![0; 600 * 1024]));
    assert_eq!(
        run(client, session).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}
