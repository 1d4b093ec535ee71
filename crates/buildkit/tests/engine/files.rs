//! What is sent, and how it arrives.

use super::*;

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
