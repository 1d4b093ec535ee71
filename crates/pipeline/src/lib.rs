//! From a pipeline's Docker settings to images.
//!
//! An orchestrator says which images it wants as [`ImageRequest`]s: a key, a step, its [`DockerSettings`], and what
//! it adds itself, which are the entrypoint, files, and requirements. [`ImageOrder::deliver`] makes them ready and
//! answers with references by key. The parts of that can be used by themselves:
//!
//! | module | holds |
//! | --- | --- |
//! | [`settings`] | Docker settings, and the file that says them for a pipeline and its steps |
//! | [`decide`] | where code comes from, which images are needed, what they are called |
//! | [`requirements`] | which Python packages an image gets, in which order |
//! | [`dockerfile`] | the generated Dockerfile |
//! | [`plan`] | for every image what happens, and why |
//! | [`content`] | what goes into an image, as parts and as one key |
//! | [`execute`] | from a plan to images: reuse what there is, build the rest |
//! | [`history`] | what earlier builds mean for a plan |
//! | [`records`] | which images were built, from what, and when |
//! | [`inputs`] | the questions that planning asks the world outside: Python, files, repositories |
//! | [`gather`] | the answers to them, from the machine itself |

mod checksum;
pub mod content;
pub mod decide;
pub mod dockerfile;
pub mod execute;
pub mod gather;
pub mod history;
pub mod inputs;
mod nearest;
mod order;
pub mod plan;
pub mod records;
pub mod requirements;
pub mod settings;

pub use decide::{CodeSource, ImageRequest, PipelineCode};
pub use order::{Delivery, ImageOrder};
pub use plan::{PipelinePlan, PlanInput};
pub use settings::{DockerSettings, PipelineFile};
