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
        logins: None,
        runs_zenml: false,
    }
}

fn file(name: &str, content: &str) -> RequirementsFile {
    RequirementsFile {
        name: name.into(),
        content: content.into(),
        included: Vec::new(),
        large: None,
        secret_lines: Vec::new(),
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
        ingredients(&settings).dockerfile(&chown()).unwrap().text,
        "FROM python:3.11-slim\nWORKDIR /app\n\
         RUN find . ! -type l ! -perm -0666 -exec chmod a+rwX {} + || chmod -R a+rwX .\n"
    );
    let blank = [file("r", "# nothing\n")];
    let with_blank = Ingredients {
        requirements: &blank,
        ..ingredients(&settings)
    };
    assert!(!with_blank.dockerfile(&chown()).unwrap().text.contains("uv"));
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
    .dockerfile(&chown())
    .unwrap();
    let expected = r#"FROM python:3.11-slim
USER root
WORKDIR /app
ARG TOKEN
ARG WHARF_NEWLINE
ENV A="1" \
    B="2"
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git 'curl=7.*' && rm -rf /var/lib/apt/lists/*
ARG PIP_BREAK_SYSTEM_PACKAGES=1
ARG UV_BREAK_SYSTEM_PACKAGES=1
ARG UV_SYSTEM_CERTS=1
ARG UV_LINK_MODE=copy
RUN command -v uv > /dev/null || pip install --no-cache-dir uv
COPY r1 ./
RUN UV_PYTHON="${UV_PYTHON:-$(command -v python3)}" uv pip install --no-cache-dir -r r1
COPY r2 ./
RUN UV_PYTHON="${UV_PYTHON:-$(command -v python3)}" uv pip install --no-cache-dir -r r2
ENV ZENML_ENABLE_REPO_INIT_WARNINGS=False \
    ZENML_CONFIG_PATH=/app/.zenconfig
RUN find . ! -type l ! -perm -0666 -exec chmod a+rwX {} + && find . \( ! -user ml -o ! -group ml \) -exec chown -h ml:ml {} + || { chmod -R a+rwX . && chown -R ml:ml .; }
COPY --chown=ml:ml . .
RUN pip install .
RUN find . ! -type l ! -perm -0666 -exec chmod a+rwX {} + && find . \( ! -user ml -o ! -group ml \) -exec chown -h ml:ml {} + || { chmod -R a+rwX . && chown -R ml:ml .; }
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
    .unwrap()
    .text;
    assert!(
        text.contains(
            "RUN --mount=type=cache,target=/root/.cache/pip pip install --default-timeout=60 -r r\n"
        )
    );
    assert!(text.contains("--mount=type=cache,target=/var/lib/apt/lists,sharing=locked"));
    let uv = self::settings("requirements: [numpy]");
    let with_uv = Ingredients {
        requirements: &requirements,
        ..ingredients(&uv)
    }
    .dockerfile(&dialect)
    .unwrap()
    .text;
    let expected =
        "RUN --mount=type=cache,target=/root/.cache/pip command -v uv > /dev/null || pip install uv\n";
    assert!(with_uv.contains(expected), "{with_uv}");
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
    .unwrap()
    .text;
    let hand_over = super::hand_over(Some("ml"));
    assert!(hand_over.contains("&& find . ! -user ml -exec chown -h ml {} + || {"));
    assert!(text.contains(&format!("{hand_over}\nCOPY . .\n{hand_over}\nUSER ml\n")));
}

#[test]
fn uv_is_there_for_a_command_that_calls_it() {
    for (command, is_needed) in [
        ("uv pip install .", true),
        ("pip install .", false),
        ("./uv-x", false),
    ] {
        let settings = settings(&format!("local_project_install_command: {command}"));
        let text = ingredients(&settings).dockerfile(&chown()).unwrap().text;
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
    .unwrap()
    .text;
    assert!(text.contains("COPY r .i ./\n"));
}

#[test]
fn credentials_reach_the_installer_as_a_secret_and_nothing_else() {
    let settings = settings(
        "
python_package_installer_args: {index-url: 'https://me:planted@pypi.example/simple', upgrade: null}
requirements: [a]
",
    );
    let mut with_secret = file(".zenml_user_requirements", "# from a build secret: …\na\n");
    with_secret.secret_lines.push(wharf_core::Secret::new(
        "--extra-index-url https://you:planted@b.example",
    ));
    let requirements = [with_secret];
    let ingredients = Ingredients {
        requirements: &requirements,
        ..ingredients(&settings)
    };
    let error = ingredients.dockerfile(&chown()).unwrap_err();
    assert_eq!(error.kind(), wharf_core::ErrorKind::Unsupported);
    assert!(error.hint().unwrap().contains("BuildKit"));
    let dialect = DockerfileDialect {
        secret_mounts: true,
        ..chown()
    };
    let generated = ingredients.dockerfile(&dialect).unwrap();
    assert!(generated.text.contains(
        "RUN --mount=type=secret,id=zenml_user_requirements,required=true \
         UV_PYTHON=\"${UV_PYTHON:-$(command -v python3)}\" uv pip install --no-cache-dir --upgrade -r .zenml_user_requirements -r /run/secrets/zenml_user_requirements\n"
    ));
    assert!(!format!("{generated:?}").contains("planted"));
    assert_eq!(
        generated.secrets[0].read().unwrap(),
        b"--index-url https://me:planted@pypi.example/simple\n--extra-index-url https://you:planted@b.example\n"
    );
}

#[test]
fn uv_takes_a_time_limit_as_a_variable_and_names_with_dashes() {
    for (arguments, expected) in [
        ("{timeout: 1000}", "RUN UV_HTTP_TIMEOUT=1000 UV_PYTHON="),
        (
            "{default-timeout: 5, target: /x}",
            "RUN UV_HTTP_TIMEOUT=5 uv pip install --no-cache-dir --target=/x -r r\n",
        ),
        (
            "{no_deps: true, python: /p}",
            "RUN uv pip install --no-cache-dir --no-deps --python=/p -r r\n",
        ),
        (
            "{timeout: $(x), python: /p}",
            "RUN uv pip install --no-cache-dir '--timeout=$(x)' --python=/p -r r\n",
        ),
        (
            "{config-setting: \"a\\nb\"}",
            r#"RUN ["/bin/sh", "-c", "UV_PYTHON=\"${UV_PYTHON:-$(command -v python3)}\" exec \"$0\" \"$@\"", "uv", "pip", "#,
        ),
    ] {
        let settings = settings(&format!("python_package_installer_args: {arguments}"));
        let requirements = [file("r", "numpy")];
        let text = Ingredients {
            requirements: &requirements,
            ..ingredients(&settings)
        }
        .dockerfile(&chown())
        .unwrap()
        .text;
        assert!(text.contains(expected), "{arguments}: {text}");
    }
}

#[test]
fn logins_are_mounted_where_something_is_installed() {
    let settings = settings("{user: ml, requirements: [a], local_project_install_command: 'pip install .'}");
    let requirements = [file("r", "a\n")];
    let logins = wharf_core::Secret::new("machine h\nlogin me\npassword planted\n");
    let ingredients = Ingredients {
        requirements: &requirements,
        logins: Some(&logins),
        ..ingredients(&settings)
    };
    let plain = ingredients.dockerfile(&chown()).unwrap();
    assert!(!plain.text.contains("netrc") && plain.secrets.is_empty());
    let dialect = DockerfileDialect {
        secret_mounts: true,
        ..chown()
    };
    let generated = ingredients.dockerfile(&dialect).unwrap();
    let mounted = generated
        .text
        .lines()
        .filter(|line| line.contains("--mount=type=secret,id=netrc,required=true "));
    assert_eq!(mounted.count(), 3, "{}", generated.text);
    assert!(generated.text.contains("ARG NETRC=/run/secrets/netrc\n"));
    assert_eq!(generated.secrets.len(), 1);
    assert!(!generated.text.contains("planted"));
}

#[test]
fn a_named_index_with_a_password_is_a_line_without_the_name() {
    let settings = settings("python_package_installer_args: {index: 'mine=https://me:planted@h/s'}");
    let line = super::secret_line(&settings.python_package_installer_args[0]).unwrap();
    assert_eq!(line.expose(), "--extra-index-url https://me:planted@h/s");
}

#[test]
fn large_packages_of_a_lock_have_a_layer_of_their_own() {
    let settings = DockerSettings::default();
    let lock = crate::requirements::GatheredRequirements {
        local: Some(crate::inputs::RequirementsText::plain("numpy==2\ntorch==2.6.0\n")),
        local_is_lock: true,
        own: Some(crate::inputs::RequirementsText::plain("a==1\ntorch==2.6.0\n")),
        ..Default::default()
    };
    let requirements = lock.into_files().unwrap();
    let text = Ingredients {
        requirements: &requirements,
        ..ingredients(&settings)
    }
    .dockerfile(&chown())
    .unwrap()
    .text;
    let expected = r#"COPY .zenml_local_requirements_large ./
RUN UV_PYTHON="${UV_PYTHON:-$(command -v python3)}" uv pip install --no-cache-dir --no-deps -r .zenml_local_requirements_large
COPY .zenml_local_requirements ./
RUN UV_PYTHON="${UV_PYTHON:-$(command -v python3)}" uv pip install --no-cache-dir -r .zenml_local_requirements
COPY .zenml_user_requirements ./
"#;
    assert!(text.contains(expected), "{text}");
}
