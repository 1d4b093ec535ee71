//! What killed builds leave behind, and getting rid of it.

use std::time::Duration;

use serde::Serialize;

use super::Owner;

/// What counts as left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GarbagePolicy {
    /// Whatever is older than this is left behind, also if its build may still run somewhere. None: only what
    /// is known to be.
    pub older_than: Option<Duration>,
    /// Only say what would be removed.
    pub dry_run: bool,
}

impl GarbagePolicy {
    /// How it is known that nobody needs what this process made so long ago. None: somebody may.
    #[must_use]
    pub fn reason(&self, owner: Option<&Owner>, age: Duration) -> Option<String> {
        if owner.is_some_and(Owner::has_ended) {
            return Some("the wharf that made it has ended".to_owned());
        }
        let limit = self.older_than?;
        (age >= limit).then(|| format!("it is older than {} s", limit.as_secs()))
    }
}

/// Something that a build left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// What it is and where, for people: `job wharf-ab12 in namespace builds`.
    pub what: String,
    /// How it is known that nobody needs it.
    pub reason: String,
    /// Whether it was removed; if not, it was only looked for.
    pub removed: bool,
}
