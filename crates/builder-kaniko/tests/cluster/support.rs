//! A namespace of one's own in the cluster, and builds in it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wharf_builder_kaniko::{KanikoImageBuilder, KanikoImageBuilderConfig};
use wharf_core::event::{BuildEvent, EventSink};
use wharf_core::registry::ContainerRegistry;
use wharf_testkit::services;
use wharf_testkit::suite::Subject;

/// How long the cluster may take for something that it does by itself. A kubelet of 1.20 takes up to a minute to give a
/// pod back that was deleted before it ran.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

/// A namespace that goes with the test.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let client = client().await;
        let namespace = format!("wharf-test-{}-{count}", std::process::id());
        let world = Self { client, namespace };
        let object = serde_json::from_value(json!({"metadata": {"name": world.namespace}})).unwrap();
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        namespaces.create(&PostParams::default(), &object).await.unwrap();
        // Without its own account no pod is let in.
        let is_default = |account: &ServiceAccount| account.metadata.name.as_deref() == Some("default");
        until(&world.api(), &ListParams::default(), |accounts| {
            accounts.iter().any(is_default)
        })
        .await;
        world
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Settings that reach the registry of the tests, changed by what the test wants.
    pub(crate) fn config(&self, changes: Value) -> KanikoImageBuilderConfig {
        let mut config = json!({
            "kubeconfig": services::kubeconfig(),
            "kubernetes_namespace": self.namespace,
            "executor_image": services::kaniko_image(),
            "executor": "fork",
            "allow_local_registry": true,
            "pod_template": {"spec": {
                "hostNetwork": true,
                "containers": [{"name": "kaniko", "imagePullPolicy": "IfNotPresent"}],
            }},
        });
        let all = config.as_object_mut().unwrap();
        all.extend(changes.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    }

    pub(crate) fn subject(&self, changes: Value) -> Subject {
        subject(self.config(changes), services::open_registry())
    }

    /// Waits until nothing of any build is left.
    pub(crate) async fn is_empty(&self) {
        let of_builds = ListParams::default().labels("wharf/build");
        until(&self.api::<Job>(), &of_builds, <[Job]>::is_empty).await;
        until(&self.api::<Pod>(), &of_builds, <[Pod]>::is_empty).await;
        until(&self.api::<Secret>(), &of_builds, <[Secret]>::is_empty).await;
    }

    /// The pod of the one build in the namespace, once this holds for it.
    pub(crate) async fn pod(&self, holds: impl Fn(&Pod) -> bool) -> Pod {
        let pods = until(&self.api(), &ListParams::default(), |pods: &[Pod]| {
            pods.iter().any(&holds)
        })
        .await;
        pods.into_iter().find(|pod| holds(pod)).unwrap()
    }
}

/// Waits until this holds for the objects that are there, and gives them. The cluster tells when it is worth to look again.
pub(crate) async fn until<K>(api: &Api<K>, which: &ListParams, holds: impl Fn(&[K]) -> bool) -> Vec<K>
where
    K: Clone + Debug + DeserializeOwned + kube::Resource<DynamicType = ()>,
{
    let changes = WatchParams {
        label_selector: which.label_selector.clone(),
        ..WatchParams::default()
    };
    let watched = async {
        loop {
            let list = api.list(which).await.unwrap();
            if holds(&list.items) {
                return list.items;
            }
            let version = list.metadata.resource_version.unwrap();
            let mut news = api.watch(&changes, &version).await.unwrap().boxed();
            // Something has changed, or the watch has ended.
            let _ = news.next().await;
        }
    };
    let kind = K::kind(&());
    match tokio::time::timeout(PATIENCE, watched).await {
        Ok(objects) => objects,
        Err(_) => panic!("{kind}: not as expected within {PATIENCE:?}"),
    }
}

/// Builds an image that takes a tenth of a second for each line it prints. Every line must arrive once and in order, whatever
/// happens meanwhile: `arrived` is told how many have come.
pub(crate) async fn no_line_is_lost(
    subject: &Subject,
    name: &str,
    lines: usize,
    mut arrived: impl AsyncFnMut(usize),
) {
    let dockerfile = format!(
        "FROM PARENT\nRUN i=0; while [ $i -lt {lines} ]; do echo line-$i; i=$((i+1)); sleep 0.1; done\n"
    );
    let (request, _files) = subject.request(name, &dockerfile, &[]);
    let (sink, mut stream) = EventSink::channel();
    let build = subject.builder.build(request, sink);
    let watch = async {
        let mut seen = Vec::new();
        while let Some(event) = stream.next().await {
            if let BuildEvent::Log(line) = event.event
                && line.line.starts_with("line-")
            {
                seen.push(line.line);
                arrived(seen.len()).await;
            }
        }
        seen
    };
    let (result, seen) = tokio::join!(build, watch);
    assert!(result.is_ok(), "{}", result.unwrap_err().report());
    let expected: Vec<String> = (0..lines).map(|number| format!("line-{number}")).collect();
    assert_eq!(seen, expected);
}

impl Drop for World {
    fn drop(&mut self) {
        let (client, namespace) = (self.client.clone(), self.namespace.clone());
        // Only asked for: the cluster does it by itself.
        let removal = async move {
            let namespaces: Api<Namespace> = Api::all(client);
            let _ = namespaces.delete(&namespace, &DeleteParams::default()).await;
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(removal));
    }
}

pub(crate) fn subject(config: KanikoImageBuilderConfig, registry: Arc<dyn ContainerRegistry>) -> Subject {
    Subject {
        builder: Arc::new(KanikoImageBuilder::new(config).unwrap()),
        registry,
        closed_registry: services::registry_with_password(Some("wrong")),
        parent_image: services::pushed_busybox_image(),
    }
}

pub(crate) async fn client() -> Client {
    let kubeconfig = Kubeconfig::read_from(services::kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

pub(crate) fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// The facts of an error.
pub(crate) fn facts(error: &wharf_core::Error) -> BTreeMap<&'static str, String> {
    error
        .context()
        .map(|(key, value)| (key, value.to_owned()))
        .collect()
}
