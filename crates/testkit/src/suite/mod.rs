//! The tests every image builder must pass, chosen by what it says it can do.
//!
//! A case never asks for a builder's name. Where a builder lacks a capability, its case checks that the
//! builder refuses, and names, what it cannot do. What arrived in an image is checked inside the build, by
//! `RUN` steps that fail, and in the registry.

mod failures;
mod options;
mod pushes;
mod subject;

pub use failures::*;
pub use options::*;
pub use pushes::*;
pub use subject::{Built, Subject};

/// Makes one test of each case: `image_builder_suite!("why ignored", subject)`. The subject is an expression
/// that gives a [`Subject`]; it is evaluated for every test.
#[macro_export]
macro_rules! image_builder_suite {
    ($reason:literal, $subject:expr) => {
        $crate::image_builder_suite!(@cases $reason, $subject,
            the_digest_is_the_one_the_registry_has,
            every_name_is_pushed,
            steps_and_output_are_told,
            a_second_build_comes_from_the_cache,
            build_args_and_labels_arrive_unchanged,
            the_target_stage_is_built,
            the_context_arrives_as_it_is,
            added_files_are_told_apart_by_content,
            extra_hosts_are_honoured,
            shared_memory_is_honoured,
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
    };
    (@cases $reason:literal, $subject:expr, $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = $reason]
            async fn $case() {
                $crate::suite::$case(&$subject).await;
            }
        )+
    };
}
