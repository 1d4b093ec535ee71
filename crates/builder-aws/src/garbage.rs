//! What killed processes have left in AWS: builds that run on, stored passwords, and uploaded contexts.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use aws_sdk_codebuild::types::{Build, SortOrderType, StatusType};
use aws_sdk_secretsmanager::primitives::DateTime;
use wharf_aws::{AwsAccess, S3Location, SdkConfig, from_sdk};
use wharf_core::Result;
use wharf_core::artifact_store::ArtifactStore;
use wharf_core::builder::{GarbagePolicy, Leftover, Owner};
use wharf_core::flavor::known::{AwsImageBuilderConfig, PasswordStore};

use crate::cleanup::stop;
use crate::environment::OWNER_VARIABLE;
use crate::secret;
use crate::source::FOLDER;

/// No build that began earlier still runs: CodeBuild's longest limits are 8 hours in the queue and 36 hours of work.
const LONGEST: Duration = Duration::from_secs(45 * 60 * 60);

/// Stops the builds of a project, and deletes the passwords and the contexts that nobody needs.
///
/// # Errors
///
/// What AWS answers; what was found before is cleaned up by then.
pub(crate) async fn collect(
    access: &AwsAccess,
    config: &AwsImageBuilderConfig,
    store: Option<&dyn ArtifactStore>,
    policy: &GarbagePolicy,
) -> Result<Vec<Leftover>> {
    let sdk = access.sdk().await?;
    let mut found = builds(&sdk, &config.code_build_project, policy).await?;
    if config.registry_password_store == PasswordStore::SecretsManager {
        found.leftovers.extend(passwords(&sdk, policy).await?);
    }
    if let Some(store) = store.filter(|_| !config.keep_context) {
        let contexts = contexts(store, &found.sources, policy).await?;
        found.leftovers.extend(contexts);
    }
    Ok(found.leftovers)
}

/// What was found among the builds of a project.
#[derive(Default)]
struct Builds {
    leftovers: Vec<Leftover>,
    /// Where those that run on have their source: `bucket/key`.
    sources: HashSet<String>,
}

async fn builds(sdk: &SdkConfig, project: &str, policy: &GarbagePolicy) -> Result<Builds> {
    let client = aws_sdk_codebuild::Client::new(sdk);
    let list = client
        .list_builds_for_project()
        .project_name(project)
        .sort_order(SortOrderType::Descending);
    let mut pages = list.into_paginator().send();
    let mut builds = Builds::default();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| from_sdk("list the builds", "codebuild:ListBuildsForProject", error))?;
        let found = describe(&client, page.ids.unwrap_or_default()).await?;
        for build in found.iter().filter(|build| runs(build)) {
            if let Some((id, reason)) = reason(build, policy) {
                if !policy.dry_run {
                    stop(&client, id).await?;
                }
                builds
                    .leftovers
                    .push(leftover(format!("build {id}"), reason, policy));
            } else {
                let source = build.source().and_then(|source| source.location());
                builds.sources.extend(source.map(str::to_owned));
            }
        }
        // The latest come first.
        if found.last().is_none_or(|build| age(build.start_time()) > LONGEST) {
            break;
        }
    }
    Ok(builds)
}

fn runs(build: &Build) -> bool {
    build.build_status() == Some(&StatusType::InProgress)
}

/// A page of ids is as long as one call takes.
async fn describe(client: &aws_sdk_codebuild::Client, ids: Vec<String>) -> Result<Vec<Build>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let answer = client.batch_get_builds().set_ids(Some(ids)).send().await;
    let answer = answer.map_err(|error| from_sdk("look at the builds", "codebuild:BatchGetBuilds", error))?;
    let mut builds = answer.builds.unwrap_or_default();
    builds.sort_by_key(|build| std::cmp::Reverse(build.start_time().map(DateTime::secs)));
    Ok(builds)
}

/// Which build it is and why nobody needs it; none for a build that may be needed, or is not wharf's.
fn reason<'a>(build: &'a Build, policy: &GarbagePolicy) -> Option<(&'a str, String)> {
    let mut variables = build.environment()?.environment_variables().iter();
    let owner = variables.find(|variable| variable.name() == OWNER_VARIABLE)?;
    let owner = owner.value().parse::<Owner>().ok();
    let reason = policy.reason(owner.as_ref(), age(build.start_time()))?;
    Some((build.id()?, reason))
}

