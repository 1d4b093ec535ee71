//! Options arrive as they were given, or are refused by name.

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;
use wharf_core::builder::BuildRequest;
use wharf_core::options::{BuildOption, BuildSecret, SecretSource};
use wharf_core::{BuildContext, ErrorKind, FileSource};
use wharf_registry::RegistryClient;

use super::subject::Subject;

/// Values that a shell, YAML or a query string would change.
const HARD_VALUES: [(&str, &str); 8] = [
    ("SPACES", "  two  spaces "),
    ("QUOTES", "it's \"quoted\""),
    ("COMMAND", "$(id) `id` ${HOME} $HOME"),
    ("SEMICOLON", "a; rm -rf /; b && c | d"),
    ("NEWLINE", "first\nsecond\n"),
    ("COLON", "key: value # no comment"),
    ("UNICODE", "grüße, 世界 🚢"),
    ("BACKSLASH", r"C:\new\table % 100"),
];

/// Every build argument and label reaches the image unchanged.
pub async fn build_args_and_labels_arrive_unchanged(subject: &Subject) {
    let mut dockerfile = String::from("FROM PARENT\n");
    for (name, _) in HARD_VALUES {
        // Substitution happens after the parser's quoting, so the value itself is not parsed again.
        dockerfile += &format!("ARG {name}\nLABEL arg.{name}=\"${{{name}}}\"\n");
    }
    let (mut request, _directory) = subject.request("values", &dockerfile, &[]);
    for (name, value) in HARD_VALUES {
        request.options.build_args.insert(name.into(), value.into());
        request
            .options
            .labels
            .insert(format!("label.{name}"), value.into());
    }
    let built = subject.build(request).await;
    built.outcome();
    let labels = labels(subject, &built.image).await;
    for (name, value) in HARD_VALUES {
        for key in [format!("arg.{name}"), format!("label.{name}")] {
            assert_eq!(labels.get(&key), Some(&json!(value)), "{key}");
        }
    }
}

async fn labels(
    subject: &Subject,
    image: &wharf_core::ImageReference,
) -> serde_json::Map<String, serde_json::Value> {
    let client = RegistryClient::new(subject.registry.clone()).expect("a client");
    let config = client.config(image).await.expect("the image's configuration");
    config["config"]["Labels"]
        .as_object()
        .cloned()
        .unwrap_or_default()
}

/// Only the stage that was asked for is built, and what stands behind it is not.
pub async fn the_target_stage_is_built(subject: &Subject) {
    let dockerfile =
        "FROM PARENT AS wanted\nLABEL stage=wanted\nFROM wanted AS other\nLABEL stage=other\nRUN false\n";
    let (mut request, _directory) = subject.request("target", dockerfile, &[]);
    request.options.target = Some("wanted".into());
    let built = subject.build(request).await;
    built.outcome();
    assert_eq!(labels(subject, &built.image).await["stage"], json!("wanted"));
}

