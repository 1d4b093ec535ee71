//! The one table that says what a daemon's error means.
//!
//! BuildKit ends nearly every build that fails with the code `Unknown` and a text, so the text has to be read.
//! The first rule of which a part stands in the text decides; what a step itself did comes first, as its command
//! line is part of the text and may say anything.

use tonic::Code;
use wharf_core::ErrorKind::{self, *};

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: ErrorKind,
    pub(super) retryable: bool,
    pub(super) hint: Option<&'static str>,
}

struct Rule {
    /// In lower case; one of them is enough.
    parts: &'static [&'static str],
    kind: ErrorKind,
    retryable: bool,
    hint: Option<&'static str>,
}

const fn rule(parts: &'static [&'static str], kind: ErrorKind, hint: &'static str) -> Rule {
    Rule {
        parts,
        kind,
        retryable: false,
        hint: Some(hint),
    }
}

const fn passing(parts: &'static [&'static str], kind: ErrorKind, hint: &'static str) -> Rule {
    Rule {
        parts,
        kind,
        retryable: true,
        hint: Some(hint),
    }
}

/// A step ran and ended badly.
const RAN: &[&str] = &["executor failed running [", "did not complete successfully: "];

const RULES: &[Rule] = &[
    passing(
        &[
            "context canceled",
            "no active session",
            "session healthcheck failed",
        ],
        Unavailable,
        "The daemon stopped the build: look at its log, it may have been restarted.",
    ),
    rule(
        &["no space left on device", "disk quota exceeded"],
        ResourceExhausted,
        "Free disk space where the engine keeps its data, for example with `docker builder prune`.",
    ),
    rule(
        &["target stage"],
        NotFound,
        "Name a stage that the Dockerfile has: `FROM … AS <stage>`.",
    ),
    rule(
        &[
            "parse error",
            "the dockerfile cannot be empty",
            "file with no instructions",
            "no build stage in current context",
        ],
        InvalidInput,
        "Correct the Dockerfile.",
    ),
    rule(
        &["failed to read dockerfile"],
        NotFound,
        "Name the Dockerfile with --file.",
    ),
    rule(
        &[
            "failed to compute cache key",
            "failed to calculate checksum of ref",
            "failed to walk ",
        ],
        BuildFailed,
        "Check that the file is in the build context and not excluded by the ignore file.",
    ),
    rule(
        &["no ssh key", "unset ssh forward key", "no ssh agent answers"],
        NotFound,
        "Start an SSH agent, and give the build its socket.",
    ),
    rule(
        &["is not allowed", "entitlement"],
        PermissionDenied,
        "The daemon does not allow this; its administrator can.",
    ),
    rule(
        &["toomanyrequests", "429 too many requests", "rate limit"],
        RateLimited,
        "Log in to the registry, or try again later.",
    ),
    rule(
        &[
            "pull access denied",
            "insufficient_scope",
            "authorization failed",
            "unauthorized",
            "authentication required",
            "401 ",
        ],
        Unauthenticated,
        "Check the image's name, and log in to its registry.",
    ),
    rule(
        &["403 forbidden", "denied: "],
        PermissionDenied,
        "Log in to the registry as somebody who may do this.",
    ),
    rule(
        &[
            "no match for platform in manifest",
            "does not match the specified platform",
            "no matching manifest",
        ],
        NotFound,
        "Choose a platform the parent image has, or another parent image.",
    ),
    rule(
        &[
            "server gave http response to https client",
            "x509: ",
            "certificate signed by unknown authority",
        ],
        Unavailable,
        "Tell the engine how the registry is to be trusted: `insecure-registries` or its certificate.",
    ),
    passing(
        &[
            "no such host",
            "connection refused",
            "connection reset",
            "i/o timeout",
            "tls handshake timeout",
            "network is unreachable",
            "502 bad gateway",
            "503 service unavailable",
            "504 gateway timeout",
            "unexpected eof",
        ],
        Unavailable,
        "Check that the engine reaches the registry; proxies must be configured for the engine itself.",
    ),
    rule(
        &["failed to push"],
        PushFailed,
        "Check that the registry takes images under this name.",
    ),
    rule(
        &[
            "manifest unknown",
            ": not found",
            "name unknown",
            "repository does not exist",
        ],
        NotFound,
        "Check the name and the tag.",
    ),
];

/// What an error means, by its code and its text.
pub(super) fn verdict(code: Code, message: &str) -> Verdict {
    let lower = message.to_lowercase();
    if RAN.iter().any(|part| lower.contains(part)) {
        return plain(BuildFailed, false);
    }
    if let Some(verdict) = missing_secret(&lower) {
        return verdict;
    }
    let found = RULES
        .iter()
        .find(|rule| rule.parts.iter().any(|part| lower.contains(part)));
    match found {
        Some(rule) => Verdict {
            kind: rule.kind,
            retryable: rule.retryable,
            hint: rule.hint,
        },
        None => by_code(code),
    }
}

fn missing_secret(lower: &str) -> Option<Verdict> {
    let missing = lower.contains("secret") && lower.contains("not found");
    missing.then_some(Verdict {
        kind: NotFound,
        retryable: false,
        hint: Some("Give the build the secret with --secret."),
    })
}

