//! From a pipeline's Docker settings to images.
//!
//! | module | holds |
//! | --- | --- |
//! | [`inputs`] | the questions that planning asks the world outside: Python, files, repositories |

pub mod inputs;
