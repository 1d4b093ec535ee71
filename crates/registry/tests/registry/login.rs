//! Logins: tokens, passwords, and what is never sent where.

use std::net::SocketAddr;
use std::sync::Arc;

use wharf_core::registry::RegistryAuth;
use wharf_core::{ErrorKind, Secret};

use crate::server::{Fixed, Reply, Seen, Server, assert_clean, reply};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// `user:planted` in base64.
const BASIC: &str = "Basic dXNlcjpwbGFudGVk";

fn ok() -> Reply {
    reply(200, &[("docker-content-digest", DIGEST)], "")
}

fn bearer_challenge(realm: &str) -> Reply {
    let value = format!(
        "Bearer realm=\"{realm}\",service=\"registry, with comma\",scope=\"repository:app:pull,push\",error=\"x\""
    );
    reply(401, &[("www-authenticate", &value)], "")
}

/// A registry that gives tokens itself: `granted` for who has the right `login`.
fn with_tokens(seen: &Seen, address: SocketAddr, login: Option<&str>, life: u32) -> Reply {
    if seen.line.contains("/token") {
        return match seen.authorization.as_deref() == login {
            true => reply(200, &[], format!(r#"{{"token":"granted","expires_in":{life}}}"#)),
            false => reply(401, &[], r#"{"errors":[{"code":"planted"}]}"#),
        };
    }
    match seen.authorization.as_deref() {
        Some("Bearer granted") => ok(),
        _ => bearer_challenge(&format!("http://{address}/token")),
    }
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_while_it_lives() {
    let server = Server::start(|seen, address| with_tokens(seen, address, Some(BASIC), 300)).await;
    let client = server.client_with(|registry| registry.with_login("user", Secret::new("planted")));
    let image = server.image("app:1");
    client.digest_of(&image).await.unwrap();
    client.digest_of(&image).await.unwrap();
    let token = "GET /token?service=registry%2C+with+comma&scope=repository%3Aapp%3Apull%2Cpush";
    let head = "HEAD /v2/app/manifests/1";
    assert_eq!(server.lines(), [head, token, head, head]);
    let sent: Vec<_> = server.seen().into_iter().map(|seen| seen.authorization).collect();
    let granted = Some("Bearer granted".to_owned());
    assert_eq!(sent, [None, Some(BASIC.to_owned()), granted.clone(), granted]);
    assert!(!format!("{client:?}").contains("planted") && !format!("{client:?}").contains("granted"));
}

#[tokio::test]
async fn an_expired_token_is_fetched_again() {
    let server = Server::start(|seen, address| with_tokens(seen, address, None, 0)).await;
    let client = server.client();
    client.digest_of(&server.image("app:1")).await.unwrap();
    client.digest_of(&server.image("app:1")).await.unwrap();
    let tokens = server
        .lines()
        .iter()
        .filter(|line| line.contains("/token"))
        .count();
    assert_eq!(tokens, 2);
}

#[tokio::test]
async fn a_token_that_the_registry_forgot_is_replaced() {
    let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let server = Server::start(move |seen, address| {
        if seen.line.contains("/token") {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            return reply(200, &[], format!(r#"{{"access_token":"t{number}"}}"#));
        }
        // Each token is good for one request.
        let current = format!(
            "Bearer t{}",
            count.load(std::sync::atomic::Ordering::SeqCst).saturating_sub(1)
        );
        match seen.authorization.as_deref() == Some(current.as_str()) && seen.line.ends_with(&current[8..]) {
            true => ok(),
            false => bearer_challenge(&format!("http://{address}/token")),
        }
    })
    .await;
    let client = server.client();
    client.digest_of(&server.image("app:0")).await.unwrap();
    client.digest_of(&server.image("app:1")).await.unwrap();
    assert_eq!(
        server
            .lines()
            .iter()
            .filter(|line| line.contains("/token"))
            .count(),
        2
    );
}

#[tokio::test]
async fn without_credentials_a_token_for_everybody_is_used() {
    let server = Server::start(|seen, address| with_tokens(seen, address, None, 300)).await;
    server.client().digest_of(&server.image("app:1")).await.unwrap();
    assert!(server.seen()[1].authorization.is_none());
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let server = Server::start(|seen, address| match seen.line.as_str() {
        "POST /token" => reply(200, &[], r#"{"access_token":"granted"}"#),
        _ => with_tokens(seen, address, Some("nobody"), 300),
    })
    .await;
    let identity = RegistryAuth::IdentityToken(Secret::new("planted"));
    let client = server.client_with(|registry| registry.with_connector(Arc::new(Fixed(identity))));
    client.digest_of(&server.image("app:1")).await.unwrap();
    let post = &server.seen()[1];
    assert!(post.authorization.is_none());
    assert_eq!(post.content_type, "application/x-www-form-urlencoded");
    assert_eq!(
        std::str::from_utf8(&post.body).unwrap(),
        "grant_type=refresh_token&client_id=wharf&refresh_token=planted&service=registry%2C+with+comma&\
         scope=repository%3Aapp%3Apull%2Cpush"
    );
}

#[tokio::test]
async fn a_registry_token_is_sent_as_it_is() {
    let server = Server::start(|seen, address| with_tokens(seen, address, Some("nobody"), 300)).await;
    let token = RegistryAuth::Bearer(Secret::new("granted"));
    let client = server.client_with(|registry| registry.with_connector(Arc::new(Fixed(token))));
    client.digest_of(&server.image("app:1")).await.unwrap();
    assert_eq!(server.lines().len(), 2, "no token server is asked");
}

fn with_password(seen: &Seen) -> Reply {
    match seen.authorization.as_deref() {
        Some(BASIC) if seen.line.starts_with("POST") => reply(202, &[("location", "/upload/1")], ""),
        Some(BASIC) => ok(),
        _ => reply(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
    }
}

#[tokio::test]
async fn passwords_are_sent_where_they_are_wanted() {
    let server = Server::start(|seen, _| with_password(seen)).await;
    let client = server.client_with(|registry| registry.with_login("user", Secret::new("planted")));
    let image = server.image("app:1");
    client.digest_of(&image).await.unwrap();
    client.check_push(&image).await.unwrap();
    let source = client.check_login().await.unwrap().unwrap();
    assert_eq!(source.to_string(), "the registry's configuration");
    let cancelled = server
        .seen()
        .into_iter()
        .find(|seen| seen.line == "DELETE /upload/1")
        .unwrap();
    assert_eq!(cancelled.authorization.as_deref(), Some(BASIC));
}

#[tokio::test]
async fn a_login_that_is_not_needed_is_not_looked_for() {
    let server = Server::start(|_, _| ok()).await;
    let client = server.client_with(|registry| registry.with_login("user", Secret::new("planted")));
    client.digest_of(&server.image("app:1")).await.unwrap();
    assert_eq!(client.check_login().await.unwrap(), None);
    assert!(server.seen().iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn missing_and_wrong_credentials_are_told_apart() {
    let server = Server::start(|seen, _| with_password(seen)).await;
    let image = server.image("app:1");
    let missing = server.client().digest_of(&image).await.unwrap_err();
    assert!(
        missing.message().contains("no credentials were found"),
        "{missing}"
    );
    assert!(
        missing
            .hint()
            .unwrap()
            .contains(&format!("docker login {}", server.address))
    );

    let wrong = server.client_with(|registry| registry.with_login("user", Secret::new("planted too")));
    let wrong = wrong.digest_of(&image).await.unwrap_err();
    assert!(wrong.message().contains("refused the credentials"), "{wrong}");
    assert!(
        wrong
            .report()
            .contains("credentials from: the registry's configuration")
    );

    let identity = RegistryAuth::IdentityToken(Secret::new("planted"));
    let useless = server.client_with(|registry| registry.with_connector(Arc::new(Fixed(identity))));
    let useless = useless.digest_of(&image).await.unwrap_err();
    for error in [&missing, &wrong, &useless] {
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert_clean(error);
    }
}

#[tokio::test]
async fn refusals_of_the_token_server_are_understood() {
    for (status, kind) in [
        (400, ErrorKind::Unauthenticated),
        (401, ErrorKind::Unauthenticated),
        (403, ErrorKind::Unauthenticated),
        (429, ErrorKind::RateLimited),
        (503, ErrorKind::Unavailable),
        (200, ErrorKind::Unexpected),
    ] {
        let server = Server::start(move |seen, address| match seen.line.contains("/token") {
            true => reply(status, &[], r#"{"token":["planted"]}"#),
            false => bearer_challenge(&format!("http://{address}/token")),
        })
        .await;
        let client = server.client_with(|registry| registry.with_login("user", Secret::new("planted")));
        let error = client.digest_of(&server.image("app:1")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error:?}");
        assert!(
            error.report().contains("token server: 127.0.0.1"),
            "{}",
            error.report()
        );
        assert_clean(&error);
    }
}

#[tokio::test]
async fn authorization_does_not_go_to_another_host() {
    // Another port is another host. It asks for a login, which it must not get.
    let other = Server::start(|_, _| reply(401, &[("www-authenticate", "Basic realm=\"give\"")], "")).await;
    let elsewhere = other.address;
    let server =
        Server::start(
            move |seen, _| match (with_password(seen).status().as_u16(), seen.line.as_str()) {
                (401, _) => with_password(seen),
                (_, line) if line.starts_with("POST") => {
                    reply(202, &[("location", &format!("http://{elsewhere}/upload"))], "")
                }
                _ => reply(307, &[("location", &format!("http://{elsewhere}/manifest"))], ""),
            },
        )
        .await;
    let client = server.client_with(|registry| registry.with_login("user", Secret::new("planted")));
    client.check_push(&server.image("app:1")).await.unwrap();
    let error = client.digest_of(&server.image("app:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(other.lines(), ["DELETE /upload", "HEAD /manifest"]);
    assert!(other.seen().iter().all(|seen| seen.authorization.is_none()));
}
