//! A registry in this process that holds manifests and writes down every request, and a builder that pushes to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use wharf_core::builder::{BuildOutcome, BuildRequest, Capabilities, ImageBuilder, MemoryImageBuilder};
use wharf_core::event::EventSink;
use wharf_core::registry::{ContainerRegistry, FlavoredRegistry, RegistryConfig, RegistryFlavor};
use wharf_core::{Digest, Result};

const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Manifests by `repository:tag` and `repository:digest`, and the requests so far.
#[derive(Debug, Default)]
struct State {
    manifests: BTreeMap<String, Vec<u8>>,
    requests: Vec<String>,
}

/// The registry.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let serving = registry.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        registry
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The registry as a component of a stack.
    pub(crate) fn component(&self) -> Arc<dyn ContainerRegistry> {
        let config = RegistryConfig {
            uri: format!("{}/ml", self.address),
            ..RegistryConfig::default()
        };
        Arc::new(FlavoredRegistry::new(RegistryFlavor::Default, config).unwrap())
    }

    /// Puts a manifest under a name; the text is what makes it another one.
    pub(crate) fn put(&self, name: &str, text: &str) -> Digest {
        let manifest = format!("{{\"mediaType\":\"{MEDIA_TYPE}\",\"text\":\"{text}\"}}").into_bytes();
        let digest = Digest::of_bytes(&manifest);
        let (repository, _) = name.rsplit_once(':').unwrap();
        let mut state = self.state.lock().unwrap();
        state
            .manifests
            .insert(format!("{repository}:{digest}"), manifest.clone());
        state.manifests.insert(name.to_owned(), manifest);
        digest
    }

    /// Forgets every manifest of a repository.
    pub(crate) fn forget(&self, repository: &str) {
        let begin = format!("{repository}:");
        self.state
            .lock()
            .unwrap()
            .manifests
            .retain(|name, _| !name.starts_with(&begin));
    }

    /// The requests since this was asked last: method and tag, sorted.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut requests = std::mem::take(&mut self.state.lock().unwrap().requests);
        requests.sort();
        requests
    }

    async fn serve(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some((method, name, body)) = request(&mut stream).await {
            let answer = self.answer(&method, &name, body);
            if stream.get_mut().write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, method: &str, name: &str, body: Vec<u8>) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        state.requests.push(format!("{method} {name}"));
        if method == "PUT" {
            state.manifests.insert(name.to_owned(), body);
            return b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n".to_vec();
        }
        let Some(manifest) = state.manifests.get(name) else {
            return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {MEDIA_TYPE}\r\ndocker-content-digest: {}\r\ncontent-length: {}\r\n\r\n",
            Digest::of_bytes(manifest),
            manifest.len()
        );
        let body = if method == "HEAD" { &[][..] } else { manifest };
        [head.as_bytes(), body].concat()
    }
}

/// The next request: its method, `repository:reference`, and its body.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, String, Vec<u8>)> {
    let mut line = String::new();
    stream
        .read_line(&mut line)
        .await
        .ok()
        .filter(|length| *length > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?);
    let (repository, reference) = path.strip_prefix("/v2/")?.split_once("/manifests/")?;
    let name = format!("{repository}:{reference}");
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        match header.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((method, name, body))
}

/// Builds in memory and pushes to the registry.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    pub(crate) memory: MemoryImageBuilder,
    pub(crate) registry: Registry,
}

#[async_trait]
impl ImageBuilder for Builder {
    fn flavor(&self) -> &str {
        "pushing"
    }

    fn is_building_locally(&self) -> bool {
        true
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    async fn build(&self, request: BuildRequest, events: EventSink) -> Result<BuildOutcome> {
        let image = request.image.clone();
        let is_pushed = request.registry.is_some();
        let mut outcome = self.memory.build(request, events).await?;
        if is_pushed {
            let name = format!("{}:{}", image.path(), image.tag_or_latest());
            let id = outcome.image_id.clone().unwrap_or_default();
            outcome.digest = Some(self.registry.put(&name, &id));
        }
        Ok(outcome)
    }
}