async fn passwords(sdk: &SdkConfig, policy: &GarbagePolicy) -> Result<Vec<Leftover>> {
    let mut leftovers = Vec::new();
    for stored in secret::list(sdk).await? {
        if let Some(reason) = policy.reason(stored.owner.as_ref(), age(stored.created.as_ref())) {
            if !policy.dry_run {
                secret::delete(sdk, &stored.name).await?;
            }
            leftovers.push(leftover(format!("secret {}", stored.name), reason, policy));
        }
    }
    Ok(leftovers)
}

/// Contexts that no build of the project is going to fetch. One of another project finds out and uploads it again.
async fn contexts(
    store: &dyn ArtifactStore,
    in_use: &HashSet<String>,
    policy: &GarbagePolicy,
) -> Result<Vec<Leftover>> {
    let mut leftovers = Vec::new();
    for context in store.list(&format!("{FOLDER}/")).await? {
        if in_use.contains(&S3Location::object(&context.uri)?) {
            continue;
        }
        let Some(origin) = store.origin(&context.name).await? else {
            continue;
        };
        let age = origin.stored.elapsed().unwrap_or_default();
        if let Some(reason) = policy.reason(Some(&origin.owner), age) {
            if !policy.dry_run {
                store.delete(&context.name).await?;
            }
            leftovers.push(leftover(format!("build context {}", context.uri), reason, policy));
        }
    }
    Ok(leftovers)
}

fn leftover(what: String, reason: String, policy: &GarbagePolicy) -> Leftover {
    Leftover {
        what,
        reason,
        removed: !policy.dry_run,
    }
}

/// Zero for what has no date, or one to come.
fn age(since: Option<&DateTime>) -> Duration {
    let since = since.and_then(|since| SystemTime::try_from(*since).ok());
    since
        .and_then(|since| SystemTime::now().duration_since(since).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_sdk_codebuild::types::{ComputeType, EnvironmentType, EnvironmentVariable, ProjectEnvironment};

    use super::*;

    const HOUR: i64 = 60 * 60;

    fn build(owner: Option<&str>, status: StatusType, hours: i64) -> Build {
        let variable = |owner: &str| {
            let variable = EnvironmentVariable::builder().name(OWNER_VARIABLE).value(owner);
            variable.build().unwrap()
        };
        let environment = ProjectEnvironment::builder()
            .r#type(EnvironmentType::LinuxContainer)
            .image("i")
            .compute_type(ComputeType::BuildGeneral1Small)
            .set_environment_variables(Some(owner.map(variable).into_iter().collect()))
            .build()
            .unwrap();
        let now = DateTime::from(SystemTime::now()).secs();
        Build::builder()
            .id("wharf:1")
            .build_status(status)
            .start_time(DateTime::from_secs(now - hours * HOUR))
            .environment(environment)
            .build()
    }

    #[test]
    fn only_builds_of_wharf_that_nobody_waits_for_are_left_behind() {
        let this = Owner::this_process().to_string();
        let ended = this
            .rsplit_once('/')
            .map(|(process, _)| format!("{process}/1"))
            .unwrap();
        let (plain, aged) = (
            GarbagePolicy::default(),
            GarbagePolicy {
                older_than: Some(Duration::from_secs(7200)),
                dry_run: false,
            },
        );
        let left = |owner: Option<&str>, status, hours, policy| {
            reason(&build(owner, status, hours), policy).is_some()
        };
        assert!(left(Some(&ended), StatusType::InProgress, 0, &plain));
        assert!(!runs(&build(Some(&ended), StatusType::Succeeded, 0)));
        assert!(!left(Some(&this), StatusType::InProgress, 3, &plain));
        assert!(left(Some(&this), StatusType::InProgress, 3, &aged));
        assert!(!left(Some(&this), StatusType::InProgress, 1, &aged));
        assert!(!left(Some("elsewhere/1/1"), StatusType::InProgress, 3, &plain));
        assert!(left(Some("no owner"), StatusType::InProgress, 3, &aged));
        assert!(!left(None, StatusType::InProgress, 3, &aged), "somebody else's");
    }
}
