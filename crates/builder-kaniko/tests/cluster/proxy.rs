//! Builds through a connection to the API server that breaks.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use wharf_core::event::{BuildEvent, EventSink};
use wharf_testkit::services;

use crate::support::{World, no_line_is_lost};

/// Passes everything on to the API server, unless it is cut.
struct Proxy {
    address: SocketAddr,
    open: Arc<watch::Sender<bool>>,
    /// Connections that were not taken.
    refused: Arc<watch::Sender<usize>>,
}

impl Proxy {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(watch::channel(true).0);
        let refused = Arc::new(watch::channel(0).0);
        let (state, count) = (open.clone(), refused.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut state) = (server.clone(), state.subscribe());
                if !*state.borrow_and_update() {
                    count.send_modify(|count| *count += 1);
                    continue;
                }
                tokio::spawn(async move {
                    let mut upstream = TcpStream::connect(&server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut upstream) => {}
                        _ = state.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self {
            address,
            open,
            refused,
        }
    }

    /// Breaks every connection and takes no new one until so many were tried.
    async fn cut(&self, attempts: usize) {
        self.open.send_replace(false);
        let mut refused = self.refused.subscribe();
        let enough = *refused.borrow() + attempts;
        refused.wait_for(|refused| *refused >= enough).await.unwrap();
        self.open.send_replace(true);
    }
}

/// The cluster's kubeconfig with the proxy in place of the API server.
async fn through_a_proxy(directory: &std::path::Path) -> (Proxy, String) {
    let text = std::fs::read_to_string(services::kubeconfig()).unwrap();
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&text).unwrap();
    let server = kubeconfig.clusters[0]
        .cluster
        .as_ref()
        .unwrap()
        .server
        .clone()
        .unwrap();
    let host = server
        .trim_start_matches("https://")
        .trim_end_matches('/')
        .to_owned();
    let proxy = Proxy::to(host).await;
    let path = directory.join("kubeconfig");
    std::fs::write(
        &path,
        text.replace(&server, &format!("https://{}", proxy.address)),
    )
    .unwrap();
    (proxy, path.display().to_string())
}

fn config(kubeconfig: &str) -> Value {
    json!({"kubeconfig": kubeconfig})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_build_survives_an_api_server_that_goes_away_and_no_line_is_lost() {
    let world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let (proxy, kubeconfig) = through_a_proxy(directory.path()).await;
    let subject = world.subject(config(&kubeconfig));
    let cut = async |lines| {
        if [10, 40].contains(&lines) {
            proxy.cut(4).await;
        }
    };
    no_line_is_lost(&subject, "restart", 80, cut).await;
    world.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster and a registry"]
async fn a_connection_that_breaks_in_the_context_is_told_and_leaves_nothing() {
    let world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let (proxy, kubeconfig) = through_a_proxy(directory.path()).await;
    let subject = world.subject(config(&kubeconfig));
    let (request, files) = subject.request("broken", "FROM PARENT\nCOPY . /x\n", &[]);
    let noise: Vec<u8> = (0..60_000_000_u64)
        .map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect();
    std::fs::write(files.path().join("noise"), noise).unwrap();
    let (sink, mut stream) = EventSink::channel();
    let build = subject.builder.build(request, sink);
    let watch = async {
        let mut is_cut = false;
        while let Some(event) = stream.next().await {
            if matches!(&event.event, BuildEvent::Context(progress) if progress.bytes > 20_000_000) && !is_cut
            {
                is_cut = true;
                proxy.cut(1).await;
            }
        }
        is_cut
    };
    let (result, is_cut) = tokio::join!(build, watch);
    assert!(is_cut);
    let error = result.unwrap_err();
    assert!(
        error.is_retryable() && error.report().contains("connection to the pod broke"),
        "{}",
        error.report()
    );
    world.is_empty().await;
}
