//! The build specification: always the same text. What differs from build to build is data beside it.
//!
//! CodeBuild hands each command to a shell. So nothing of the user's is in here: arguments and names are files of the
//! source ([`crate::source`]), and a word of the command line is made of a file's content without being read as shell.
//!
//! `post_build` runs on CodeBuild also after a `build` that failed, unless `on-failure: ABORT` says otherwise; the
//! script asks once more before it pushes.

use serde::Serialize;
use wharf_core::{Error, ErrorKind, Result};

/// The variable in which the digest of the pushed image comes back.
pub(crate) const DIGEST_VARIABLE: &str = "WHARF_DIGEST";

const PREPARE: &str = include_str!("scripts/prepare.sh");
const BUILD: &str = include_str!("scripts/build.sh");
const PUSH: &str = include_str!("scripts/push.sh");
const EXPORT: &str = "export WHARF_DIGEST=\"$(cat \"$CODEBUILD_SRC_DIR/wharf/digest\")\"";

#[derive(Serialize)]
struct BuildSpec {
    version: f32,
    env: Env,
    phases: Phases,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Env {
    exported_variables: [&'static str; 1],
}

#[derive(Serialize)]
struct Phases {
    pre_build: Phase,
    build: Phase,
    post_build: Phase,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Phase {
    on_failure: &'static str,
    commands: Vec<&'static str>,
}

/// The build specification as YAML.
pub(crate) fn yaml() -> Result<String> {
    let phase = |commands: &[&'static str]| Phase {
        on_failure: "ABORT",
        commands: commands.to_vec(),
    };
    let spec = BuildSpec {
        version: 0.2,
        env: Env {
            exported_variables: [DIGEST_VARIABLE],
        },
        phases: Phases {
            pre_build: phase(&[PREPARE]),
            build: phase(&[BUILD]),
            post_build: phase(&[PUSH, EXPORT]),
        },
    };
    serde_saphyr::to_string(&spec).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the build specification is no YAML").with_source(source)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_yaml_reader_sees_the_scripts_as_they_are() {
        let text = yaml().unwrap();
        assert!(text.contains("version: 0.2\n"), "{text}");
        let spec: Value = serde_saphyr::from_str(&text).unwrap();
        for (phase, script) in [("pre_build", PREPARE), ("build", BUILD), ("post_build", PUSH)] {
            assert_eq!(spec["phases"][phase]["commands"][0], script, "{text}");
            assert_eq!(spec["phases"][phase]["on-failure"], "ABORT");
        }
        assert_eq!(spec["phases"]["post_build"]["commands"][1], EXPORT);
        assert_eq!(
            spec["env"]["exported-variables"],
            serde_json::json!(["WHARF_DIGEST"])
        );
    }

    #[test]
    fn nothing_is_pushed_before_the_build_is_known_to_have_succeeded() {
        let asked = PUSH.find("CODEBUILD_BUILD_SUCCEEDING").unwrap();
        assert!(asked < PUSH.find("docker push").unwrap());
        assert_eq!(PUSH.matches("docker push").count(), 1);
    }
}
