//! The one place where a registry's answers become errors of wharf.

use std::error::Error as StdError;
use std::io;

use reqwest::StatusCode;
use serde::Deserialize;
use wharf_core::registry::CredentialSource;
use wharf_core::{Error, ErrorKind};

/// Longest message of a registry that is passed on, in characters.
const SHOWN: usize = 500;

/// What an HTTP status means: kind of error, whether a retry can help, what is wrong, what to do.
struct Row {
    status: std::ops::RangeInclusive<u16>,
    kind: ErrorKind,
    retryable: bool,
    message: &'static str,
    hint: Option<&'static str>,
}

const fn row(
    status: std::ops::RangeInclusive<u16>,
    kind: ErrorKind,
    retryable: bool,
    message: &'static str,
    hint: Option<&'static str>,
) -> Row {
    Row {
        status,
        kind,
        retryable,
        message,
        hint,
    }
}

/// The first row whose statuses contain the answer's counts.
const TABLE: &[Row] = &[
    row(
        401..=401,
        ErrorKind::Unauthenticated,
        false,
        "the registry wants a login",
        None,
    ),
    row(
        403..=403,
        ErrorKind::PermissionDenied,
        false,
        "the registry does not allow this with these credentials",
        Some("Ask the registry's owner for the right, or log in as somebody who has it."),
    ),
    row(
        404..=404,
        ErrorKind::NotFound,
        false,
        "the registry has no such repository or image",
        None,
    ),
    row(
        405..=405,
        ErrorKind::Unsupported,
        false,
        "the registry does not allow this request",
        Some("It may be a read-only mirror."),
    ),
    row(
        408..=408,
        ErrorKind::Timeout,
        true,
        "the registry waited too long for the request",
        None,
    ),
    row(
        409..=409,
        ErrorKind::Conflict,
        false,
        "the registry has something else under this name",
        None,
    ),
    row(
        413..=413,
        ErrorKind::ResourceExhausted,
        false,
        "this is too large for the registry",
        None,
    ),
    row(
        429..=429,
        ErrorKind::RateLimited,
        true,
        "the registry is asked too often",
        Some("Log in, as most registries allow more to known users, or try again later."),
    ),
    row(
        507..=507,
        ErrorKind::ResourceExhausted,
        false,
        "the registry is full",
        None,
    ),
    row(
        500..=599,
        ErrorKind::Unavailable,
        true,
        "the registry has a problem of its own",
        None,
    ),
];

/// The body of a refusal, as the distribution specification has it.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The error for an answer that is not the wanted one.
pub(crate) fn from_status(status: StatusCode, retry_after: Option<&str>, body: &[u8]) -> Error {
    let reasons = reasons(body);
    let mut error = match TABLE.iter().find(|row| row.status.contains(&status.as_u16())) {
        Some(row) => {
            let error = Error::new(row.kind, row.message).set_retryable(row.retryable);
            match row.hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        }
        None => unlisted(body, &reasons),
    };
    error = error.with_context("status", status.to_string());
    if let Some(seconds) = retry_after {
        error = error.with_context("retry after", seconds);
    }
    let said: Vec<String> = reasons
        .iter()
        .map(Reason::text)
        .filter(|text| !text.is_empty())
        .collect();
    if !said.is_empty() {
        error = error.with_context(
            "registry said",
            said.join("; ").chars().take(SHOWN).collect::<String>(),
        );
    }
    error
}

/// Statuses that mean several things.
fn unlisted(body: &[u8], reasons: &[Reason]) -> Error {
    if reasons.iter().any(|reason| reason.code == "TAG_INVALID") {
        return Error::new(ErrorKind::Conflict, "the registry does not take this tag")
            .with_hint("Tags may be immutable there: use another one.");
    }
    if String::from_utf8_lossy(body).contains("HTTP request to an HTTPS server") {
        return Error::new(
            ErrorKind::Unavailable,
            "the registry speaks TLS and was asked without",
        )
        .with_hint("Set \"insecure\" to false in the registry's configuration.");
    }
    Error::new(
        ErrorKind::Unexpected,
        "the registry answered something unexpected",
    )
}

fn reasons(body: &[u8]) -> Vec<Reason> {
    serde_json::from_slice::<Refusal>(body)
        .map(|refusal| refusal.errors)
        .unwrap_or_default()
}

impl Reason {
    fn text(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }
}

