//! What the arguments of `wharf build` mean. Asks the environment through a function, and nothing else.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use serde_json::{Map, Value};
use wharf_core::flavor::Flavor;
use wharf_core::options::{DockerBuildOptions, parse_bytes};
use wharf_core::{Error, ErrorKind, ImageReference, Platform, Result};

use crate::args::build::{OptionArgs, TargetArgs};

/// The name of the image, and its other names.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a text that is no image reference.
pub fn names(tags: &[String]) -> Result<(ImageReference, Vec<ImageReference>)> {
    let parse = |text: &String| text.parse().map_err(|error: Error| about("--tag", error));
    let mut names = tags.iter().map(parse).collect::<Result<Vec<ImageReference>>>()?;
    if names.is_empty() {
        return Err(invalid("the image has no name", "Name it with --tag."));
    }
    let first = names.remove(0);
    Ok((first, names))
}

/// The options of the build. `variable` answers what an environment variable holds.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for the first value of the wrong form, naming the option.
pub fn options(args: &OptionArgs, variable: impl Fn(&str) -> Option<String>) -> Result<DockerBuildOptions> {
    let size = args.shm_size.as_deref().map(parse_bytes).transpose();
    Ok(DockerBuildOptions {
        build_args: build_args(&args.build_args, variable)?,
        labels: labels(&args.labels)?,
        target: args.target.clone(),
        platforms: platforms(&args.platforms)?,
        pull: args.pull,
        no_cache: args.no_cache,
        cache_from: args.cache_from.clone(),
        // As in Docker, no size at all is the builder's own.
        shm_size: size
            .map_err(|error| about("--shm-size", error))?
            .filter(|size| *size > 0),
        network: args.network.clone(),
        extra_hosts: hosts(&args.add_hosts)?,
        secrets: parsed("--secret", &args.secrets)?,
        ssh: parsed("--ssh", &args.ssh)?,
        extra: BTreeMap::new(),
    })
}

/// What is not in this version, refused with what to use instead.
///
/// # Errors
/// [`ErrorKind::Unsupported`].
pub fn refuse_what_needs_the_catalog(args: &TargetArgs) -> Result<()> {
    let refused = |option: &str, instead: &str| {
        Error::new(
            ErrorKind::Unsupported,
            format!("{option} needs registered components, which this version of wharf does not have"),
        )
        .with_hint(instead)
    };
    if args.stack.is_some() {
        return Err(refused(
            "--stack",
            "Describe the stack in a file, and name that with --stack-file.",
        ));
    }
    if args.builder.is_some() {
        return Err(refused("--builder", "Use --flavor with --set, or --stack-file."));
    }
    match args.registry.as_deref() {
        Some(registry) if !is_address(registry) => Err(refused(
            &format!("the registry name `{registry}`"),
            "Write the registry's address, such as registry.example.com/ml or localhost:5000.",
        )),
        _ => Ok(()),
    }
}

/// Contexts that Docker knows, and wharf does not.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a context from standard input or from an address.
pub fn refuse_remote_context(context: &Path) -> Result<()> {
    let text = context.to_string_lossy();
    let what = if text == "-" {
        "standard input"
    } else if text.contains("://") || text.starts_with("git@") {
        "an address"
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("the build context cannot be read from {what}"),
    )
    .with_context("context", text)
    .with_hint("Unpack or clone it into a directory first, and name that."))
}

/// The configuration that `--set` gives for a flavor. What a text means follows from the flavor's schema.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a setting that is not of the form KEY=VALUE, or given twice.
pub fn settings(flavor: &Flavor, settings: &[String]) -> Result<Map<String, Value>> {
    let mut config = Map::new();
    for setting in settings {
        let (key, text) = pair("--set", setting)?;
        let key = key.replace('-', "_");
        let value = typed(flavor.schema().as_value(), &key, text);
        if config.insert(key, value).is_some() {
            return Err(invalid(
                &format!("--set {setting}: the key is given twice"),
                "Keep one of the two.",
            ));
        }
    }
    Ok(config)
}

