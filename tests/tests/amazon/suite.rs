//! The builder passes the suite for image builders.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use wharf::codebuild::AwsImageBuilder;
use wharf::core::Result;
use wharf::core::builder::{BuildOutcome, BuildRequest, Capabilities, ImageBuilder};
use wharf::core::event::EventSink;
use wharf_testkit::services;
use wharf_testkit::suite::Subject;

use super::setup::{Setup, as_store};

/// The builder with an artifact store for every request.
struct WithStore {
    setup: Setup,
    builder: AwsImageBuilder,
}

impl std::fmt::Debug for WithStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.builder.fmt(f)
    }
}

#[async_trait]
impl ImageBuilder for WithStore {
    fn flavor(&self) -> &str {
        self.builder.flavor()
    }

    fn is_building_locally(&self) -> bool {
        self.builder.is_building_locally()
    }

    fn capabilities(&self) -> Capabilities {
        self.builder.capabilities()
    }

    async fn build(&self, mut request: BuildRequest, events: EventSink) -> Result<BuildOutcome> {
        request.artifact_store = Some(as_store(self.setup.store(json!({}))));
        self.builder.build(request, events).await
    }
}

async fn subject() -> Subject {
    let setup = Setup::new().await;
    Subject {
        builder: Arc::new(WithStore {
            builder: setup.builder(json!({})),
            setup,
        }),
        registry: services::open_registry(),
        closed_registry: services::registry_with_password(Some("wrong")),
        parent_image: services::busybox_image(),
    }
}

mod amazon_engine_registry_codebuild {
    // Without `shared_memory_is_honoured`: BuildKit takes that option from Docker 23 on, and the builds here run on
    // whichever engine there is.
    wharf_testkit::image_builder_suite!(@cases
        "needs Amazon's services, a Docker engine and a registry",
        super::subject().await,
        the_digest_is_the_one_the_registry_has,
        every_name_is_pushed,
        steps_and_output_are_told,
        a_second_build_comes_from_the_cache,
        build_args_and_labels_arrive_unchanged,
        the_target_stage_is_built,
        the_context_arrives_as_it_is,
        added_files_are_told_apart_by_content,
        extra_hosts_are_honoured,
        a_build_without_network_has_none,
        secrets_reach_the_step_and_nothing_else,
        unknown_options_are_passed_on_or_refused,
        a_failing_step_is_named_and_nothing_is_pushed,
        an_unknown_stage_is_the_callers_mistake,
        a_missing_dockerfile_is_named,
        an_image_of_another_registry_is_refused,
        a_wrong_password_is_told_before_the_build,
        a_fired_token_ends_the_build,
    );
}
