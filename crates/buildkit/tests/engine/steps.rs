//! What steps are given, and how they are stopped.

use super::*;

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
    // In the command too: the mount's id alone makes no new step.
    let id = unique("cache");
    let dockerfile = format!(
        "FROM {}\nARG N\nRUN --mount=type=cache,id={id},target=/cache : {id}; echo run$N >> /cache/log; cat /cache/log\n",
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
