//! The way into the cluster.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::client::ClientBuilder;
use kube::client::retry::RetryPolicy;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;
use wharf_core::Result;
use wharf_core::flavor::known::KanikoImageBuilderConfig;

use crate::error::{configuration, from_kube};

/// A connection that brings nothing for so long is taken for dead. The API server ends a watch before that.
const SILENCE: Duration = Duration::from_secs(320);

/// More than one build ever has under way.
const REQUESTS_AT_ONCE: usize = 64;

/// The cluster, and the namespace in it that builds run in.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// For requests, watches and logs.
    pub(crate) client: Client,
    /// For the context, whose connection brings nothing from the other side for as long as it takes.
    pub(crate) upload: Client,
    pub(crate) namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig, or what the cluster that this runs in provides. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`InvalidConfiguration`](wharf_core::ErrorKind::InvalidConfiguration) when there is neither, or no context of
    /// that name.
    pub(crate) async fn open(config: &KanikoImageBuilderConfig) -> Result<Self> {
        // Whatever else is linked in: this is the one that wharf uses everywhere.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut upload = kube_config(config).await?;
        upload.read_timeout = None;
        let mut requests = upload.clone();
        requests.read_timeout = Some(SILENCE);
        Ok(Self {
            client: retrying(requests)?,
            upload: Client::try_from(upload).map_err(from_kube)?,
            namespace: config.kubernetes_namespace.clone(),
        })
    }

    /// The objects of a kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// A client that asks again where the API server says that it has too much to do.
fn retrying(config: Config) -> Result<Client> {
    let builder = ClientBuilder::try_from(config).map_err(from_kube)?;
    let builder = builder.with_layer(&BufferLayer::new(REQUESTS_AT_ONCE));
    Ok(builder
        .with_layer(&RetryLayer::new(RetryPolicy::default()))
        .build())
}

async fn kube_config(config: &KanikoImageBuilderConfig) -> Result<Config> {
    let kubeconfig = match (&config.kubeconfig, &config.kubernetes_context) {
        (None, None) => return Config::infer().await.map_err(configuration),
        (Some(path), _) => Kubeconfig::read_from(path),
        (None, Some(_)) => Kubeconfig::read(),
    };
    let options = KubeConfigOptions {
        context: config.kubernetes_context.clone(),
        ..KubeConfigOptions::default()
    };
    let kubeconfig = kubeconfig.map_err(configuration)?;
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(configuration)
}
