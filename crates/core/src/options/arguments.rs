//! Options as the arguments of `docker build`, which `podman build` takes too.

use serde_json::Value;

use super::DockerBuildOptions;

impl DockerBuildOptions {
    /// The options as arguments of `docker build`, one a word, each value as it is: they are for a program and not
    /// for a shell. Secrets and SSH agents are left out, as they depend on where the command runs. Unknown
    /// options come last.
    #[must_use]
    pub fn command_line(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        known(&mut arguments, self);
        for (name, value) in &self.extra {
            extra(&mut arguments, &name.replace('_', "-"), value);
        }
        arguments
    }
}

fn push(arguments: &mut Vec<String>, option: &str, value: impl AsRef<str>) {
    arguments.extend([format!("--{option}"), value.as_ref().to_owned()]);
}

fn known(arguments: &mut Vec<String>, options: &DockerBuildOptions) {
    let pairs =
        |separator: char| move |(name, value): (&String, &String)| format!("{name}{separator}{value}");
    let repeated: [(&str, Vec<String>); 5] = [
        ("build-arg", options.build_args.iter().map(pairs('=')).collect()),
        ("label", options.labels.iter().map(pairs('=')).collect()),
        ("add-host", options.extra_hosts.iter().map(pairs(':')).collect()),
        ("cache-from", options.cache_from.clone()),
        ("platform", platforms(options)),
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

    use super::*;

    fn arguments(options: Value) -> Vec<String> {
        DockerBuildOptions::from_map(options.as_object().unwrap())
            .unwrap()
            .command_line()
    }

    #[test]
    fn values_stay_as_they_are() {
        let value = "it's \"x\" $(id); `y`\nz=é";
        let found =
            arguments(json!({"build_args": {"A": value}, "extra_hosts": {"db": "fe80::1"}, "pull": true}));
        let build_arg = format!("A={value}");
        assert_eq!(
            found,
            ["--build-arg", &build_arg, "--add-host", "db:fe80::1", "--pull"]
        );
    }

    #[test]
    fn unknown_options_are_handed_on() {
        let found = arguments(json!({
            "squash": true, "quiet": false, "cgroup_parent": "/x", "ulimit": {"nofile": "1:2"}, "x": [1, "y"]
        }));
        let expected = "--cgroup-parent /x --squash --ulimit nofile=1:2 --x 1 --x y";
        assert_eq!(found.join(" "), expected);
    }
}
