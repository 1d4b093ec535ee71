//! An image has one digest, whoever pushes it.

use std::process::Command;
use std::sync::Arc;

use wharf::core::ImageReference;
use wharf::core::builder::{BuildRequest, ImageBuilder};
use wharf::core::event::EventSink;
use wharf::core::flavor::known::LocalImageBuilderConfig;
use wharf::core::{BuildContext, FileSource};
use wharf::local::LocalImageBuilder;
use wharf::registry::RegistryClient;
use wharf_testkit::services;

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .arg("--host")
        .arg(services::engine())
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

async fn pushed_by_wharf(image: &ImageReference, buildkit: bool) -> String {
    let host = Some(services::engine());
    let builder = LocalImageBuilder::new(LocalImageBuilderConfig {
        host,
        buildkit: Some(buildkit),
        ..Default::default()
    });
    let mut context = BuildContext::empty();
    let dockerfile = format!("FROM {}\nRUN date > /now\nLABEL a=b\n", services::busybox_image());
    context
        .add_file("Dockerfile", FileSource::Bytes(dockerfile.into()), None)
        .unwrap();
    let mut request = BuildRequest::new(image.clone(), context);
    request.registry = Some(services::open_registry());
    let outcome = builder.build(request, EventSink::discard()).await.unwrap();
    outcome.digest.unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine and a registry"]
async fn engine_registry_docker_push_gives_the_same_digest() {
    let client = RegistryClient::new(Arc::clone(&services::open_registry())).unwrap();
    for (name, buildkit) in [("buildkit", true), ("classic", false)] {
        let image: ImageReference = format!(
            "{}/digests/{name}:{}",
            services::registry_host(),
            std::process::id()
        )
        .parse()
        .unwrap();
        let wharf = pushed_by_wharf(&image, buildkit).await;
        let told = docker(&["push", &image.familiar()]);
        assert!(told.contains(&wharf), "{wharf} is not in {told}");
        assert_eq!(
            client.digest_of(&image).await.unwrap().unwrap().to_string(),
            wharf
        );
    }
}
