//! Calls that fail on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::json;

use super::lock;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `ThrottlingException`, or S3's `SlowDown`.
    Throttled,
    /// Status 500.
    ServerError,
    /// `ExpiredTokenException`.
    ExpiredToken,
    /// `AccountLimitExceededException`.
    AccountLimit,
    /// `AccessDeniedException`.
    Denied,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    planned: Mutex<BTreeMap<String, Vec<Fault>>>,
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    seen: BTreeSet<String>,
    expired: BTreeSet<String>,
}

impl Faults {
    pub(super) fn add(&self, operation: &str, fault: Fault, times: usize) {
        let mut planned = lock(&self.planned);
        planned
            .entry(operation.to_owned())
            .or_default()
            .extend(vec![fault; times]);
    }

    pub(super) fn clear(&self) {
        lock(&self.planned).clear();
    }

    pub(super) fn expire_keys(&self) {
        let mut keys = lock(&self.keys);
        keys.expired = keys.seen.clone();
    }

    /// How this call fails; none: it does not. Who asks for new keys may have old ones.
    pub(super) fn take(&self, operation: &str, key: Option<&str>) -> Option<Fault> {
        if let Some(key) = key.filter(|_| !operation.starts_with("AssumeRole")) {
            let mut keys = lock(&self.keys);
            keys.seen.insert(key.to_owned());
            if keys.expired.contains(key) {
                return Some(Fault::ExpiredToken);
            }
        }
        lock(&self.planned).get_mut(operation)?.pop()
    }
}

impl Fault {
    /// Status and body, in the form of S3 or of the other services.
    pub(super) fn answer(self, s3: bool) -> (u16, String) {
        let (status, code, message) = match self {
            Self::Throttled if s3 => (503, "SlowDown", "Please reduce your request rate."),
            Self::Throttled => (400, "ThrottlingException", "Rate exceeded"),
            Self::ServerError => (
                500,
                "InternalError",
                "We encountered an internal error. Please try again.",
            ),
            Self::ExpiredToken if s3 => (400, "ExpiredToken", "The provided token has expired."),
            Self::ExpiredToken => (
                400,
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ),
            Self::AccountLimit => (
                400,
                "AccountLimitExceededException",
                "Cannot have more than 1 builds in queue for the account",
            ),
            Self::Denied if s3 => (403, "AccessDenied", "Access Denied"),
            Self::Denied => (
                400,
                "AccessDeniedException",
                "User: somebody is not authorized to perform this",
            ),
        };
        let body = match s3 {
            true => format!(
                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            ),
            false => json!({"__type": code, "message": message}).to_string(),
        };
        (status, body)
    }
}
