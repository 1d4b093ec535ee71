//! Dockerfiles of the user's own.

use serde_json::json;
use wharf_core::event::BuildEvent;
use wharf_pipeline::execute::Done;
use wharf_testkit::services;

use crate::support::{Project, Way, execute};

everywhere!(
    several_steps_share_one_build_of_it,
    with_a_context_it_may_copy_files,
);

fn project() -> Project {
    let text = format!(
        "FROM {}\nARG WHO=nobody\nRUN echo \"$WHO\" > /who\n",
        services::busybox_image()
    );
    Project::new()
        .file("docker/Dockerfile.own", text)
        .file("code.txt", "code\n")
}

async fn several_steps_share_one_build_of_it(way: Way) {
    let settings = json!({
        "dockerfile": "docker/Dockerfile.own",
        "parent_image_build_config": {"build_options": {"buildargs": {"WHO": format!("test {}", std::process::id())}}},
    });
    let steps = [
        ("load", json!({"environment": {"STEP": "load"}})),
        ("train", json!({"environment": {"STEP": "train"}})),
        ("plain", json!({"allow_including_files_in_images": false})),
    ];
    let project = project();
    let plan = project.plan(way, settings, &steps).await.unwrap();
    let built = execute(way, plan).await;
    for (step, expected) in [("load", "load\ncode\n"), ("train", "train\ncode\n")] {
        let shown = way.run(
            built.image_of(step),
            &["sh", "-c", "echo $STEP; cat /app/code.txt"],
        );
        assert_eq!(shown, expected);
    }
    assert!(
        way.run(built.image_of("plain"), &["cat", "/who"])
            .starts_with("test ")
    );
    let done: Vec<_> = built
        .execution
        .images
        .iter()
        .map(|image| image.ready().unwrap().done)
        .collect();
    assert_eq!(done, [Done::Built; 4]);
    let intermediate: Vec<_> = built
        .plan
        .images
        .iter()
        .filter(|image| image.keys.is_empty())
        .collect();
    assert_eq!(intermediate.len(), 1, "one for two steps");
    let builds = built
        .events
        .iter()
        .filter(|event| matches!(event.event, BuildEvent::Queued(_)));
    assert_eq!(builds.count(), 4);
}

async fn with_a_context_it_may_copy_files(way: Way) {
    let text = format!("FROM {}\nCOPY data /data\n", services::busybox_image());
    let project = Project::new()
        .file("docker/Dockerfile.own", text)
        .file("docker/data/kept.txt", "kept\n")
        .file("docker/data/dropped.txt", "dropped\n")
        .file("docker/ignore", "data/dropped.txt\n");
    let settings = json!({
        "dockerfile": "docker/Dockerfile.own",
        "build_context_root": "docker",
        "parent_image_build_config": {"dockerignore": "docker/ignore"},
        "allow_including_files_in_images": false,
    });
    let built = project.build(way, settings).await;
    assert_eq!(built.run(&["ls", "/data"]), "kept.txt\n");
    assert_eq!(built.execution.images.len(), 1, "nothing is added to it");
}
