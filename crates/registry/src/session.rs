//! Requests to one registry, with the login that it asks for.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use wharf_core::{ContainerRegistry, Error, ErrorKind, ImageReference, Result};

use crate::auth::{Authenticator, Grant};
use crate::{error, tls};

/// How long to wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a whole request may take. Nothing large is sent or read here.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// The largest body that is read. Registries take manifests of at least 4 MiB.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// Redirects that are followed. Authorization does not go along to another host.
const REDIRECTS: usize = 5;

/// What a request wants to do, for the token that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Only to be let in.
    Login,
    /// To read a repository.
    Pull,
    /// To write to a repository.
    Push,
}

/// A request that can be made a second time, after a login.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) image: &'a ImageReference,
    pub(crate) access: Access,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

impl Call<'_> {
    fn scope(&self) -> String {
        match self.access {
            Access::Login => String::new(),
            Access::Pull => format!("repository:{}:pull", self.image.path()),
            Access::Push => format!("repository:{}:pull,push", self.image.path()),
        }
    }
}

/// A registry's address and what it let in with so far.
#[derive(Debug)]
pub(crate) struct Session {
    http: Client,
    base: Url,
    auth: Authenticator,
}

impl Session {
    pub(crate) fn new(registry: Arc<dyn ContainerRegistry>) -> Result<Self> {
        let plain = registry.plain_http();
        let host = match registry.address().domain() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let scheme = if plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "the registry's host cannot be used in a URL",
            )
            .with_context("registry", registry.uri())
            .with_source(error)
        })?;
        Ok(Self {
            http: http_client(registry.as_ref(), plain)?,
            base,
            auth: Authenticator::new(registry),
        })
    }

    /// An address below `/v2/`.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        self.base.join(path).map_err(|error| {
            Error::new(
                ErrorKind::Unexpected,
                "the registry named an address that is none",
            )
            .with_source(error)
        })
    }

    /// Makes a request, after a login if the registry asks for one. Any answer but 401 is returned.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response> {
        self.authorized(call).await.map(|(response, _)| response)
    }

    /// As [`Session::send`], with what opened the door.
    pub(crate) async fn authorized(&self, call: &Call<'_>) -> Result<(Response, Option<Grant>)> {
        let scope = call.scope();
        let known = self.auth.known(&scope);
        let response = self.attempt(call, known.as_ref()).await?;
        // A host that was redirected to does not get the registry's credentials, whatever it asks.
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(response.url()) {
            return Ok((response, known));
        }
        let grant = self
            .auth
            .answer(&self.http, response.headers(), call.image, &scope)
            .await?;
        let response = self.attempt(call, Some(&grant)).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(error::login_needed(call.image.domain(), grant.source.as_ref()));
        }
        Ok((response, Some(grant)))
    }

    async fn attempt(&self, call: &Call<'_>, grant: Option<&Grant>) -> Result<Response> {
        let mut request = self
            .http
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone());
        if let Some(grant) = grant.filter(|_| self.is_own(&call.url)) {
            request = request.header(AUTHORIZATION, grant.header.clone());
        }
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(error::from_transport)
    }

    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }
}

fn http_client(registry: &dyn ContainerRegistry, plain: bool) -> Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls::config(registry.ca_certificate())?)
        .https_only(!plain)
        .redirect(Policy::limited(REDIRECTS))
        .connect_timeout(CONNECT_LIMIT)
        .timeout(REQUEST_LIMIT);
    if registry.is_local() {
        // A proxy elsewhere would look for this machine's registry on its own.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| {
        Error::new(ErrorKind::Unexpected, "the HTTP client could not be set up").with_source(error)
    })
}

/// When the registry wants to be asked again, in its own words.
pub(crate) fn retry_after(response: &Response) -> Option<String> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(value.to_owned())
}

/// Reads a body that must not be large.
pub(crate) async fn body(mut response: Response) -> Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(error::from_transport)? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(Error::new(
                ErrorKind::Unexpected,
                format!("the registry's answer is larger than {BODY_LIMIT} bytes"),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The error for an answer that is not the wanted one.
pub(crate) async fn refusal(response: Response) -> Error {
    let (status, wait) = (response.status(), retry_after(&response));
    let body = body(response).await.unwrap_or_default();
    error::from_status(status, wait.as_deref(), &body)
}
