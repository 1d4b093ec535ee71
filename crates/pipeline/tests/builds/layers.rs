//! Layers that stay as they are, and locks that are kept to.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::index::Index;
use crate::support::{Built, Project, Way};

/// How large the large package is.
const BALLAST: usize = 4 << 20;

/// uv in an environment of its own.
fn uv() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let run = |program: PathBuf, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    };
    let environment = directory.path().join("uv");
    run(
        "python3".into(),
        &["-m", "venv", &environment.display().to_string()],
    );
    run(environment.join("bin/pip"), &["install", "--quiet", "uv"]);
    let bin = environment.join("bin");
    (directory, bin)
}

/// A project whose lock was made by uv itself.
fn locked(uv: &std::path::Path, index: &Index, small: &str) -> Project {
    let text = format!(
        "[project]\nname = \"locked\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = [\"torch==2.6.0\", \
         \"small=={small}\"]\n[[tool.uv.index]]\nurl = \"{}\"\ndefault = true\n",
        index.url("")
    );
    let path = format!("{}:{}", uv.display(), std::env::var("PATH").unwrap());
    let project = Project::new()
        .file("pyproject.toml", text)
        .variable("PATH", &path);
    let output = Command::new(uv.join("uv"))
        .args(["lock", "--no-cache"])
        .current_dir(project.root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    project
}

async fn build(project: &Project, index: &Index) -> Built {
    let settings = json!({
        "pyproject_path": "pyproject.toml",
        "python_package_installer_args": {"index-url": index.url("")},
        "build_config": {"build_options": {"network": "host"}},
        "allow_including_files_in_images": false,
    });
    project.build(Way::BuildKit, settings).await
}

fn layers(built: &Built) -> Vec<String> {
    let layers = Way::BuildKit.inspect(built.image())["RootFS"]["Layers"].take();
    let layers = layers.as_array().unwrap().iter();
    layers
        .filter_map(|layer| layer.as_str())
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn engine_a_change_of_a_small_package_leaves_the_layer_of_a_large_one() {
    let packages = [
        ("torch", "2.6.0", BALLAST),
        ("small", "1.0", 10),
        ("small", "1.1", 10),
    ];
    let index = Index::start(&packages, None);
    let (_environment, uv) = uv();
    let first = build(&locked(&uv, &index, "1.0"), &index).await;
    let second = build(&locked(&uv, &index, "1.1"), &index).await;
    let program = "import torch, small; print(torch.VERSION, small.VERSION)";
    assert_eq!(first.python(program), "2.6.0 1.0\n");
    assert_eq!(second.python(program), "2.6.0 1.1\n");
    let (one, other) = (layers(&first), layers(&second));
    let same = one
        .iter()
        .zip(&other)
        .take_while(|(one, other)| one == other)
        .count();
    let changed = other.len() - same;
    assert!(changed > 0, "the small package is in a layer of its own");
    let sizes = Way::BuildKit.docker(&[
        "history",
        "--human=false",
        "--format",
        "{{.Size}}",
        second.image(),
    ]);
    let sizes: Vec<usize> = sizes.lines().map(|size| size.trim().parse().unwrap()).collect();
    let large = sizes.iter().position(|size| *size >= BALLAST).unwrap();
    assert!(changed <= large, "{changed} of {sizes:?} changed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn engine_a_lock_is_kept_to_and_a_stale_one_is_refused() {
    let packages = [("torch", "2.6.0", 10), ("small", "1.0", 10), ("small", "1.1", 10)];
    let index = Index::start(&packages, None);
    let (_environment, uv) = uv();
    let project = locked(&uv, &index, "1.0");
    let text = std::fs::read_to_string(project.root().join("pyproject.toml")).unwrap();
    // The lock holds 1.0, which this allows as well.
    project.write("pyproject.toml", text.replace("small==1.0", "small"));
    let error = project
        .plan(
            Way::BuildKit,
            json!({"pyproject_path": "pyproject.toml"}),
            &[("step", json!({}))],
        )
        .await
        .unwrap_err();
    assert!(error.report().contains("`uv lock`"), "{}", error.report());
    project.write("pyproject.toml", text);
    let built = build(&project, &index).await;
    assert_eq!(
        built.python("import small; print(small.VERSION)"),
        "1.0\n",
        "1.1 is newer"
    );
}
