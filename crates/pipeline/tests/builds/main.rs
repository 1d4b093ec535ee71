//! What builds do on real engines: pipelines are planned, built and run.
//!
//! What a test needs is in its name: `engine_`, `podman_`, `registry_`.

#![allow(clippy::unwrap_used, reason = "a test may unwrap what it has just set up")]

/// Tests of one topic on every kind of engine.
macro_rules! everywhere {
    ($($topic:ident),+ $(,)?) => {
        mod engine_buildkit {
            $(
                #[tokio::test(flavor = "multi_thread")]
                #[ignore = "needs a Docker engine"]
                async fn $topic() {
                    super::$topic(crate::support::Way::BuildKit).await;
                }
            )+
        }

        mod engine_classic {
            $(
                #[tokio::test(flavor = "multi_thread")]
                #[ignore = "needs a Docker engine"]
                async fn $topic() {
                    super::$topic(crate::support::Way::Classic).await;
                }
            )+
        }

        mod podman_builds {
            $(
                #[tokio::test(flavor = "multi_thread")]
                #[ignore = "needs Podman"]
                async fn $topic() {
                    super::$topic(crate::support::Way::Podman).await;
                }
            )+
        }
    };
}

mod environment;
mod index;
mod installs;
mod layers;
mod own_dockerfile;
mod ownership;
mod private_index;
mod support;