/// The error for a registry that wants to know who asks.
pub(crate) fn login_needed(host: &str, used: Option<&CredentialSource>) -> Error {
    match used {
        Some(source) => Error::new(ErrorKind::Unauthenticated, "the registry refused the credentials")
            .with_context("credentials from", source.to_string())
            .with_hint(format!(
                "They may be wrong, expired, or not good for this repository. Log in again: docker login {host}"
            )),
        None => Error::new(ErrorKind::Unauthenticated, "the registry wants a login and no credentials were found")
            .with_hint(format!(
                "Log in with docker login {host}, or set username and password in the registry's configuration. \
                 A repository that does not exist may look like this too."
            )),
    }
}

/// The error for a request that got no answer.
pub(crate) fn from_transport(error: reqwest::Error) -> Error {
    // The address may carry an upload's secret state; who calls adds the registry's name.
    let error = error.without_url();
    let tls = cause::<rustls::Error>(&error).map(tls_hint);
    let refused =
        cause::<io::Error>(&error).is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused);
    let (kind, message, retryable) = match &tls {
        Some(_) => (
            ErrorKind::Unavailable,
            "no secure connection to the registry could be made",
            false,
        ),
        None if error.is_timeout() => (ErrorKind::Timeout, "the registry did not answer in time", true),
        None if refused => (
            ErrorKind::Unavailable,
            "nothing listens at the registry's address",
            true,
        ),
        None if error.is_connect() => (ErrorKind::Unavailable, "the registry could not be reached", true),
        None if error.is_redirect() => (ErrorKind::Unexpected, "the registry redirects in a circle", false),
        None => (
            ErrorKind::Unavailable,
            "the connection to the registry broke",
            true,
        ),
    };
    let mapped = Error::new(kind, message)
        .set_retryable(retryable)
        .with_source(error);
    match tls {
        Some(hint) => mapped.with_hint(hint),
        None if refused => mapped.with_hint("Check host and port, and that the registry runs."),
        None => mapped,
    }
}

fn tls_hint(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidMessage(_) => {
            "The registry seems to speak plain HTTP: set \"insecure\" to true in its configuration, if that is meant."
        }
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "If the registry has a CA of its own, name its certificate as \"ca_certificate\" in the registry's \
             configuration or in SSL_CERT_FILE. If no registry works, this machine's CA certificates are missing."
        }
        rustls::Error::InvalidCertificate(
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. },
        ) => "The registry's certificate is not valid at this machine's time: check the clock, or renew it.",
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "The registry's certificate is for another name: use the name that it was made for.",
        _ => "Check that the registry speaks TLS 1.2 or 1.3 at this port.",
    }
}

/// The first cause of a type. What an [`io::Error`] holds is not in its chain of sources.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held
            .map(|held| held as &(dyn StdError + 'static))
            .or_else(|| error.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        use ErrorKind as K;
        for (status, kind, retryable) in [
            (400, K::Unexpected, false),
            (401, K::Unauthenticated, false),
            (403, K::PermissionDenied, false),
            (404, K::NotFound, false),
            (405, K::Unsupported, false),
            (408, K::Timeout, true),
            (409, K::Conflict, false),
            (413, K::ResourceExhausted, false),
            (418, K::Unexpected, false),
            (429, K::RateLimited, true),
            (500, K::Unavailable, true),
            (503, K::Unavailable, true),
            (507, K::ResourceExhausted, false),
        ] {
            let error = from_status(StatusCode::from_u16(status).unwrap(), None, b"");
            assert_eq!(
                (error.kind(), error.is_retryable()),
                (kind, retryable),
                "{status}"
            );
        }
    }

    #[test]
    fn what_the_registry_said_is_passed_on() {
        let body = br#"{"errors": [{"code": "DENIED", "message": "no"}, {"code": "X"}, {"message": "y"}]}"#;
        let error = from_status(StatusCode::TOO_MANY_REQUESTS, Some("7"), body);
        let report = error.report();
        assert!(report.contains("registry said: DENIED: no; X; y"), "{report}");
        assert!(report.contains("retry after: 7"), "{report}");
        let error = from_status(StatusCode::BAD_GATEWAY, None, b"<html>");
        assert!(!error.report().contains("registry said"));
    }

    #[test]
    fn bad_requests_are_told_apart() {
        let immutable = br#"{"errors": [{"code": "TAG_INVALID", "message": "the tag is immutable"}]}"#;
        assert_eq!(
            from_status(StatusCode::BAD_REQUEST, None, immutable).kind(),
            ErrorKind::Conflict
        );
        let tls = from_status(
            StatusCode::BAD_REQUEST,
            None,
            b"Client sent an HTTP request to an HTTPS server.\n",
        );
        assert!(tls.hint().unwrap().contains("\"insecure\" to false"));
    }
}
