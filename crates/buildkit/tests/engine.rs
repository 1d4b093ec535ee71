//! Builds on a real Docker engine, named by `WHARF_TEST_ENGINE` (`unix:///var/run/docker.sock`).
//!
//! The engine runs on this machine: some tests look for a step's process.

mod support;

use std::time::Duration;

use support::*;
use wharf_buildkit::{
    BuildDefinition, BuildFailure, CredentialSource, Exporter, MemorySource, RegistryCredentials,
    SecretBytes, Session,
};
use wharf_core::ErrorKind;
use wharf_core::event::{BuildEvent, EventSink, StepState, Stream};

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_context_is_copied_into_an_image() {
    let name = unique("scratch");
    let files =
        MemorySource::new()
            .with("data/one", "1", 0o640, time(1))
            .with("data/deep/two", "22", 0o755, time(2));
    let dockerfile = format!("FROM scratch\nLABEL a=b\nCOPY data /{name}\n");
    let definition = BuildDefinition::new().with_export(Exporter::engine([name.as_str()]));
    let built = build(definition, session(&dockerfile, files)).await;
    let outcome = built.result.as_ref().unwrap();
    assert_eq!(outcome.transferred.files, 2);
    assert_eq!(outcome.transferred.bytes, 3);
    let image = Engine::new().get(&format!("/images/{name}/json")).await;
    assert!(image.contains(outcome.image_digest().unwrap()), "{image}");
    assert!(image.contains(r#""Labels":{"a":"b"}"#), "{image}");
    let done = built.events.iter().any(|event| {
        matches!(event, BuildEvent::Context(context) if context.done && context.bytes == 3 && context.files == 2)
    });
    assert!(done, "{:?}", built.events);
    let step = built.step("COPY data /");
    assert_eq!(step.state, StepState::Done);
    assert!(step.started.is_some() && step.completed >= step.started);
    assert!(built.has_step("[internal] load build definition from Dockerfile"));
    Engine::new().remove(&name).await;
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_rebuild_sends_only_what_changed() {
    let key = unique("rebuild");
    // The engine knows steps by their content, so that no two runs may be alike.
    let dockerfile = format!("FROM scratch\nCOPY . /{key}\n");
    let files = |changed: &'static str, seconds| {
        (0..50u64)
            .fold(MemorySource::new(), |files, number| {
                files.with(
                    format!("dir{}/file{number}", number % 5),
                    vec![b'x'; 10_000],
                    0o644,
                    time(number),
                )
            })
            .with("changed", changed, 0o644, time(seconds))
    };
    let sent = async |files| {
        let session = session(&dockerfile, files).with_shared_key(&key);
        let built = build(BuildDefinition::new(), session).await;
        let transferred = built.result.as_ref().unwrap().transferred;
        (transferred.files, transferred.bytes, built.step("COPY . /").state)
    };
    assert_eq!(sent(files("first", 1)).await, (51, 500_005, StepState::Done));
    assert_eq!(sent(files("first", 1)).await, (0, 0, StepState::Cached));
    assert_eq!(sent(files("second", 2)).await, (1, 6, StepState::Done));
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn steps_get_secrets_and_nobody_else_does() {
    let base = busybox();
    let dockerfile = format!(
        "FROM {base}\n\
         RUN --mount=type=secret,id=text test \"$(cat /run/secrets/text)\" = 'p\u{e4}ss word'\n\
         RUN --mount=type=secret,id=bytes sha256sum /run/secrets/bytes && wc -c < /run/secrets/bytes\n\
         RUN test ! -e /run/secrets/text\n"
    );
    let bytes: Vec<u8> = (0..wharf_buildkit::MAX_SECRET_BYTES)
        .map(|index| (index % 251) as u8)
        .collect();
    let hash = sha256(&bytes);
    let session = session(&dockerfile, MemorySource::new())
        .with_secret("text", wharf_core::Secret::new("p\u{e4}ss word"))
        .with_secret("bytes", SecretBytes::new(bytes));
    let built = build(BuildDefinition::new().without_cache(), session).await;
    assert!(built.result.is_ok(), "{:?}", built.result);
    assert!(built.log().contains(&hash), "{}", built.log());
    assert!(built.log().contains("512000"));
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_missing_secret_is_named() {
    let dockerfile = format!(
        "FROM {}\nRUN --mount=type=secret,id=absent,required=true cat /run/secrets/absent\n",
        busybox()
    );
    let with_none = session(&dockerfile, MemorySource::new());
    let with_other = with_none.clone().with_secret("other", SecretBytes::new(vec![1]));
    for session in [with_none, with_other] {
        let built = build(BuildDefinition::new().without_cache(), session).await;
        let error = built.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.report());
        assert!(error.report().contains("absent"), "{}", error.report());
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn steps_use_the_ssh_agent_for_keys_only() {
    let agent = Agent::start();
    // It asks for the keys, and then for all of them to be removed.
    let script = "import os, socket\n\
        agent = socket.socket(socket.AF_UNIX)\n\
        agent.connect(os.environ['SSH_AUTH_SOCK'])\n\
        for message in (11, 19):\n    agent.sendall(bytes([0, 0, 0, 1, message]))\n    print(agent.recv(99).hex())\n";
    let dockerfile = format!(
        "FROM {}\nCOPY ask.py /\nRUN --mount=type=ssh python3 /ask.py\n",
        python()
    );
    let files = MemorySource::new().with_file("ask.py", script);
    let session = session(&dockerfile, files).with_ssh_agent("default", agent.socket());
    let built = build(BuildDefinition::new().without_cache(), session).await;
    assert!(built.result.is_ok(), "{:?}", built.result);
    // The agent's answer (no keys), and a failure that is ours.
    assert_eq!(built.log(), "000000050c00000000\n0000000105");
    assert_eq!(agent.asked(), [11]);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_missing_ssh_agent_is_told() {
    let dockerfile = format!("FROM {}\nRUN --mount=type=ssh,required=true true\n", busybox());
    let built = build(
        BuildDefinition::new().without_cache(),
        session(&dockerfile, MemorySource::new()),
    )
    .await;
    let error = built.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.report());
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_cache_mount_outlives_its_build() {
    let id = unique("cache");
    let dockerfile = format!(
        "FROM {}\nARG N\nRUN --mount=type=cache,id={id},target=/cache echo run$N >> /cache/log; cat /cache/log\n",
        busybox()
    );
    for (number, expected) in [("1", "run1"), ("2", "run1\nrun2")] {
        let definition = BuildDefinition::new().with_build_arg("N", number);
        let built = build(definition, session(&dockerfile, MemorySource::new())).await;
        assert!(built.result.is_ok(), "{:?}", built.result);
        assert_eq!(built.log(), expected);
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_failing_step_says_where_it_stands() {
    let dockerfile = format!(
        "# a comment\nFROM {} AS build\nENV A=1\nRUN echo to-stdout && \\\n    echo to-stderr >&2 && exit 42\n",
        busybox()
    );
    let definition = BuildDefinition::new()
        .with_filename("app.Dockerfile")
        .without_cache();
    let files = MemorySource::new().with_file("app.Dockerfile", dockerfile.clone());
    let session = Session::new()
        .with_directory("context", MemorySource::new())
        .with_directory("dockerfile", files);
    let built = build(definition, session).await;
    let error = built.result.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BuildFailed, "{}", error.report());
    let failure = std::error::Error::source(error).and_then(|source| source.downcast_ref::<BuildFailure>());
    let failure = failure.expect("what failed");
    assert_eq!(failure.exit_code, Some(42));
    let location = failure.location.as_ref().expect("a place");
    assert_eq!(
        (location.file.as_str(), location.first_line, location.last_line),
        ("app.Dockerfile", 4, 5)
    );
    assert_eq!(location.text.as_deref(), Some(dockerfile.as_str()));
    let step = built.step("RUN echo to-stdout");
    assert_eq!(failure.step.as_ref(), Some(&step.id));
    assert!(matches!(step.state, StepState::Failed { .. }));
    assert_eq!(built.lines(Stream::Stdout), ["to-stdout"]);
    assert_eq!(built.lines(Stream::Stderr), ["to-stderr"]);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_cancelled_build_leaves_no_process() {
    let marker = marker();
    let dockerfile = format!("FROM {}\nRUN echo begun && sleep {marker}\n", busybox());
    let cancel = tokio_util::sync::CancellationToken::new();
    let mut running = Running::start(
        BuildDefinition::new().without_cache(),
        session(&dockerfile, MemorySource::new()),
        &cancel,
    );
    running.wait_for_line("begun").await;
    until(|| is_running(&marker)).await;
    cancel.cancel();
    let built = tokio::time::timeout(Duration::from_secs(20), running.finish())
        .await
        .unwrap();
    let error = built.result.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(!is_running(&marker), "the call returns when the work has stopped");
    assert_eq!(built.step("RUN echo begun").state, StepState::Cancelled);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_dropped_build_leaves_no_process() {
    let marker = marker();
    let dockerfile = format!("FROM {}\nRUN echo begun && sleep {marker}\n", busybox());
    let cancel = tokio_util::sync::CancellationToken::new();
    let mut running = Running::start(
        BuildDefinition::new().without_cache(),
        session(&dockerfile, MemorySource::new()),
        &cancel,
    );
    running.wait_for_line("begun").await;
    until(|| is_running(&marker)).await;
    running.abort();
    until(|| !is_running(&marker)).await;
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn many_and_large_files_arrive_whole() {
    let mut large = vec![0u8; 20 << 20];
    large
        .iter_mut()
        .enumerate()
        .for_each(|(index, byte)| *byte = (index * 31 % 253) as u8);
    let hash = sha256(&large);
    let files = (0..3000u64).fold(MemorySource::new(), |files, number| {
        files.with(
            format!("many/{}/{number}", number % 17),
            format!("{number}\n"),
            0o644,
            time(number),
        )
    });
    let files = files
        .with("large", large, 0o600, time(1))
        .with("empty", "", 0o644, time(1));
    let dockerfile = format!(
        "FROM {}\nCOPY . /ctx\nRUN sha256sum /ctx/large; find /ctx -type f | wc -l; wc -c < /ctx/empty; \
         cat /ctx/many/*/* | sort -n | sha256sum\n",
        busybox()
    );
    let sorted: String = (0..3000).map(|number| format!("{number}\n")).collect();
    let session = session(&dockerfile, files).with_shared_key(unique("many"));
    let built = build(BuildDefinition::new().without_cache(), session).await;
    assert_eq!(built.result.as_ref().unwrap().transferred.files, 3002);
    let log = built.log();
    let expected = [
        format!("{hash}  /ctx/large"),
        "3002".into(),
        "0".into(),
        format!("{}  -", sha256(sorted.as_bytes())),
    ];
    assert_eq!(log.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn modes_and_links_arrive_as_they_are() {
    let source = Listing::new()
        .file("bin/tool", "x", 0o4755)
        .directory("shared", 0o1777)
        .file("real/inner", "inside", 0o600)
        .link("link", "real")
        .link("dangling", "/nowhere/at/all");
    let dockerfile = format!(
        "FROM {}\nCOPY . /all\nCOPY link/inner /followed\n\
         RUN stat -c '%a %u:%g %n' /all/bin/tool /all/shared /all/real/inner; readlink /all/link; readlink /all/dangling; cat /followed\n",
        busybox()
    );
    let session = Session::new().with_directory("context", source).with_directory(
        "dockerfile",
        MemorySource::new().with_file("Dockerfile", dockerfile),
    );
    let built = build(BuildDefinition::new().without_cache(), session).await;
    assert!(built.result.is_ok(), "{:?}", built.result);
    let expected = "4755 0:0 /all/bin/tool\n1777 0:0 /all/shared\n600 0:0 /all/real/inner\nreal\n/nowhere/at/all\ninside";
    assert_eq!(built.log(), expected);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn only_what_a_copy_needs_is_sent() {
    let source = Listing::new()
        .file("wanted/file", "1", 0o644)
        .file("target/through", "22", 0o644)
        .link("link", "target")
        .file("other/large", &"x".repeat(100_000), 0o644);
    let dockerfile = format!(
        "FROM scratch\nCOPY wanted /w\nCOPY link/through /t\n# {}\n",
        unique("needs")
    );
    let session = Session::new()
        .with_directory("context", source)
        .with_directory(
            "dockerfile",
            MemorySource::new().with_file("Dockerfile", dockerfile),
        )
        .with_shared_key(unique("needs"));
    let built = build(BuildDefinition::new(), session).await;
    assert_eq!(built.result.unwrap().transferred.bytes, 3);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn the_ignore_file_is_applied() {
    let mut ignore: String = (0..3000)
        .map(|number| format!("**/generated-{number}/*.tmp\n"))
        .collect();
    ignore.push_str("*.log\nnode\n!node/keep\n\u{fc}ber*\n");
    let files = MemorySource::new()
        .with_file(".dockerignore", ignore)
        .with_file("a.log", "1")
        .with_file("b.txt", "22")
        .with_file("node/drop", "333")
        .with_file("node/keep", "4444")
        .with_file("\u{fc}berfl\u{fc}ssig", "55555")
        .with_file("x/generated-2999/z.tmp", "666666");
    let dockerfile = format!("FROM {}\nCOPY . /c\nRUN cd /c && find . | sort\n", busybox());
    let built = build(
        BuildDefinition::new().without_cache(),
        session(&dockerfile, files),
    )
    .await;
    assert!(built.result.is_ok(), "{:?}", built.result);
    assert_eq!(
        built.log(),
        ".\n./.dockerignore\n./b.txt\n./node\n./node/keep\n./x\n./x/generated-2999"
    );
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn wrong_input_is_told_apart() {
    let base = busybox();
    let run = async |dockerfile: &str, definition: BuildDefinition| {
        let built = build(definition, session(dockerfile, MemorySource::new())).await;
        built.result.expect_err(dockerfile)
    };
    let plain = BuildDefinition::new;
    let cases = [
        (
            format!("FROM {base}\n"),
            plain().with_target("nosuch"),
            ErrorKind::NotFound,
            "nosuch",
        ),
        (
            format!("FROM {base}\nFOO x\n"),
            plain(),
            ErrorKind::InvalidInput,
            "Dockerfile:2: FOO x",
        ),
        (String::new(), plain(), ErrorKind::InvalidInput, "empty"),
        (
            format!("FROM {base}\n"),
            plain().with_filename("absent"),
            ErrorKind::NotFound,
            "absent",
        ),
        (
            format!("FROM {base}\nCOPY absent /\n"),
            plain(),
            ErrorKind::BuildFailed,
            "Dockerfile:2: COPY absent /",
        ),
        (
            "FROM 127.0.0.1:1/nobody/home:1\n".into(),
            plain(),
            ErrorKind::Unavailable,
            "connection refused",
        ),
    ];
    for (dockerfile, definition, kind, part) in cases {
        let error = run(&dockerfile, definition).await;
        assert_eq!(error.kind(), kind, "{dockerfile}: {}", error.report());
        assert!(error.report().contains(part), "{dockerfile}: {}", error.report());
        assert!(
            error.report().contains("help: "),
            "{dockerfile}: {}",
            error.report()
        );
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn what_fails_on_our_side_is_told_in_our_words() {
    let dockerfile = "FROM scratch\nCOPY . /\n";
    let session = Session::new()
        .with_directory("context", Listing::new().file("ok", "1", 0o644).growing("grows"))
        .with_directory(
            "dockerfile",
            MemorySource::new().with_file("Dockerfile", dockerfile),
        )
        .with_shared_key(unique("grows"));
    let error = build(BuildDefinition::new(), session).await.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{}", error.report());
    assert!(error.report().contains("path: grows"), "{}", error.report());
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn options_reach_the_steps() {
    let dockerfile = format!(
        "FROM {}\nARG A\nRUN echo \"$A\"; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; grep named /etc/hosts\n",
        busybox()
    );
    let definition = BuildDefinition::new()
        .without_cache()
        .with_build_arg("A", "x=$y \"z\"")
        .with_host("named", "10.1.2.3");
    let built = build(definition, session(&dockerfile, MemorySource::new())).await;
    assert!(built.result.is_ok(), "{:?}", built.result);
    let log = built.log();
    assert!(log.starts_with("x=$y \"z\"\n"), "{log}");
    assert!(log.contains("10.1.2.3\tnamed"), "{log}");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_session_can_travel_inside_of_a_control_call() {
    let name = unique("direct");
    let files = MemorySource::new().with_file("file", vec![b'x'; 3 << 20]);
    let dockerfile = format!(
        "FROM {}\nCOPY file /{name}\nRUN --mount=type=secret,id=s wc -c < /{name}; cat /run/secrets/s\n",
        busybox()
    );
    let session = session(&dockerfile, files).with_secret("s", SecretBytes::new(b"told".to_vec()));
    let (sink, mut stream) = EventSink::channel();
    let cancel = tokio_util::sync::CancellationToken::new();
    let outcome = direct_client()
        .build(BuildDefinition::new(), session, sink, &cancel)
        .await
        .unwrap();
    assert_eq!(outcome.transferred.bytes, 3 << 20);
    let events = stream.drain().into_iter().map(|event| event.event).collect();
    let built = Built {
        result: Ok(outcome),
        events,
    };
    assert_eq!(built.log(), "3145728\ntold");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn the_daemon_tells_about_itself() {
    let client = client();
    let workers = client.workers().await.unwrap();
    assert!(
        workers[0]
            .platforms
            .iter()
            .any(|platform| platform.starts_with("linux/")),
        "{workers:?}"
    );
    client.version().await.unwrap();
    let dockerfile = format!("FROM scratch\nCOPY Dockerfile /\n# {}\n", unique("usage"));
    let files = MemorySource::new().with_file("Dockerfile", dockerfile.clone());
    build(BuildDefinition::new(), session(&dockerfile, files))
        .await
        .result
        .unwrap();
    let records = client.disk_usage().await.unwrap();
    assert!(
        records.iter().any(|record| record.kind == "source.local"),
        "{records:?}"
    );
}

/// The same login for every registry, if there is one.
struct Login(Option<(String, String)>);

#[async_trait::async_trait]
impl CredentialSource for Login {
    async fn credentials(&self, _: &str) -> wharf_core::Result<Option<RegistryCredentials>> {
        Ok(self.0.clone().map(|(username, password)| RegistryCredentials {
            username,
            secret: password.into(),
        }))
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine and a registry with a password"]
async fn registry_credentials_open_private_parents() {
    let (user, password, host) = registry();
    let parent = format!("{host}/{}", unique("private"));
    Engine::new().push(&busybox(), &parent, &user, &password).await;
    let dockerfile = format!("FROM {parent}:1\nRUN true\n");
    let run = async |login: Option<&str>| {
        let login = Login(login.map(|password| (user.clone(), password.to_owned())));
        let session = session(&dockerfile, MemorySource::new()).with_credentials(login);
        build(BuildDefinition::new(), session).await.result
    };
    for wrong in [None, Some("wrong")] {
        let error = run(wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.report());
        assert!(error.hint().is_some());
        assert!(!error.report().contains(&password));
    }
    run(Some(&password)).await.unwrap();
}
