//! The arguments of `docker build` and `podman build`, which are the same for what wharf uses.

use std::path::Path;

use wharf_core::options::{BuildSecret, SecretSource};
use wharf_core::{Error, Result};

use crate::plan::BuildPlan;

/// The arguments for everything but the Dockerfile and the context. Secrets that are only known to wharf are
/// written into `scratch`, a directory only this user can read.
pub(super) fn of(plan: &BuildPlan, scratch: &Path) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for name in &plan.names {
        push(&mut arguments, "tag", name.familiar());
    }
    arguments.extend(plan.options.command_line());
    for agent in &plan.options.ssh {
        push(
            &mut arguments,
            "ssh",
            ssh_argument(&agent.id, agent.socket.as_deref()),
        );
    }
    for (number, secret) in plan.options.secrets.iter().enumerate() {
        push(
            &mut arguments,
            "secret",
            secret_argument(secret, &scratch.join(format!("secret-{number}")))?,
        );
    }
    Ok(arguments)
}

fn push(arguments: &mut Vec<String>, option: &str, value: impl AsRef<str>) {
    arguments.extend([format!("--{option}"), value.as_ref().to_owned()]);
}

fn ssh_argument(id: &str, socket: Option<&Path>) -> String {
    match socket {
        Some(socket) => format!("{id}={}", socket.display()),
        None => id.to_owned(),
    }
}

fn secret_argument(secret: &BuildSecret, file: &Path) -> Result<String> {
    match &secret.source {
        SecretSource::File(path) => Ok(format!("id={},src={}", secret.id, path.display())),
        SecretSource::Env(name) => Ok(format!("id={},env={name}", secret.id)),
        SecretSource::Value(value) => {
            std::fs::write(file, value.expose())
                .map_err(|source| Error::io("could not write a secret", file, source))?;
            Ok(format!("id={},src={}", secret.id, file.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_core::options::DockerBuildOptions;
    use wharf_core::{BuildContext, FileSource};

    use super::*;

    #[test]
    fn names_options_agents_and_secrets_reach_the_command() {
        let mut context = BuildContext::empty();
        context
            .add_file("Dockerfile", FileSource::Bytes("FROM scratch".into()), None)
            .unwrap();
        let options = json!({"build_args": {"A": "b c"}, "ssh": ["default"], "secrets": ["id=t,env=T"], "squash": true});
        let plan = BuildPlan {
            names: vec!["app:1".parse().unwrap()],
            dockerfile: context.dockerfile().unwrap(),
            context,
            options: DockerBuildOptions::from_map(options.as_object().unwrap()).unwrap(),
        };
        let found = of(&plan, Path::new("/scratch")).unwrap();
        let expected = "--tag app:1 --build-arg A=b c --squash --ssh default --secret id=t,env=T";
        assert_eq!(found.join(" "), expected);
    }
}
