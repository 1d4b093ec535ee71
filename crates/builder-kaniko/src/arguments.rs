//! The arguments of Kaniko's executor.

use wharf_core::flavor::known::{KanikoExecutor, KanikoImageBuilderConfig};

use crate::executor;
use crate::manifest::CA_FILE;
use crate::plan::BuildPlan;

/// Where a container leaves its last words; Kaniko writes the digest there.
pub(crate) const TERMINATION_LOG: &str = "/dev/termination-log";

/// The context that comes through the connection to the pod.
pub(crate) const STDIN_CONTEXT: &str = "tar://stdin";

/// The arguments for a build whose context is at `context`. What comes from the request is protected from
/// Kubernetes, which would replace `$(NAME)`; the configuration's own arguments are not, so that they can use it.
pub(crate) fn arguments(config: &KanikoImageBuilderConfig, plan: &BuildPlan, context: &str) -> Vec<String> {
    let mut arguments = vec![
        format!("--dockerfile={}", plan.dockerfile.name.display()),
        format!("--context={context}"),
    ];
    arguments.extend(plan.names.iter().map(|name| format!("--destination={name}")));
    // Not the name with the digest: that has a line for each name, and a pod's last words are short.
    arguments.push(format!("--digest-file={TERMINATION_LOG}"));
    arguments.push("--log-format=json".to_owned());
    arguments.extend(registry_arguments(plan));
    if executor::family(config) == Some(KanikoExecutor::Google) {
        // What the fork does anyway.
        arguments.push("--skip-unused-stages=true".to_owned());
    }
    if config.cache {
        arguments.push("--cache=true".to_owned());
        arguments.extend(
            config
                .cache_repository
                .iter()
                .map(|name| format!("--cache-repo={name}")),
        );
    }
    let mut arguments: Vec<String> = arguments.iter().map(|argument| literal(argument)).collect();
    arguments.extend(config.executor_args.iter().cloned());
    arguments.extend(option_arguments(plan).iter().map(|argument| literal(argument)));
    arguments
}

fn registry_arguments(plan: &BuildPlan) -> Vec<String> {
    let host = plan.registry.address().domain();
    let mut arguments = Vec::new();
    if plan.registry.plain_http() {
        arguments.push(format!("--insecure-registry={host}"));
    }
    if plan.registry.ca_certificate().is_some() {
        arguments.push(format!("--registry-certificate={host}={CA_FILE}"));
    }
    arguments
}

fn option_arguments(plan: &BuildPlan) -> Vec<String> {
    let options = &plan.options;
    let mut arguments = Vec::new();
    for (flag, pairs) in [("--label", &options.labels), ("--build-arg", &options.build_args)] {
        for (key, value) in pairs {
            arguments.extend([flag.to_owned(), format!("{key}={value}")]);
        }
    }
    arguments.extend(options.target.iter().map(|target| format!("--target={target}")));
    arguments.extend(
        options
            .platforms
            .iter()
            .map(|platform| format!("--custom-platform={platform}")),
    );
    if options.no_cache {
        // After the configuration's own, which may turn the cache on.
        arguments.push("--cache=false".to_owned());
    }
    arguments
}

/// A text that Kubernetes hands on as it is: in arguments it replaces `$(NAME)` by variables and `$$` by `$`.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}
