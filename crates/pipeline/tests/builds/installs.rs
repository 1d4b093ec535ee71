//! Packages in images.

use serde_json::json;
use wharf_testkit::services;

use crate::support::{Project, Way};

everywhere!(
    pip_installs,
    uv_comes_along_where_the_parent_has_none,
    uv_installs_into_the_python_that_python3_starts,
    debian_packages_leave_no_lists_behind,
    included_files_come_along,
    a_local_project_is_installed,
);

async fn pip_installs(way: Way) {
    let settings = json!({
        "python_package_installer": "pip",
        "requirements": ["six==1.16.0"],
    });
    let built = Project::new().build(way, settings).await;
    assert_eq!(built.python("import six; print(six.__version__)"), "1.16.0\n");
    assert_eq!(
        built.run(&["find", "/root", "-path", "*/.cache/*", "-type", "f"]),
        ""
    );
}

/// What is done to the parent, and where the packages must be found.
const PARENTS: [(&str, &str); 5] = [
    // A Python that its distribution manages.
    (
        "RUN test -e /usr/lib/python3.11/EXTERNALLY-MANAGED",
        "/usr/local/lib/",
    ),
    // As the official images have it: no virtual environment, and nobody manages it.
    ("RUN rm /usr/lib/python3.11/EXTERNALLY-MANAGED", "/usr/local/lib/"),
    (
        "RUN python3 -m venv --without-pip /opt/venv\nENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH",
        "/opt/venv/lib/",
    ),
    // As conda's images have it: a Python with a prefix of its own, first on the path.
    (
        "RUN mkdir -p /opt/conda/bin /opt/conda/lib /opt/conda/conda-meta \\\n && cp /usr/bin/python3.11 \
         /opt/conda/bin/python3 \\\n && cp -r /usr/lib/python3.11 /opt/conda/lib \\\n && rm \
         /opt/conda/lib/python3.11/EXTERNALLY-MANAGED\nENV PATH=/opt/conda/bin:$PATH",
        "/opt/conda/",
    ),
    // As many images for uv have it.
    ("ENV UV_SYSTEM_PYTHON=1", "/usr/local/lib/"),
];

async fn uv_installs_into_the_python_that_python3_starts(way: Way) {
    // So that it is downloaded once.
    let parent = format!(
        "FROM {}\nRUN pip install --no-cache-dir uv",
        services::python_image()
    );
    for (more, expected) in PARENTS {
        let project = Project::new().file("Dockerfile.own", format!("{parent}\n{more}\n"));
        let settings = json!({"dockerfile": "Dockerfile.own", "requirements": ["six==1.16.0"]});
        let built = project.build(way, settings).await;
        let found = built.python("import six; print(six.__file__)");
        assert!(found.starts_with(expected), "{found} is not in {expected}");
    }
}

async fn uv_comes_along_where_the_parent_has_none(way: Way) {
    let built = Project::new()
        .build(way, json!({"requirements": ["six==1.16.0"]}))
        .await;
    assert_eq!(built.python("import six; print(six.__version__)"), "1.16.0\n");
    assert_eq!(
        built.run(&["find", "/root", "-path", "*/.cache/*", "-type", "f"]),
        ""
    );
}

async fn debian_packages_leave_no_lists_behind(way: Way) {
    let built = Project::new()
        .build(way, json!({"apt_packages": ["tree", "hello=2.*"]}))
        .await;
    assert_eq!(built.run(&["hello"]), "Hello, world!\n");
    assert_eq!(built.run(&["find", "/var/lib/apt/lists", "-type", "f"]), "");
}

async fn included_files_come_along(way: Way) {
    let project = Project::new()
        .file(
            "requirements.txt",
            "-r more/base.txt  # what all need\n-c bounds.txt\n",
        )
        .file("more/base.txt", "six\n")
        .file("bounds.txt", "six==1.15.0\n");
    let settings = json!({"requirements": "requirements.txt", "python_package_installer": "pip"});
    let built = project.build(way, settings).await;
    assert_eq!(built.python("import six; print(six.__version__)"), "1.15.0\n");
}

async fn a_local_project_is_installed(way: Way) {
    let project = Project::new()
        .file(
            "pyproject.toml",
            "[project]\nname = \"mine\"\nversion = \"1\"\n[tool.setuptools]\npackages = [\"mine\"]\n",
        )
        .file("mine/__init__.py", "NAME = 'mine'\n");
    let settings = json!({
        "python_package_installer": "pip",
        "user": "www-data",
        "local_project_install_command": "pip install --no-deps --no-build-isolation . \\\n  && echo \"it's\" done",
    });
    let built = project.build(way, settings).await;
    let program = "import os; os.chdir('/'); import sys; sys.path.remove(''); import mine; print(mine.NAME, mine.__file__)";
    let shown = built.python(program);
    assert!(shown.starts_with("mine /usr/local/lib/"), "{shown}");
    assert_eq!(built.run(&["sh", "-c", "find . ! -user www-data"]), "");
}
