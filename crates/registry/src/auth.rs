//! Answers to a registry's question who asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use wharf_core::registry::{CredentialSource, RegistryAuth, RegistryCredentials};
use wharf_core::{ContainerRegistry, Error, ErrorKind, ImageReference, Result, Secret};

use crate::error;
use crate::session::{body, retry_after};

/// How long a token is good when the server does not say, by the specification of registry tokens.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// The name of this client where identity tokens are exchanged.
const CLIENT_ID: &str = "wharf";

/// What a registry lets in with, and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// The value of the Authorization header. It is marked as sensitive, so it prints as such.
    pub(crate) header: HeaderValue,
    /// Where the credentials behind it were found; `None` when it is for everybody.
    pub(crate) source: Option<CredentialSource>,
    until: Option<Instant>,
}

/// How a registry wants to be asked.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    /// With a token from another server.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
    /// With user and password.
    Basic,
}

/// Gets grants for a registry and keeps them while they are good.
#[derive(Debug)]
pub(crate) struct Authenticator {
    registry: Arc<dyn ContainerRegistry>,
    grants: Mutex<HashMap<String, Grant>>,
}

impl Authenticator {
    pub(crate) fn new(registry: Arc<dyn ContainerRegistry>) -> Self {
        Self {
            registry,
            grants: Mutex::default(),
        }
    }

    /// A grant from before that is still good.
    pub(crate) fn known(&self, scope: &str) -> Option<Grant> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants
            .get(scope)
            .filter(|grant| grant.until.is_none_or(|until| Instant::now() < until))
            .cloned()
    }

    /// Answers the challenge in a refusal's headers.
    pub(crate) async fn answer(
        &self,
        http: &Client,
        refusal: &HeaderMap,
        image: &ImageReference,
        scope: &str,
    ) -> Result<Grant> {
        let challenge = challenge(refusal);
        let credentials = self.registry.credentials(image).await?;
        let grant = match (challenge, credentials) {
            (
                _,
                Some(RegistryCredentials {
                    auth: RegistryAuth::Bearer(token),
                    source,
                }),
            ) => bearer(&token, Some(source), None)?,
            (
                Some(Challenge::Bearer {
                    realm,
                    service,
                    scope: wanted,
                }),
                credentials,
            ) => {
                let exchange = Exchange {
                    realm: self.realm(&realm)?,
                    service,
                    scope: wanted.unwrap_or_else(|| scope.to_owned()),
                    host: image.domain(),
                };
                exchange.run(http, credentials).await?
            }
            (
                Some(Challenge::Basic),
                Some(RegistryCredentials {
                    auth: RegistryAuth::Basic { username, password },
                    source,
                }),
            ) => Grant {
                header: basic(&username, &password)?,
                source: Some(source),
                until: None,
            },
            (_, credentials) => {
                let source = credentials.map(|credentials| credentials.source);
                return Err(error::login_needed(image.domain(), source.as_ref()));
            }
        };
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.insert(scope.to_owned(), grant.clone());
        Ok(grant)
    }

    /// The address of the token server. A registry that is reached with TLS cannot send a password elsewhere
    /// without.
    fn realm(&self, realm: &str) -> Result<Url> {
        let url = Url::parse(realm).map_err(|_| odd_challenge("names no address of a token server"))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.registry.plain_http() => Ok(url),
            _ => Err(odd_challenge("wants a login without TLS")),
        }
    }
}

fn odd_challenge(what: &str) -> Error {
    Error::new(ErrorKind::Unexpected, format!("the registry's challenge {what}"))
}

/// The challenge to answer: tokens before passwords, where there is a choice.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut basic = None;
    for value in values {
        for offered in http_auth::parse_challenges(value).unwrap_or_default() {
            let parameter = |name: &str| {
                let found = offered
                    .params
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name));
                found
                    .map(|(_, value)| value.to_unescaped())
                    .filter(|value| !value.is_empty())
            };
            if offered.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = parameter("realm")
            {
                return Some(Challenge::Bearer {
                    realm,
                    service: parameter("service"),
                    scope: parameter("scope"),
                });
            }
            if offered.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

fn sensitive(text: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text.expose()).map_err(|_| {
        Error::new(
            ErrorKind::InvalidConfiguration,
            "the credentials have characters that cannot be sent",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(username: &str, password: &Secret) -> Result<HeaderValue> {
    let pair = Secret::new(format!("{username}:{}", password.expose()));
    sensitive(&Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))))
}

fn bearer(token: &Secret, source: Option<CredentialSource>, until: Option<Instant>) -> Result<Grant> {
    let header = sensitive(&Secret::new(format!("Bearer {}", token.expose())))?;
    Ok(Grant {
        header,
        source,
        until,
    })
}

