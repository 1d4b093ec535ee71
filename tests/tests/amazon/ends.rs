//! Builds that end in another way: they fail, are refused, stopped, cancelled or killed.

use std::time::Duration;

use serde_json::{Value, json};
use wharf::core::ErrorKind;
use wharf::core::builder::ImageBuilder;
use wharf::core::event::{BuildEvent, EventSink};
use wharf::registry::RegistryClient;
use wharf_testkit::codebuild::{Behaviour, Fault};

use super::setup::{Ended, Setup};

async fn is_pushed(setup: &Setup, image: &wharf::core::ImageReference) -> bool {
    let client = RegistryClient::new(setup.registry.clone()).unwrap();
    client.digest_of(image).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_build_that_fails_pushes_nothing() {
    for knows_on_failure in [true, false] {
        let setup = Setup::with(Behaviour {
            knows_on_failure,
            ..Behaviour::default()
        })
        .await;
        let (request, _directory) = setup.request("FROM PARENT\nRUN echo last-words && exit 7\n", &[]);
        let image = request.image.clone();
        let ended = setup.build(&setup.builder(json!({})), request).await;
        let report = ended.error().report();
        assert_eq!(ended.error().kind(), ErrorKind::BuildFailed);
        for part in [
            "exit code: 7",
            "dockerfile_line: 2",
            "phase: BUILD",
            "COMMAND_EXECUTION_ERROR",
            "console: https://",
        ] {
            assert!(report.contains(part), "{part} in {report}");
        }
        assert!(!is_pushed(&setup, &image).await);
        setup.assert_nothing_is_left().await;
    }
}

/// What goes wrong, what the error must be, and what it must say.
async fn explained(setup: &Setup, settings: Value, dockerfile: &str, kind: ErrorKind, part: &str) -> Ended {
    let ended = setup.build_file(settings, dockerfile).await;
    let report = ended.error().report();
    assert_eq!(ended.error().kind(), kind, "{report}");
    assert!(report.contains(part), "{part} in {report}");
    assert!(ended.error().hint().is_some(), "{report}");
    setup.assert_nothing_is_left().await;
    ended
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_what_went_wrong_is_explained() {
    use ErrorKind::{InvalidConfiguration, NotFound, PermissionDenied, ResourceExhausted};
    let setup = Setup::new().await;
    let good = "FROM PARENT\nRUN true\n";
    let killed = "FROM PARENT\nRUN sh -c 'kill -9 $$'; exit $?\n";
    explained(
        &setup,
        json!({"privileged_mode": false}),
        good,
        InvalidConfiguration,
        "privileged_mode: true",
    )
    .await;
    explained(
        &setup,
        json!({"code_build_project": "nobody-s"}),
        good,
        NotFound,
        "nobody-s",
    )
    .await;
    explained(
        &setup,
        json!({"build_image": "wharf-test/none:1"}),
        good,
        InvalidConfiguration,
        "build_image",
    )
    .await;
    explained(
        &setup,
        json!({}),
        killed,
        ResourceExhausted,
        "BUILD_GENERAL1_MEDIUM",
    )
    .await;
    setup.service.fail("StartBuild", Fault::Denied, 1);
    explained(&setup, json!({}), good, PermissionDenied, "codebuild:StartBuild").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_fault_and_lost_modes_are_told() {
    let setup = Setup::with(Behaviour {
        has_a_fault: true,
        ..Behaviour::default()
    })
    .await;
    let ended = explained(
        &setup,
        json!({}),
        "FROM PARENT\n",
        ErrorKind::Unavailable,
        "CodeBuild itself failed",
    )
    .await;
    assert!(ended.error().is_retryable());
    let setup = Setup::with(Behaviour {
        keeps_modes: false,
        ..Behaviour::default()
    })
    .await;
    let ended = setup.build_file(json!({}), "FROM PARENT\n").await;
    assert!(
        ended.error().report().contains("without its modes or links"),
        "{}",
        ended.error().report()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_build_that_takes_too_long_is_told() {
    let setup = Setup::with(Behaviour {
        minute: Duration::from_millis(1500),
        ..Behaviour::default()
    })
    .await;
    let slow = "FROM PARENT\nRUN sleep 600\n";
    explained(
        &setup,
        json!({"timeout_minutes": 5}),
        slow,
        ErrorKind::Timeout,
        "timeout_minutes",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_log_that_may_not_be_read_is_a_warning() {
    let setup = Setup::new().await;
    setup.service.fail("GetLogEvents", Fault::Denied, 1000);
    let ended = setup.build_file(json!({}), "FROM PARENT\nRUN true\n").await;
    ended.outcome();
    assert!(
        ended.warnings().contains("log of the build cannot be read"),
        "{}",
        ended.warnings()
    );
}

/// Does something when the build's step runs, and gives how the build ended.
async fn when_it_runs(
    setup: &Setup,
    act: impl AsyncFnOnce(&tokio_util::sync::CancellationToken),
) -> wharf::core::Result<()> {
    let (mut request, _directory) = setup.request("FROM PARENT\nRUN echo begun && sleep 600\n", &[]);
    request.options.no_cache = true;
    let cancel = request.cancel.clone();
    let (sink, mut stream) = EventSink::channel();
    let builder = setup.builder(json!({}));
    let build = builder.build(request, sink);
    let watch = async {
        let mut act = Some(act);
        while let Some(event) = stream.next().await {
            let begun = matches!(&event.event, BuildEvent::Log(line) if line.line.trim() == "begun");
            if let (true, Some(act)) = (begun, act.take_if(|_| begun)) {
                act(&cancel).await;
            }
        }
    };
    let both = async { tokio::join!(build, watch).0 };
    tokio::time::timeout(Duration::from_secs(90), both)
        .await
        .expect("an end")
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_cancelled_build_is_stopped() {
    let setup = Setup::new().await;
    let error = when_it_runs(&setup, async |cancel| cancel.cancel())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(setup.count("StopBuild"), 1);
    setup.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_busy_service_stops_a_cancelled_build_all_the_same() {
    let setup = Setup::new().await;
    setup.service.fail("StopBuild", Fault::Throttled, 1);
    setup.service.fail("StopBuild", Fault::ServerError, 1);
    let error = when_it_runs(&setup, async |cancel| cancel.cancel())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(setup.count("StopBuild"), 3);
    assert_eq!(setup.service.builds()[0]["buildStatus"], "STOPPED");
    setup.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_build_stopped_from_outside_is_told() {
    let setup = Setup::new().await;
    let error = when_it_runs(&setup, async |_| {
        let id = setup.service.builds()[0]["id"].as_str().unwrap().to_owned();
        let aws = super::client::Aws::new(&setup);
        aws.run(&["codebuild", "stop-build", "--id", &id]).await;
    })
    .await
    .unwrap_err();
    assert!(
        error.message().contains("somebody stopped the build"),
        "{}",
        error.report()
    );
    setup.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_dropped_build_is_stopped() {
    let setup = Setup::new().await;
    let (mut request, _directory) = setup.request("FROM PARENT\nRUN sleep 600\n", &[]);
    request.options.no_cache = true;
    let builder = setup.builder(json!({}));
    let build = builder.build(request, EventSink::discard());
    let running = setup.service.until(async || {
        let builds = setup.service.builds();
        builds
            .first()
            .is_some_and(|build| build["currentPhase"] == "BUILD")
    });
    tokio::select! {
        ended = build => panic!("{ended:?}"),
        () = running => {}
    }
    let gone = setup.service.until(async || {
        setup.service.builds()[0]["buildStatus"] == "STOPPED"
            && setup.service.objects(&setup.name).await.is_empty()
    });
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .expect("the build to be stopped");
}

/// Cancelled while the call that starts the build is on its way: what it starts is stopped.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Amazon's services, a Docker engine and a registry"]
async fn amazon_engine_registry_a_build_cancelled_while_it_starts_does_not_stay() {
    let setup = Setup::new().await;
    setup.service.fail("StartBuild", Fault::ServerError, 2);
    let (request, _directory) = setup.request("FROM PARENT\nRUN sleep 600\n", &[]);
    let cancel = request.cancel.clone();
    let builder = setup.builder(json!({}));
    let build = builder.build(request, EventSink::discard());
    let starting = async {
        setup.service.called("StartBuild").await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(build, starting);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    for build in setup.service.builds() {
        assert_ne!(build["buildStatus"], "SUCCEEDED", "{build}");
    }
    assert_eq!(setup.count("StopBuild"), setup.service.builds().len());
    setup.assert_nothing_is_left().await;
}