/// Modes, links, empty directories and odd names arrive; what the rules exclude does not.
pub async fn the_context_arrives_as_it_is(subject: &Subject) {
    let dockerfile = "FROM PARENT\nCOPY . /ctx/\n\
        RUN test -x /ctx/run.sh && ! test -x /ctx/plain && test -L /ctx/link && test \"$(readlink /ctx/link)\" = run.sh\n\
        RUN test -d /ctx/empty && test -f '/ctx/na me/ü' && test \"$(cat '/ctx/na me/ü')\" = text\n\
        RUN ! test -e /ctx/secret.env && ! test -e /ctx/data/raw && test -f /ctx/data/kept && ! test -e /ctx/Dockerfile\n";
    let files = [
        (".dockerignore", "*.env\ndata\n!data/kept\nDockerfile\n"),
        ("run.sh", "#!/bin/sh\n"),
        ("plain", "x"),
        ("na me/ü", "text"),
        ("secret.env", "x"),
        ("data/raw", "x"),
        ("data/kept", "x"),
    ];
    let (request, directory) = subject.request("context", dockerfile, &files);
    let root = directory.path();
    std::fs::set_permissions(root.join("run.sh"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    std::fs::create_dir(root.join("empty")).expect("a directory");
    symlink("run.sh", root.join("link")).expect("a link");
    subject.build(request).await.outcome();
}

/// A file that is on no disk is sent again when its content changed, even if its length did not.
pub async fn added_files_are_told_apart_by_content(subject: &Subject) {
    for content in ["six==1.16.0", "six==1.17.0"] {
        let dockerfile = format!("FROM PARENT\nCOPY added /added\nRUN test \"$(cat /added)\" = {content}\n");
        let (mut request, _directory) = subject.request("added", &dockerfile, &[]);
        let file = FileSource::Bytes(content.into());
        request
            .context
            .add_file("added", file, None)
            .expect("a name inside the context");
        subject.build(request).await.outcome();
    }
    let mut request = subject.request("added", "FROM PARENT\n", &[]).0;
    for content in ["six==1.16.0", "six==1.17.0"] {
        let dockerfile = format!(
            "FROM {}\nCOPY added /added\nRUN test \"$(cat /added)\" = {content}\n",
            subject.parent_image
        );
        request.context = BuildContext::empty();
        for (name, text) in [("Dockerfile", dockerfile.as_str()), ("added", content)] {
            let file = FileSource::Bytes(text.to_owned().into());
            request
                .context
                .add_file(name, file, None)
                .expect("a name inside the context");
        }
        subject.build(request.clone()).await.outcome();
    }
}

/// Host names hold during `RUN`, or are refused.
pub async fn extra_hosts_are_honoured(subject: &Subject) {
    let dockerfile = "FROM PARENT\nRUN grep -q '10.1.2.3.*wharf-one' /etc/hosts && grep -q '10.1.2.4.*wharf-two' /etc/hosts\n";
    let (mut request, _directory) = subject.request("hosts", dockerfile, &[]);
    request
        .options
        .extra_hosts
        .insert("wharf-one".into(), "10.1.2.3".into());
    request
        .options
        .extra_hosts
        .insert("wharf-two".into(), "10.1.2.4".into());
    honoured_or_refused(subject, request, BuildOption::ExtraHosts).await;
}

/// The size of `/dev/shm` holds during `RUN`, or is refused.
pub async fn shared_memory_is_honoured(subject: &Subject) {
    let dockerfile = "FROM PARENT\nRUN df -k /dev/shm | grep -q ' 98304 '\n";
    let (mut request, _directory) = subject.request("shm", dockerfile, &[]);
    request.options.shm_size = Some(96 << 20);
    honoured_or_refused(subject, request, BuildOption::ShmSize).await;
}

/// Without a network a step has none, or the option is refused.
pub async fn a_build_without_network_has_none(subject: &Subject) {
    let dockerfile = "FROM PARENT\nRUN test \"$(ls /sys/class/net | grep -v lo | wc -l)\" = 0\n";
    let (mut request, _directory) = subject.request("network", dockerfile, &[]);
    request.options.network = Some("none".into());
    request.options.no_cache = true;
    honoured_or_refused(subject, request, BuildOption::Network).await;
}

async fn honoured_or_refused(subject: &Subject, request: BuildRequest, option: BuildOption) {
    let honoured = subject.builder.probe().await.expect("an answer").options;
    let built = subject.build(request).await;
    if honoured.contains(&option) {
        built.outcome();
        return;
    }
    assert_eq!(built.error().kind(), ErrorKind::Unsupported);
    assert!(
        built.error().message().contains(option.name()),
        "{}",
        built.error().message()
    );
}

/// A secret reaches the step that mounts it. It is not in the log, the events or the image's history; a
/// builder that has no secrets refuses the option by its name.
pub async fn secrets_reach_the_step_and_nothing_else(subject: &Subject) {
    const VALUE: &str = "planted-secret-value";
    let dockerfile = "FROM PARENT\nRUN --mount=type=secret,id=token \
        test \"$(cat /run/secrets/token)\" = planted-\"\"secret-value && cat /run/secrets/token && echo && echo done\n";
    let (mut request, _directory) = subject.request("secrets", dockerfile, &[]);
    request.options.no_cache = true;
    request.options.secrets = vec![BuildSecret {
        id: "token".into(),
        source: SecretSource::Value(VALUE.into()),
    }];
    let capabilities = subject.builder.probe().await.expect("an answer");
    let built = subject.build(request).await;
    if !capabilities.options.contains(&BuildOption::Secrets) {
        assert_eq!(built.error().kind(), ErrorKind::Unsupported);
        assert!(
            built.error().message().contains("`secrets`"),
            "{}",
            built.error().message()
        );
        return;
    }
    built.outcome();
    assert!(built.log().contains("***"), "{}", built.log());
    assert!(!format!("{:?}", built.events).contains(VALUE));
    let client = RegistryClient::new(subject.registry.clone()).expect("a client");
    let config = client
        .config(&built.image)
        .await
        .expect("the image's configuration");
    assert!(!config.to_string().contains(VALUE));
}

/// An option that wharf does not know is handed on, or refused by its name before anything is sent.
pub async fn unknown_options_are_passed_on_or_refused(subject: &Subject) {
    if subject
        .builder
        .probe()
        .await
        .expect("an answer")
        .passes_unknown_options
    {
        return;
    }
    let (mut request, _directory) = subject.request("unknown", "FROM PARENT\n", &[]);
    request.options.extra.insert("warp_speed".into(), json!(9));
    let built = subject.build(request).await;
    assert_eq!(built.error().kind(), ErrorKind::Unsupported);
    assert!(built.error().message().contains("`warp_speed`"));
    assert!(built.events.is_empty(), "{:?}", built.events);
}
