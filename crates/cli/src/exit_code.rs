//! What the command's exit code means: one constant for each meaning, one table, one match.
//!
//! The page `docs/reference/exit-codes.md` is made from [`TABLE`].

use wharf_core::ErrorKind;

/// Everything went well.
pub const OK: u8 = 0;
/// The build itself failed: an instruction of the Dockerfile ended with an error.
pub const BUILD_FAILED: u8 = 1;
/// The command line or the input is wrong.
pub const USAGE: u8 = 2;
/// A configuration or a stack is wrong.
pub const CONFIGURATION: u8 = 3;
/// Something named does not exist.
pub const NOT_FOUND: u8 = 4;
/// The builder cannot do what was asked.
pub const UNSUPPORTED: u8 = 5;
/// An engine, a registry or a service does not answer, or asks to be left alone for a while.
pub const UNAVAILABLE: u8 = 6;
/// Credentials are missing, wrong or expired.
pub const UNAUTHENTICATED: u8 = 7;
/// The credentials are good, but do not allow this.
pub const PERMISSION_DENIED: u8 = 8;
/// Disk, memory or quota ran out.
pub const RESOURCE_EXHAUSTED: u8 = 9;
/// The image was built but could not be pushed.
pub const PUSH_FAILED: u8 = 10;
/// It took longer than allowed.
pub const TIMEOUT: u8 = 11;
/// Reading or writing a local file failed.
pub const IO: u8 = 12;
/// What is there contradicts what is asked.
pub const CONFLICT: u8 = 13;
/// `wharf doctor` found a problem.
pub const PROBLEM_FOUND: u8 = 14;
/// The other side answered something that wharf does not understand, or wharf is wrong.
pub const INTERNAL: u8 = 70;
/// Stopped by Ctrl-C: 128 + SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM: 128 + SIGTERM.
pub const TERMINATED: u8 = 143;

/// A meaning, for the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The code.
    pub code: u8,
    /// Its name, as JSON output has it.
    pub name: &'static str,
    /// When it is used.
    pub meaning: &'static str,
    /// What usually helps.
    pub cure: &'static str,
}

const fn row(code: u8, name: &'static str, meaning: &'static str, cure: &'static str) -> Meaning {
    Meaning {
        code,
        name,
        meaning,
        cure,
    }
}

/// Every code, in ascending order.
pub const TABLE: [Meaning; 18] = [
    row(
        OK,
        "ok",
        "Everything went well. The result stands on standard output.",
        "",
    ),
    row(
        BUILD_FAILED,
        "build_failed",
        "The build itself failed: an instruction of the Dockerfile ended with an error.",
        "Read the step's last lines of output; the place in the Dockerfile is marked.",
    ),
    row(
        USAGE,
        "usage",
        "The command line or the input is wrong: an unknown option, a reference that does not parse, an ignore \
         file with an invalid pattern.",
        "Do what the message says; `--help` lists the options.",
    ),
    row(
        CONFIGURATION,
        "configuration",
        "A configuration or a stack is wrong: an unknown key, a component that is missing.",
        "Correct the file that the message names.",
    ),
    row(
        NOT_FOUND,
        "not_found",
        "Something named does not exist: a build context, a Dockerfile, a stage, a parent image.",
        "Check the name.",
    ),
    row(
        UNSUPPORTED,
        "unsupported",
        "The builder cannot do what was asked. The message names the option and who could.",
        "Leave the option out, or choose another builder.",
    ),
    row(
        UNAVAILABLE,
        "unavailable",
        "An engine, a registry or a service does not answer, or asks to be left alone for a while.",
        "Start it, or try again later; `wharf doctor` says what was tried.",
    ),
    row(
        UNAUTHENTICATED,
        "unauthenticated",
        "Credentials are missing, wrong or expired.",
        "Log in again, for example with `docker login`.",
    ),
    row(
        PERMISSION_DENIED,
        "permission_denied",
        "The credentials are good, but do not allow this.",
        "Ask for the permission that the message names.",
    ),
    row(
        RESOURCE_EXHAUSTED,
        "resource_exhausted",
        "Disk, memory or quota ran out, here or where the build runs.",
        "Make room; `wharf doctor` shows how much is free.",
    ),
    row(
        PUSH_FAILED,
        "push_failed",
        "The image was built but could not be pushed.",
        "Run the command again: what is built already comes from the cache.",
    ),
    row(
        TIMEOUT,
        "timeout",
        "It took longer than allowed.",
        "Allow more time, or try again.",
    ),
    row(
        IO,
        "io",
        "Reading or writing a local file failed.",
        "Check the path and its permissions.",
    ),
    row(
        CONFLICT,
        "conflict",
        "What is there contradicts what is asked: a name that is taken, a file that changed while it was read.",
        "Try again when nothing else works on the same files or names.",
    ),
    row(
        PROBLEM_FOUND,
        "problem_found",
        "`wharf doctor` found a problem.",
        "Do what stands beside the problem.",
    ),
    row(
        INTERNAL,
        "internal",
        "The other side answered something that wharf does not understand, or wharf itself is wrong.",
        "Report it with the whole message.",
    ),
    row(
        INTERRUPTED,
        "interrupted",
        "Stopped by Ctrl-C (128 + SIGINT). The build was cancelled.",
        "",
    ),
    row(
        TERMINATED,
        "terminated",
        "Stopped by SIGTERM (128 + SIGTERM). The build was cancelled.",
        "",
    ),
];