/// A text as the schema wants it: what is not a string is read as JSON. Whether it fits is the flavor's to say.
fn typed(schema: &Value, key: &str, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    let Some(property) = schema.pointer(&format!("/properties/{key}")) else {
        return as_text();
    };
    let types = property.get("type");
    let is = |wanted: &str| match types {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(many)) => many.iter().any(|one| one == wanted),
        _ => false,
    };
    if is("string") {
        return as_text();
    }
    match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) if is("array") => text.split(',').map(str::trim).collect(),
        Err(_) => as_text(),
    }
}

/// Whether a text is a registry's address and not the name of a registered one: it has a dot, a port, a path
/// or is this machine.
fn is_address(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':', '/'])
}

fn build_args(
    items: &[String],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for item in items {
        if item.contains('=') {
            let (key, value) = pair("--build-arg", item)?;
            found.insert(key.to_owned(), value.to_owned());
        } else if let Some(value) = variable(item) {
            found.insert(item.clone(), value);
        }
    }
    Ok(found)
}

fn labels(items: &[String]) -> Result<BTreeMap<String, String>> {
    let label = |item: &String| {
        // As in Docker, a label without a value is an empty one.
        let item = if item.contains('=') {
            item.clone()
        } else {
            format!("{item}=")
        };
        pair("--label", &item).map(|(key, value)| (key.to_owned(), value.to_owned()))
    };
    items.iter().map(label).collect()
}

fn platforms(items: &[String]) -> Result<Vec<Platform>> {
    let each = items.iter().flat_map(|item| item.split(','));
    each.map(|item| item.trim().parse().map_err(|error| about("--platform", error)))
        .collect()
}

fn hosts(items: &[String]) -> Result<BTreeMap<String, String>> {
    items.iter().map(host).collect()
}

fn host(item: &String) -> Result<(String, String)> {
    let wrong = |problem: &str| {
        invalid(
            &format!("--add-host {item}: {problem}"),
            "Write it as name:address, for example db:10.0.0.5 or db:fe80::1.",
        )
    };
    let (name, address) = item
        .split_once([':', '='])
        .ok_or_else(|| wrong("there is no address"))?;
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    // `host-gateway` is Docker's word for the machine that the engine runs on.
    let known = address == "host-gateway" || bare.parse::<IpAddr>().is_ok();
    match (name.is_empty(), known) {
        (true, _) => Err(wrong("there is no name")),
        (_, false) => Err(wrong(&format!("`{address}` is no address"))),
        _ => Ok((name.to_owned(), bare.to_owned())),
    }
}

fn parsed<T: std::str::FromStr<Err = Error>>(option: &'static str, items: &[String]) -> Result<Vec<T>> {
    let parse = |item: &String| item.parse().map_err(|error| about(option, error));
    items.iter().map(parse).collect()
}

fn pair<'a>(option: &str, item: &'a str) -> Result<(&'a str, &'a str)> {
    match item.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key, value)),
        _ => Err(invalid(
            &format!("{option} {item}: there is no name before the value"),
            "Write it as NAME=VALUE.",
        )),
    }
}

fn invalid(message: &str, hint: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message).with_hint(hint)
}

