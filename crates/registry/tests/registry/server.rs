//! A registry that answers by a script and remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wharf_core::registry::{
    CredentialSource, DockerConfigLocator, FlavoredRegistry, RegistryAuth, RegistryConfig,
    RegistryCredentials, RegistryFlavor, ServiceConnector,
};
use wharf_core::{Error, ImageReference, Result};
use wharf_registry::RegistryClient;

/// A request as the server saw it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Method, path and query.
    pub(crate) line: String,
    pub(crate) authorization: Option<String>,
    pub(crate) accept: String,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

pub(crate) type Reply = Response<Full<Bytes>>;
type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A server on a free port of the loopback address, until the test's runtime ends.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Starts a server; the script is given the requests and the server's own address.
    pub(crate) async fn start(script: impl Fn(&Seen, SocketAddr) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(script, None).await
    }

    pub(crate) async fn listen(
        script: impl Fn(&Seen, SocketAddr) -> Reply + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self {
            address,
            seen: Arc::default(),
        };
        let script: Arc<Script> = Arc::new(move |seen: &Seen| script(seen, address));
        let seen = Arc::clone(&server.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, seen, script) = (tls.clone(), Arc::clone(&seen), Arc::clone(&script));
                tokio::spawn(async move {
                    let Some(tls) = tls else {
                        return serve(TokioIo::new(stream), seen, script).await;
                    };
                    // A client that does not trust this server is part of a test.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(TokioIo::new(stream), seen, script).await;
                    }
                });
            }
        });
        server
    }

    /// Everything that was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub(crate) fn image(&self, rest: &str) -> ImageReference {
        format!("{}/{rest}", self.address).parse().unwrap()
    }

    pub(crate) fn client(&self) -> RegistryClient {
        self.client_with(|registry| registry)
    }

    pub(crate) fn client_with(
        &self,
        change: impl FnOnce(FlavoredRegistry) -> FlavoredRegistry,
    ) -> RegistryClient {
        client(&self.address.to_string(), None, None, change).unwrap()
    }
}

/// A client that looks at nobody's real logins.
pub(crate) fn client(
    uri: &str,
    insecure: Option<bool>,
    ca_certificate: Option<&Path>,
    change: impl FnOnce(FlavoredRegistry) -> FlavoredRegistry,
) -> Result<RegistryClient> {
    let config = RegistryConfig {
        uri: uri.to_owned(),
        insecure,
        ca_certificate: ca_certificate.map(Path::to_owned),
        ..RegistryConfig::default()
    };
    let registry = FlavoredRegistry::new(RegistryFlavor::Default, config)?;
    RegistryClient::new(Arc::new(change(
        registry.with_locator(DockerConfigLocator::empty()),
    )))
}

async fn serve<S>(stream: S, seen: Arc<Mutex<Vec<Seen>>>, script: Arc<Script>)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| async {
        let request = read(request).await;
        let reply = script(&request);
        seen.lock().unwrap().push(request);
        Ok::<_, Infallible>(reply)
    });
    // A client that goes away in between is no failure of the server.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(stream, service)
        .await;
}

async fn read(request: Request<Incoming>) -> Seen {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    Seen {
        line: format!("{} {}", parts.method, parts.uri),
        authorization: header("authorization"),
        accept: header("accept").unwrap_or_default(),
        content_type: header("content-type").unwrap_or_default(),
        body: body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default(),
    }
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body.into())).unwrap()
}

/// A connector that gives always the same.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) RegistryAuth);

#[async_trait::async_trait]
impl ServiceConnector for Fixed {
    fn name(&self) -> &str {
        "fixed"
    }

    async fn registry_credentials(&self, _: &str) -> Result<Option<RegistryCredentials>> {
        Ok(Some(RegistryCredentials {
            auth: self.0.clone(),
            source: CredentialSource::Connector("fixed".into()),
        }))
    }
}

/// Asserts that no secret of the tests is in an error.
pub(crate) fn assert_clean(error: &Error) {
    let shown = format!("{error} {error:?} {}", error.report());
    assert!(!shown.contains("planted"), "{shown}");
}
