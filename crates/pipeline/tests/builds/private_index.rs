//! Package indexes with a password, which must be in no image and no log.

use serde_json::{Value, json};
use wharf_core::ErrorKind;

use crate::index::Index;
use crate::support::{Built, Project, Way};

const USER: &str = "reader";
const PASSWORD: &str = "planted-f00d-password";

fn index() -> Index {
    Index::start(&[("secretive", "1.5", 10)], Some((USER, PASSWORD)))
}

fn settings(more: Value) -> Value {
    let mut settings = json!({
        "build_config": {"build_options": {"network": "host"}},
        "requirements": ["secretive"],
    });
    settings
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    settings
}

/// The package is there and the password is nowhere.
fn check(built: &Built) {
    let way = built.way;
    assert_eq!(
        built.python("import secretive; print(secretive.VERSION)"),
        "1.5\n"
    );
    let image = built.image();
    let told = [
        way.docker(&["history", "--no-trunc", image]),
        way.inspect(image).to_string(),
        format!("{:?}", built.events),
        format!("{:?}", built.plan),
        format!("{:?}", built.execution),
        serde_json::to_string(&built.plan).unwrap(),
    ];
    for text in told {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    // `save` writes every layer, uncompressed.
    let archive = tempfile::NamedTempFile::new().unwrap();
    way.docker(&["save", "--output", &archive.path().display().to_string(), image]);
    let bytes = std::fs::read(archive.path()).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("secretive"), "the layers can be searched");
    assert!(!has(PASSWORD), "a layer holds the password");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn engine_credentials_of_options_and_requirements_are_build_secrets() {
    let index = index();
    let login = format!("{USER}:{PASSWORD}@");
    let project = Project::new().variable("INDEX_TOKEN", PASSWORD).file(
        "requirements.txt",
        format!(
            "--extra-index-url {}\nsecretive\n",
            index.url(&format!("{USER}:${{INDEX_TOKEN}}@"))
        ),
    );
    for installer in ["pip", "uv"] {
        let option = json!({
            "python_package_installer": installer,
            "python_package_installer_args": {"extra-index-url": index.url(&login)},
        });
        check(&project.build(Way::BuildKit, settings(option)).await);
        let file = json!({"python_package_installer": installer, "requirements": "requirements.txt"});
        check(&project.build(Way::BuildKit, settings(file)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn engine_logins_of_this_machine_reach_the_hosts_that_are_named() {
    let index = index();
    let host = index.host().split(':').next().unwrap();
    let netrc = format!(
        "machine {host} login {USER} password {PASSWORD}\nmachine other.example login a password planted-other\n"
    );
    let project = Project::new().file("netrc", netrc);
    let path = project.root().join("netrc").display().to_string();
    let project = project.variable("NETRC", &path);
    for installer in ["pip", "uv"] {
        let option = json!({
            "python_package_installer": installer,
            "python_package_installer_args": {"extra-index-url": index.url("")},
            "allow_including_files_in_images": false,
        });
        check(&project.build(Way::BuildKit, settings(option)).await);
    }
    let project = Project::new()
        .variable("NETRC", "/nowhere")
        .variable("UV_INDEX_MINE_USERNAME", USER)
        .variable("UV_INDEX_MINE_PASSWORD", PASSWORD);
    let option = json!({"python_package_installer_args": {"index": format!("mine={}", index.url(""))}});
    check(&project.build(Way::BuildKit, settings(option)).await);
}

async fn refused(way: Way) {
    let index = index();
    let project = Project::new();
    let option = json!({
        "build_config": {},
        "python_package_installer_args": {"index-url": index.url(&format!("{USER}:{PASSWORD}@"))},
    });
    let error = project
        .plan(way, settings(option), &[("step", json!({}))])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let report = error.report();
    assert!(
        report.contains("BuildKit") && !report.contains(PASSWORD),
        "{report}"
    );

    // The user may still write them into the image, and is told what that means.
    let variable = json!({
        "build_config": {},
        "environment": {"PIP_INDEX_URL": index.url(&format!("{USER}:{PASSWORD}@"))},
    });
    let plan = project
        .plan(way, settings(variable), &[("step", json!({}))])
        .await
        .unwrap();
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.contains("PIP_INDEX_URL")),
        "{:?}",
        plan.warnings
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn engine_the_classic_builder_refuses_credentials_and_names_who_can() {
    refused(Way::Classic).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Podman"]
async fn podman_refuses_credentials_and_names_who_can() {
    refused(Way::Podman).await;
}