fn about(option: &'static str, error: Error) -> Error {
    error.with_context("option", option)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    fn environment(name: &str) -> Option<String> {
        (name == "SET").then(|| "from env".to_owned())
    }

    #[test]
    fn the_first_tag_is_the_name() {
        let (name, others) = names(&texts(&["r.example/app:1", "app"])).unwrap();
        assert_eq!(name.familiar(), "r.example/app:1");
        assert_eq!(others.len(), 1);
        let error = names(&texts(&["app", "UPPER CASE"])).unwrap_err();
        assert!(error.report().contains("--tag"), "{}", error.report());
        assert!(names(&[]).is_err());
    }

    #[test]
    fn build_args_take_the_environment_s_value_where_they_have_none() {
        let args = OptionArgs {
            build_args: texts(&["A=1=2", "SET", "NOT_SET", "EMPTY="]),
            labels: texts(&["l", "m=x"]),
            ..OptionArgs::default()
        };
        let options = options(&args, environment).unwrap();
        let pairs: Vec<_> = options
            .build_args
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(pairs, [("A", "1=2"), ("EMPTY", ""), ("SET", "from env")]);
        assert_eq!(options.labels["l"], "");
        assert_eq!(options.labels["m"], "x");
    }

    #[test]
    fn every_option_arrives() {
        let args = OptionArgs {
            secrets: texts(&["id=a,env=B"]),
            ssh: texts(&["default"]),
            target: Some("build".into()),
            platforms: texts(&["linux/amd64,linux/arm64"]),
            pull: true,
            no_cache: true,
            cache_from: texts(&["app:0"]),
            shm_size: Some("64m".into()),
            network: Some("none".into()),
            add_hosts: texts(&["db:fe80::1", "me=host-gateway", "c:[::1]"]),
            ..OptionArgs::default()
        };
        let options = options(&args, environment).unwrap();
        assert_eq!(options.platforms.len(), 2);
        assert_eq!(options.shm_size, Some(64 << 20));
        let hosts: Vec<_> = options.extra_hosts.values().map(String::as_str).collect();
        assert_eq!(hosts, ["::1", "fe80::1", "host-gateway"]);
        assert_eq!(options.used().len(), 9 + 1);
    }

    #[test]
    fn a_value_of_the_wrong_form_names_its_option() {
        type Change = fn(&mut OptionArgs);
        let cases: [(&str, Change); 6] = [
            ("--build-arg", |args| args.build_args = vec!["=x".into()]),
            ("--platform", |args| args.platforms = vec!["amd64".into()]),
            ("--shm-size", |args| args.shm_size = Some("lots".into())),
            ("--add-host", |args| args.add_hosts = vec!["db:nowhere".into()]),
            ("--secret", |args| args.secrets = vec!["value".into()]),
            ("--ssh", |args| args.ssh = vec!["=socket".into()]),
        ];
        for (option, change) in cases {
            let mut args = OptionArgs::default();
            change(&mut args);
            let error = options(&args, environment).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.report().contains(option), "{}", error.report());
            assert!(error.hint().is_some(), "{option}");
        }
    }

    #[test]
    fn what_this_version_lacks_is_refused_with_what_to_use() {
        let refuse = |change: fn(&mut TargetArgs)| {
            let mut args = TargetArgs::default();
            change(&mut args);
            refuse_what_needs_the_catalog(&args)
        };
        for change in [
            (|args| args.stack = Some("prod".into())) as fn(&mut TargetArgs),
            |args| args.builder = Some("mine".into()),
            |args| args.registry = Some("prod".into()),
        ] {
            let error = refuse(change).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.hint().is_some());
        }
        for address in ["localhost", "localhost:5000", "docker.io", "registry/team"] {
            assert!(is_address(address), "{address}");
        }
    }

    #[test]
    fn a_context_that_is_no_directory_is_refused() {
        for text in ["-", "https://github.com/a/b.git", "git@github.com:a/b"] {
            let error = refuse_remote_context(Path::new(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
        refuse_remote_context(Path::new("./a-b")).unwrap();
    }

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Config {
        name: String,
        optional: Option<String>,
        jobs: u32,
        fast: bool,
        list: Vec<String>,
    }

    #[test]
    fn a_setting_becomes_what_the_schema_wants() {
        let flavor =
            Flavor::not_compiled_in::<Config>(wharf_core::flavor::ComponentKind::ImageBuilder, "x", "x", "x");
        let given = [
            "name=1",
            "optional=true",
            "jobs=3",
            "fast=true",
            "list=a, b",
            "other=5",
        ];
        let config = settings(&flavor, &texts(&given)).unwrap();
        let expected = serde_json::json!({
            "name": "1", "optional": "true", "jobs": 3, "fast": true, "list": ["a", "b"], "other": "5"
        });
        assert_eq!(Value::Object(config), expected);
        assert!(settings(&flavor, &texts(&["a-b=1", "a_b=2"])).is_err());
        assert!(settings(&flavor, &texts(&["=1"])).is_err());
    }
}
