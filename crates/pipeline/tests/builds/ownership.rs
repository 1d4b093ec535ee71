//! Who may do what with the files of `/app`.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{Project, Way};

everywhere!(
    files_belong_to_the_user_and_are_stored_once,
    a_user_that_the_image_does_not_know_may_read_and_write,
    a_parent_with_a_user_of_its_own_is_built_on_as_root,
);

/// More than everything else that a build adds.
const LARGE: usize = 6 << 20;

fn project() -> Project {
    let project = Project::new()
        .file("train.py", "print('train')\n")
        .file("sub/run.sh", "#!/bin/sh\necho ran\n")
        .file("weights.bin", vec![7; LARGE]);
    // As under a strict umask.
    for (name, mode) in [("train.py", 0o600), ("sub/run.sh", 0o700), ("sub", 0o700)] {
        std::fs::set_permissions(project.root().join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    project
}

async fn files_belong_to_the_user_and_are_stored_once(way: Way) {
    for (user, owner) in [("www-data", "www-data"), ("www-data:games", "www-data:games")] {
        let built = project()
            .build(way, json!({"user": user, "environment": {"A": "1"}}))
            .await;
        let shown = built.run(&[
            "stat",
            "-c",
            "%n %U:%G %a",
            ".",
            "train.py",
            "sub",
            "sub/run.sh",
            "weights.bin",
        ]);
        for line in shown.lines() {
            assert!(line.contains(&format!(" {owner}")), "{shown}");
        }
        assert!(
            shown.contains("777") && shown.contains("train.py") && shown.contains(" 666"),
            "{shown}"
        );
        assert_eq!(built.run(&["id", "-un"]), "www-data\n");
        assert_eq!(built.run(&["sub/run.sh"]), "ran\n");
        built.run(&["sh", "-c", "echo x >> train.py && touch new sub/new"]);
        assert_eq!(
            large_layers(way, built.image()),
            1,
            "the code is in the image once"
        );
    }
}

fn large_layers(way: Way, image: &str) -> usize {
    let sizes = way.docker(&["history", "--human=false", "--format", "{{.Size}}", image]);
    let parent = way.docker(&["history", "-q", &wharf_testkit::services::python_image()]);
    let own = sizes.lines().count() - parent.lines().count();
    let sizes = sizes
        .lines()
        .take(own)
        .map(|size| size.trim().parse::<usize>().unwrap());
    sizes.filter(|size| *size >= LARGE).count()
}

async fn a_user_that_the_image_does_not_know_may_read_and_write(way: Way) {
    let settings = json!({"local_project_install_command": "touch made-by-the-command && chmod 600 made-by-the-command"});
    let built = project().build(way, settings).await;
    let script = "cat train.py && sub/run.sh && echo x >> train.py && echo x >> made-by-the-command && touch new sub/new && id -u";
    let shown = way.run_as(&["--user", "12345:12345"], built.image(), &["sh", "-c", script]);
    assert_eq!(shown, "print('train')\nran\n12345\n");
    assert_eq!(
        large_layers(way, built.image()),
        1,
        "the code is in the image once"
    );
}

async fn a_parent_with_a_user_of_its_own_is_built_on_as_root(way: Way) {
    let parent = wharf_testkit::services::python_image();
    let project = project().file("Dockerfile.own", format!("FROM {parent}\nUSER www-data\n"));
    let settings = json!({
        "dockerfile": "Dockerfile.own",
        "user": "www-data",
        "local_project_install_command": "touch /usr/local/only-root-may",
    });
    let built = project.build(way, settings).await;
    assert_eq!(built.run(&["id", "-un"]), "www-data\n");
    assert_eq!(
        built.run(&["stat", "-c", "%U", ".", "train.py"]),
        "www-data\nwww-data\n"
    );
}
