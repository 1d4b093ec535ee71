//! The arguments of `docker build` and `podman build`, which are the same for what wharf uses.

use std::path::Path;

use serde_json::Value;
use wharf_core::options::{BuildSecret, DockerBuildOptions, SecretSource};
use wharf_core::{Error, Result};

use crate::plan::BuildPlan;

/// The arguments for everything but the Dockerfile and the context. Secrets that are only known to wharf are
/// written into `scratch`, a directory only this user can read.
pub(super) fn of(plan: &BuildPlan, scratch: &Path) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for name in &plan.names {
        push(&mut arguments, "tag", name.familiar());
    }
    known(&mut arguments, &plan.options);
    for (number, secret) in plan.options.secrets.iter().enumerate() {
        push(
            &mut arguments,
            "secret",
            secret_argument(secret, &scratch.join(format!("secret-{number}")))?,
        );
    }
    for (name, value) in &plan.options.extra {
        extra(&mut arguments, &name.replace('_', "-"), value);
    }
    Ok(arguments)
}

fn push(arguments: &mut Vec<String>, option: &str, value: impl AsRef<str>) {
    arguments.extend([format!("--{option}"), value.as_ref().to_owned()]);
}

fn known(arguments: &mut Vec<String>, options: &DockerBuildOptions) {
    let pairs =
        |separator: char| move |(name, value): (&String, &String)| format!("{name}{separator}{value}");
    let repeated: [(&str, Vec<String>); 6] = [
        ("build-arg", options.build_args.iter().map(pairs('=')).collect()),
        ("label", options.labels.iter().map(pairs('=')).collect()),
        ("add-host", options.extra_hosts.iter().map(pairs(':')).collect()),
        ("cache-from", options.cache_from.clone()),
        ("platform", platforms(options)),
        (
            "ssh",
            options
                .ssh
                .iter()
                .map(|agent| ssh_argument(&agent.id, agent.socket.as_deref()))
                .collect(),
        ),
    ];
    for (option, values) in repeated {
        values.iter().for_each(|value| push(arguments, option, value));
    }
    let single = [
        ("target", options.target.clone()),
        ("network", options.network.clone()),
        ("shm-size", options.shm_size.map(|size| size.to_string())),
    ];
    for (option, value) in single {
        value.iter().for_each(|value| push(arguments, option, value));
    }
    let flags = [("pull", options.pull), ("no-cache", options.no_cache)];
    arguments.extend(
        flags
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(option, _)| format!("--{option}")),
    );
}

fn platforms(options: &DockerBuildOptions) -> Vec<String> {
    let names: Vec<String> = options.platforms.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        names
    } else {
        vec![names.join(",")]
    }
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

/// An option that wharf does not know: `true` is a flag, `false` and null are nothing, a list repeats the
/// option, a mapping repeats it with `name=value`.
fn extra(arguments: &mut Vec<String>, option: &str, value: &Value) {
    match value {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => arguments.push(format!("--{option}")),
        Value::Array(items) => items.iter().for_each(|item| push(arguments, option, text(item))),
        Value::Object(map) => {
            map.iter()
                .for_each(|(name, value)| push(arguments, option, format!("{name}={}", text(value))));
        }
        other => push(arguments, option, text(other)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_core::{BuildContext, FileSource};

    use super::*;

    fn arguments(options: Value) -> Vec<String> {
        let mut context = BuildContext::empty();
        context
            .add_file("Dockerfile", FileSource::Bytes("FROM scratch".into()), None)
            .unwrap();
        let dockerfile = context.dockerfile().unwrap();
        let options = DockerBuildOptions::from_map(options.as_object().unwrap()).unwrap();
        let plan = BuildPlan {
            names: vec!["app:1".parse().unwrap()],
            context,
            dockerfile,
            options,
        };
        of(&plan, Path::new("/scratch")).unwrap()
    }

    #[test]
    fn values_reach_the_command_as_they_are() {
        let value = "it's \"x\" $(id); `y`\nz=é";
        let found =
            arguments(json!({"build_args": {"A": value}, "extra_hosts": {"db": "fe80::1"}, "pull": true}));
        let build_arg = format!("A={value}");
        assert_eq!(
            found,
            [
                "--tag",
                "app:1",
                "--build-arg",
                &build_arg,
                "--add-host",
                "db:fe80::1",
                "--pull"
            ]
        );
    }

    #[test]
    fn unknown_options_are_handed_on() {
        let found = arguments(json!({
            "squash": true, "quiet": false, "cgroup_parent": "/x", "ulimit": {"nofile": "1:2"}, "x": [1, "y"]
        }));
        assert_eq!(
            found[2..],
            [
                "--cgroup-parent",
                "/x",
                "--squash",
                "--ulimit",
                "nofile=1:2",
                "--x",
                "1",
                "--x",
                "y"
            ]
        );
    }
}