/// A request to a token server.
struct Exchange<'a> {
    realm: Url,
    service: Option<String>,
    scope: String,
    host: &'a str,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl Exchange<'_> {
    async fn run(self, http: &Client, credentials: Option<RegistryCredentials>) -> Result<Grant> {
        let (auth, source) = credentials.map(|found| (found.auth, found.source)).unzip();
        let asked = Instant::now();
        let request = self.request(http, auth.as_ref())?;
        let response = request
            .send()
            .await
            .map_err(|error| self.located(error::from_transport(error)))?;
        let (status, wait) = (response.status(), retry_after(&response));
        let body = body(response).await.map_err(|error| self.located(error))?;
        if !status.is_success() {
            return Err(self.located(self.refused(status, wait.as_deref(), &body, source.as_ref())));
        }
        // The parser's own message could quote the token.
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| self.located(no_token()))?;
        let until = asked + life(answer.expires_in);
        let token = answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty());
        bearer(
            &token.ok_or_else(|| self.located(no_token()))?,
            source,
            Some(until),
        )
    }

    fn request(&self, http: &Client, auth: Option<&RegistryAuth>) -> Result<RequestBuilder> {
        if let Some(RegistryAuth::IdentityToken(token)) = auth {
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("client_id", CLIENT_ID),
                ("refresh_token", token.expose()),
            ];
            form.extend(self.parameters());
            return Ok(http.post(self.realm.clone()).form(&form));
        }
        let mut url = self.realm.clone();
        url.query_pairs_mut().extend_pairs(self.parameters());
        let request = http.get(url);
        match auth {
            Some(RegistryAuth::Basic { username, password }) => {
                Ok(request.header(reqwest::header::AUTHORIZATION, basic(username, password)?))
            }
            _ => Ok(request),
        }
    }

    fn parameters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let service = self.service.as_deref().map(|service| ("service", service));
        let scope = Some(("scope", self.scope.as_str())).filter(|(_, scope)| !scope.is_empty());
        service.into_iter().chain(scope)
    }

    /// A token server says 400 for an identity token that it does not know.
    fn refused(
        &self,
        status: StatusCode,
        wait: Option<&str>,
        body: &[u8],
        source: Option<&CredentialSource>,
    ) -> Error {
        match status.as_u16() {
            400 | 401 | 403 => error::login_needed(self.host, source),
            _ => error::from_status(status, wait, body),
        }
    }

    fn located(&self, error: Error) -> Error {
        error.with_context("token server", self.realm.host_str().unwrap_or("?"))
    }
}

fn no_token() -> Error {
    Error::new(ErrorKind::Unexpected, "the registry's token server gave no token")
}

/// How long to use a token: a little less than it is good for.
fn life(seconds: Option<f64>) -> Duration {
    let told = seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(DEFAULT_LIFE);
    told.saturating_sub((told / 4).min(Duration::from_secs(15)))
        .min(Duration::from_secs(24 * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        challenge(&headers)
    }

    fn token(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn challenges_are_read_with_commas_inside_quotes() {
        let value =
            r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:x:pull,push""#;
        let full = token(
            "https://a.example/token",
            Some("r.example"),
            Some("repository:x:pull,push"),
        );
        assert_eq!(read(&[value]), full);
        assert_eq!(
            read(&["bearer REALM=\"https://a.example\""]),
            token("https://a.example", None, None)
        );
        assert_eq!(read(&["Basic realm=\"a, b\""]), Some(Challenge::Basic));
        assert_eq!(read(&["Basic realm=\"x\"", value]), full);
        assert_eq!(read(&[&format!("Basic realm=\"x\", {value}")]), full);
        assert_eq!(read(&["Bearer service=\"x\""]), None);
        assert_eq!(read(&["Negotiate"]), None);
        assert_eq!(read(&["Bearer realm=\"unfinished"]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn a_token_is_used_a_little_shorter_than_it_lives() {
        assert_eq!(life(Some(300.0)), Duration::from_secs(285));
        assert_eq!(life(Some(4.0)), Duration::from_secs(3));
        assert_eq!(life(None), Duration::from_secs(45));
        assert_eq!(life(Some(-1.0)), Duration::from_secs(45));
        assert_eq!(life(Some(f64::MAX)), Duration::from_secs(45));
    }

    #[test]
    fn headers_with_secrets_do_not_print() {
        let header = basic("user", &Secret::new("planted")).unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic dXNlcjpwbGFudGVk");
        let grant = bearer(&Secret::new("planted"), None, None).unwrap();
        let shown = format!("{header:?} {grant:?}");
        assert!(
            !shown.contains("planted") && !shown.contains("dXNlcjpw"),
            "{shown}"
        );
        assert!(sensitive(&Secret::new("a\nb")).is_err());
    }
}
