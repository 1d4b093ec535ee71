//! The parameters of the engine's `POST /build`.

use serde::Serialize;
use wharf_core::{Error, ErrorKind, Result};

use crate::engine::EngineKind;
use crate::plan::BuildPlan;

/// The parameters of a build. A name may occur several times.
pub(super) fn of(plan: &BuildPlan, engine: EngineKind) -> Result<Vec<(&'static str, String)>> {
    let options = &plan.options;
    // Containers of steps are removed even when the build fails.
    let mut query = vec![
        ("dockerfile", plan.dockerfile_name()?),
        ("rm", "1".to_owned()),
        ("forcerm", "1".to_owned()),
    ];
    query.extend(plan.names.iter().map(|name| ("t", name.familiar())));
    add_json(
        &mut query,
        "buildargs",
        &options.build_args,
        options.build_args.is_empty(),
    )?;
    add_json(&mut query, "labels", &options.labels, options.labels.is_empty())?;
    add_json(
        &mut query,
        "cachefrom",
        &options.cache_from,
        options.cache_from.is_empty(),
    )?;
    let flags = [("nocache", options.no_cache), ("pull", options.pull)];
    query.extend(
        flags
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| (name, "1".to_owned())),
    );
    let texts = [
        ("target", options.target.clone()),
        ("networkmode", options.network.clone()),
        ("platform", options.platforms.first().map(ToString::to_string)),
        ("shmsize", options.shm_size.map(|size| size.to_string())),
    ];
    query.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let hosts: Vec<String> = options
        .extra_hosts
        .iter()
        .map(|(name, address)| format!("{name}:{address}"))
        .collect();
    match engine {
        EngineKind::Docker => query.extend(hosts.into_iter().map(|host| ("extrahosts", host))),
        // Podman reads one parameter with a JSON list.
        EngineKind::Podman => add_json(&mut query, "extrahosts", &hosts, hosts.is_empty())?,
    }
    Ok(query)
}

fn add_json(
    query: &mut Vec<(&'static str, String)>,
    name: &'static str,
    value: &impl Serialize,
    empty: bool,
) -> Result<()> {
    if !empty {
        let json = serde_json::to_string(value).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "an option is not JSON").with_source(source)
        })?;
        query.push((name, json));
    }
    Ok(())
}
