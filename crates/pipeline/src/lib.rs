//! From a pipeline's Docker settings to images.
//!
//! | module | holds |
//! | --- | --- |
//! | [`settings`] | Docker settings, and the file that says them for a pipeline and its steps |
//! | [`inputs`] | the questions that planning asks the world outside: Python, files, repositories |
//! | [`gather`] | the answers to them, from the machine itself |

pub mod gather;
pub mod inputs;
mod nearest;
pub mod settings;

pub use settings::{DockerSettings, PipelineFile};
