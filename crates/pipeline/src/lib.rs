//! From a pipeline's Docker settings to images.
//!
//! | module | holds |
//! | --- | --- |
//! | [`settings`] | Docker settings, and the file that says them for a pipeline and its steps |
//! | [`decide`] | where code comes from, which images are needed, what they are called |
//! | [`requirements`] | which Python packages an image gets, in which order |
//! | [`dockerfile`] | the generated Dockerfile |
//! | [`plan`] | for every image what happens, and why |
//! | [`execute`] | from a plan to images: reuse what there is, build the rest |
//! | [`records`] | which images were built, from what, and when |
//! | [`inputs`] | the questions that planning asks the world outside: Python, files, repositories |
//! | [`gather`] | the answers to them, from the machine itself |

pub mod decide;
pub mod dockerfile;
pub mod execute;
pub mod gather;
pub mod inputs;
mod nearest;
pub mod plan;
pub mod records;
pub mod requirements;
pub mod settings;

pub use decide::{CodeSource, ImageRequest, PipelineCode};
pub use plan::{PipelinePlan, PlanInput};
pub use settings::{DockerSettings, PipelineFile};