/// The code of a failure. A cancelled one is [`INTERRUPTED`] until a signal says otherwise.
#[must_use]
pub fn of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::BuildFailed => BUILD_FAILED,
        ErrorKind::InvalidInput => USAGE,
        ErrorKind::InvalidConfiguration => CONFIGURATION,
        ErrorKind::NotFound => NOT_FOUND,
        ErrorKind::Unsupported => UNSUPPORTED,
        ErrorKind::Unavailable | ErrorKind::RateLimited => UNAVAILABLE,
        ErrorKind::Unauthenticated => UNAUTHENTICATED,
        ErrorKind::PermissionDenied => PERMISSION_DENIED,
        ErrorKind::ResourceExhausted => RESOURCE_EXHAUSTED,
        ErrorKind::PushFailed => PUSH_FAILED,
        ErrorKind::Timeout => TIMEOUT,
        ErrorKind::Io => IO,
        ErrorKind::Conflict => CONFLICT,
        ErrorKind::Cancelled => INTERRUPTED,
        // `Unexpected`, and kinds that are younger than this match.
        _ => INTERNAL,
    }
}

/// The name of a code, as JSON output has it.
#[must_use]
pub fn name(code: u8) -> &'static str {
    let known = TABLE.iter().find(|row| row.code == code);
    known.map_or("internal", |row| row.name)
}

/// The codes as a page of the reference.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Exit codes of `wharf`\n\n\
         Made from `crates/cli/src/exit_code.rs`; do not edit.\n\n\
         On every code but 0 standard output is empty, apart from the checks of `wharf doctor`; the reason stands \
         on standard error.\n\n\
         | code | name | meaning | what helps |\n| ---: | --- | --- | --- |\n",
    );
    for row in TABLE {
        page.push_str(&format!(
            "| {} | `{}` | {} | {} |\n",
            row.code, row.name, row.meaning, row.cure
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_meaning_has_one_code_and_one_name() {
        assert!(TABLE.windows(2).all(|pair| pair[0].code < pair[1].code));
        let mut names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn every_kind_of_failure_has_a_documented_code() {
        for (kind, code) in [
            (ErrorKind::BuildFailed, 1),
            (ErrorKind::InvalidInput, 2),
            (ErrorKind::InvalidConfiguration, 3),
            (ErrorKind::NotFound, 4),
            (ErrorKind::Unsupported, 5),
            (ErrorKind::Unavailable, 6),
            (ErrorKind::RateLimited, 6),
            (ErrorKind::Unauthenticated, 7),
            (ErrorKind::PermissionDenied, 8),
            (ErrorKind::ResourceExhausted, 9),
            (ErrorKind::PushFailed, 10),
            (ErrorKind::Timeout, 11),
            (ErrorKind::Io, 12),
            (ErrorKind::Conflict, 13),
            (ErrorKind::Unexpected, 70),
            (ErrorKind::Cancelled, 130),
        ] {
            assert_eq!(of(kind), code, "{kind:?}");
            assert!(TABLE.iter().any(|row| row.code == code), "{code}");
        }
    }
}
