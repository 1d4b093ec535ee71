//! What is told about builds that fail.

use super::*;

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
