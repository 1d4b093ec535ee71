use super::*;
use crate::settings::DockerSettings;

fn settings(text: &str) -> DockerSettings {
    DockerSettings::from_yaml(text, &|_| None).unwrap().0
}

fn ingredients(settings: &DockerSettings) -> Ingredients<'_> {
    Ingredients {
        settings,
        parent: "python:3.11-slim",
        build_args: Vec::new(),
        apt_packages: &settings.apt_packages,
        requirements: &[],
        has_files: false,
        entrypoint: &[],
        runs_zenml: false,
    }
}

fn file(name: &str, content: &str) -> RequirementsFile {
    RequirementsFile {
        name: name.into(),
        content: content.into(),
        included: Vec::new(),
    }
}

fn chown() -> DockerfileDialect {
    DockerfileDialect {
        copy_chown: true,
        ..DockerfileDialect::default()
    }
}

#[test]
fn nothing_is_installed_when_nothing_needs_it() {
    let settings = DockerSettings::default();
    assert_eq!(
        ingredients(&settings).dockerfile(&chown()).text,
        "FROM python:3.11-slim\nWORKDIR /app\nRUN chmod -R a+rwX .\n"
    );
    let blank = [file("r", "# nothing\n")];
    let with_blank = Ingredients {
        requirements: &blank,
        ..ingredients(&settings)
    };
    assert!(!with_blank.dockerfile(&chown()).text.contains("uv"));
}

#[test]
fn everything_stands_in_its_place() {
    let settings = settings(
        "
environment: {B: '2', A: 1}
runtime_environment: {C: \"x\\ny\"}
apt_packages: [git, 'curl=7.*']
user: ml:ml
local_project_install_command: pip install .
",
    );
    let requirements = [file("r1", "numpy"), file("r2", "torch")];
    let entrypoint = ["python".to_owned(), "a b".to_owned()];
    let generated = Ingredients {
        build_args: vec!["TOKEN".into()],
        requirements: &requirements,
        has_files: true,
        entrypoint: &entrypoint,
        runs_zenml: true,
        ..ingredients(&settings)
    }
    .dockerfile(&chown());
    let expected = r#"FROM python:3.11-slim
WORKDIR /app
ARG TOKEN
ARG WHARF_NEWLINE
ENV A="1" \
    B="2"
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git 'curl=7.*' && rm -rf /var/lib/apt/lists/*
ARG PIP_BREAK_SYSTEM_PACKAGES=1
ARG UV_BREAK_SYSTEM_PACKAGES=1
ARG UV_PYTHON=python3
RUN command -v uv > /dev/null || pip install --no-cache-dir uv
COPY r1 ./
RUN uv pip install --no-cache-dir -r r1
COPY r2 ./
RUN uv pip install --no-cache-dir -r r2
ENV ZENML_ENABLE_REPO_INIT_WARNINGS=False \
    ZENML_CONFIG_PATH=/app/.zenconfig
RUN chmod -R a+rwX . && chown -R ml:ml .
COPY --chown=ml:ml . .
RUN pip install .
RUN find . ! -user ml -exec chown ml:ml {} +
USER ml:ml
ENV C="x${WHARF_NEWLINE}y"
ENTRYPOINT ["python", "a b"]
"#;
    assert_eq!(generated.text, expected);
    assert_eq!(generated.build_args["WHARF_NEWLINE"], "\n");
}

#[test]
fn a_builder_with_cache_mounts_keeps_downloads_out_of_the_image() {
    let settings = settings("{apt_packages: [git], python_package_installer: pip}");
    let requirements = [file("r", "numpy")];
    let dialect = DockerfileDialect {
        cache_mounts: true,
        ..chown()
    };
    let text = Ingredients {
        requirements: &requirements,
        ..ingredients(&settings)
    }
    .dockerfile(&dialect)
    .text;
    assert!(
        text.contains(
            "RUN --mount=type=cache,target=/root/.cache/pip pip install --default-timeout=60 -r r\n"
        )
    );
    assert!(text.contains("--mount=type=cache,target=/var/lib/apt/lists,sharing=locked"));
    assert!(!text.contains("rm -rf") && !text.contains("no-cache-dir"));
}

#[test]
fn a_builder_without_chown_changes_the_owner_afterwards() {
    let settings = settings("user: ml");
    let text = Ingredients {
        has_files: true,
        ..ingredients(&settings)
    }
    .dockerfile(&DockerfileDialect::default())
    .text;
    assert!(text.contains("COPY . .\nRUN find . ! -user ml -exec chown ml {} +\nUSER ml\n"));
}

#[test]
fn uv_is_there_for_a_command_that_calls_it() {
    for (command, is_needed) in [
        ("uv pip install .", true),
        ("pip install .", false),
        ("./uv-x", false),
    ] {
        let settings = settings(&format!("local_project_install_command: {command}"));
        let text = ingredients(&settings).dockerfile(&chown()).text;
        assert_eq!(
            text.contains("pip install --no-cache-dir uv"),
            is_needed,
            "{command}"
        );
    }
}

#[test]
fn included_files_come_along() {
    let settings = DockerSettings::default();
    let mut with_included = file("r", "-r .i");
    with_included.included.push(crate::inputs::IncludedFile {
        name: ".i".into(),
        content: b"numpy".to_vec(),
    });
    let requirements = [with_included];
    let text = Ingredients {
        requirements: &requirements,
        ..ingredients(&settings)
    }
    .dockerfile(&chown())
    .text;
    assert!(text.contains("COPY r .i ./\n"));
}