fn by_code(code: Code) -> Verdict {
    match code {
        Code::Unknown => plain(BuildFailed, false),
        Code::Cancelled => plain(Cancelled, false),
        Code::InvalidArgument | Code::OutOfRange => plain(InvalidInput, false),
        Code::DeadlineExceeded => plain(Timeout, true),
        Code::NotFound => plain(NotFound, false),
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => plain(Conflict, false),
        Code::PermissionDenied => plain(PermissionDenied, false),
        Code::ResourceExhausted => plain(ResourceExhausted, false),
        Code::Unimplemented => plain(Unsupported, false),
        Code::Unavailable => plain(Unavailable, true),
        Code::Unauthenticated => plain(Unauthenticated, false),
        Code::Ok | Code::Internal | Code::DataLoss => plain(Unexpected, false),
    }
}

const fn plain(kind: ErrorKind, retryable: bool) -> Verdict {
    Verdict {
        kind,
        retryable,
        hint: None,
    }
}

/// What a step's process ended with, from the text.
pub(super) fn exit_code(message: &str) -> Option<i64> {
    let (_, rest) = message.rsplit_once("exit code: ")?;
    number(rest)
}

/// The line of the Dockerfile that cannot be read, from the text.
pub(super) fn parse_error_line(message: &str) -> Option<u32> {
    let (_, rest) = message.split_once("parse error")?;
    let (_, rest) = rest.split_once("line ")?;
    number(rest)
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_what_daemons_say() {
        let cases = [
            (
                "executor failed running [/bin/sh -c echo connection refused]: exit code: 1",
                BuildFailed,
                false,
            ),
            (
                "process \"/bin/sh -c x\" did not complete successfully: exit code: 127",
                BuildFailed,
                false,
            ),
            ("target stage nosuch could not be found", NotFound, false),
            ("target stage \"nosuch\" could not be found", NotFound, false),
            (
                "failed to read dockerfile: open Dockerfile: no such file or directory",
                NotFound,
                false,
            ),
            (
                "dockerfile parse error line 1: unknown instruction: FRO",
                InvalidInput,
                false,
            ),
            ("the Dockerfile cannot be empty", InvalidInput, false),
            (
                "failed to compute cache key: \"/gone\" not found: not found",
                BuildFailed,
                false,
            ),
            (
                "failed to calculate checksum of ref abc: \"/gone\": not found",
                BuildFailed,
                false,
            ),
            (
                "docker.io/library/nope:1: pull access denied, repository does not exist or may require \
                 authorization: server message: insufficient_scope: authorization failed",
                Unauthenticated,
                false,
            ),
            (
                "unexpected status code [manifests 1]: 401 Unauthorized",
                Unauthenticated,
                false,
            ),
            (
                "r.example/app:1: unexpected status code 403 Forbidden",
                PermissionDenied,
                false,
            ),
            (
                "httpReadSeeker: 429 Too Many Requests - toomanyrequests: pull rate limit",
                RateLimited,
                false,
            ),
            ("localhost:5000/nope:1: not found", NotFound, false),
            (
                "failed to do request: Head \"https://r\": dial tcp: lookup r: no such host",
                Unavailable,
                true,
            ),
            (
                "failed to do request: dial tcp 127.0.0.1:1: connect: connection refused",
                Unavailable,
                true,
            ),
            (
                "http: server gave HTTP response to HTTPS client",
                Unavailable,
                false,
            ),
            (
                "x509: certificate signed by unknown authority",
                Unavailable,
                false,
            ),
            (
                "write /var/lib/docker/x: no space left on device",
                ResourceExhausted,
                false,
            ),
            (
                "failed to push r/a:1: unexpected status: 500 Internal Server Error",
                PushFailed,
                false,
            ),
            (
                "no match for platform in manifest sha256:1: not found",
                NotFound,
                false,
            ),
            ("secret token not found", NotFound, false),
            ("secret token: not found", NotFound, false),
            (
                "no SSH key \"default\" forwarded from the client",
                NotFound,
                false,
            ),
            ("network.host is not allowed", PermissionDenied, false),
            ("something nobody has seen", BuildFailed, false),
        ];
        for (message, kind, retryable) in cases {
            let verdict = verdict(Code::Unknown, message);
            assert_eq!((verdict.kind, verdict.retryable), (kind, retryable), "{message}");
        }
    }

    #[test]
    fn a_code_decides_where_the_text_says_nothing() {
        assert_eq!(verdict(Code::Unavailable, "x"), plain(Unavailable, true));
        assert_eq!(verdict(Code::Unimplemented, "x"), plain(Unsupported, false));
        assert_eq!(
            verdict(Code::ResourceExhausted, "x"),
            plain(ResourceExhausted, false)
        );
    }

    #[test]
    fn numbers_are_read_from_texts() {
        assert_eq!(exit_code("exit code: 1: exit code: 137: retry"), Some(137));
        assert_eq!(exit_code("exit code: none"), None);
        assert_eq!(parse_error_line("dockerfile parse error on line 12: x"), Some(12));
        assert_eq!(parse_error_line("an error on line 12"), None);
    }
}
