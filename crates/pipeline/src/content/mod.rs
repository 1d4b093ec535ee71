//! What goes into an image: in parts that can be compared with those of another build, and as one key.
//!
//! These are the parts:
//!
//! 1. the Dockerfile's text, and its name in the context;
//! 2. the code: names, contents and modes of the files in the context's directory, under its ignore rules;
//! 3. the added files: requirements files, and what an orchestrator adds;
//! 4. the build options that change what comes out;
//! 5. the platform;
//! 6. what every parent image means: the digest that its registry has, the key of an image of the same plan, or
//!    the name where no registry answers.
//!
//! Where a file lies, who builds, and when, is in none of them. What a builder understands is in the Dockerfile,
//! which is written for it.

mod code;
mod key;
mod parents;
mod parts;

pub(crate) use self::code::CodeDigests;
pub use self::key::ContentKey;
pub(crate) use self::parents::{ParentDigests, parent_names};
pub use self::parts::ContentParts;
