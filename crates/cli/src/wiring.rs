//! The only place of the command that knows which builders are compiled in.

use wharf_core::doctor::Check;

/// Asks everything that is compiled in how it is.
pub async fn diagnose(_host: Option<&str>) -> Vec<Check> {
    Vec::new()
}
