//! What `wharf doctor` asks about the engine.

use std::path::Path;

use wharf_core::doctor::Check;

use crate::backend::LocalImageBuilder;
use crate::engine::{Endpoint, Engine, EngineKind};

/// With less than this, a build of an image with common machine-learning packages is likely to fail: 10 GiB.
const LOW_DISK_BYTES: u64 = 10 << 30;

/// Looks at the engine: is there one, does it have BuildKit, has it room. Changes nothing.
pub async fn diagnose(builder: &LocalImageBuilder) -> Vec<Check> {
    let engine = match builder.engine().await {
        Ok(engine) => engine,
        Err(error) => return vec![Check::from_error("engine", &error)],
    };
    let candidate = engine.candidate();
    let found = format!(
        "{} at {} ({})",
        engine.info().name(),
        candidate.endpoint,
        candidate.reason
    );
    let mut checks = vec![Check::ok("engine", found), buildkit(&engine)];
    checks.extend(disk(&engine).await);
    checks
}

fn buildkit(engine: &Engine) -> Check {
    let (info, name) = (engine.info(), "buildkit");
    match (info.buildkit, info.kind) {
        (true, _) => Check::ok(name, "the engine has BuildKit"),
        (false, EngineKind::Podman) => Check::warning(
            name,
            "Podman has no BuildKit: wharf uses its classic builder, without build secrets and SSH agents",
            "Use a Docker engine for images that need them.",
        ),
        (false, _) => Check::warning(
            name,
            format!(
                "API {} has no BuildKit: wharf uses the classic builder",
                info.api_version
            ),
            "Install Docker Engine 18.09 or later.",
        ),
    }
}

async fn disk(engine: &Engine) -> Option<Check> {
    let name = "disk of the engine";
    let info = match engine.docker().info().await {
        Ok(info) => info,
        Err(error) => return Some(Check::from_error(name, &crate::error::from_bollard(error))),
    };
    let root = info
        .docker_root_dir
        .filter(|_| matches!(engine.endpoint(), Endpoint::Unix(_)))?;
    let stat = rustix::fs::statvfs(Path::new(&root)).ok()?;
    let free = stat.f_bavail * stat.f_frsize;
    let detail = format!("{:.1} GiB free at {root}", free as f64 / f64::from(1 << 30));
    Some(match free < LOW_DISK_BYTES {
        true => Check::warning(
            name,
            detail,
            "Free some with `docker system prune` or `docker builder prune`.",
        ),
        false => Check::ok(name, detail),
    })
}
