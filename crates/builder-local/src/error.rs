//! From the engine's words to wharf's errors: the only place that reads them.

use http::StatusCode;
use wharf_core::{Error, ErrorKind};

/// A text an engine may answer, and what it means. The first that fits is taken.
struct Meaning {
    text: &'static str,
    kind: ErrorKind,
    hint: &'static str,
}

const MEANINGS: [Meaning; 16] = [
    Meaning {
        text: "no space left on device",
        kind: ErrorKind::ResourceExhausted,
        hint: "The engine's disk is full. Free some with `docker system prune` or `docker builder prune`.",
    },
    Meaning {
        text: "unauthorized: access to the requested resource is not authorized",
        kind: ErrorKind::Unauthenticated,
        hint: LOGIN,
    },
    Meaning {
        text: "unauthorized",
        kind: ErrorKind::Unauthenticated,
        hint: LOGIN,
    },
    Meaning {
        text: "authentication required",
        kind: ErrorKind::Unauthenticated,
        hint: LOGIN,
    },
    Meaning {
        text: "no basic auth credentials",
        kind: ErrorKind::Unauthenticated,
        hint: LOGIN,
    },
    Meaning {
        text: "incorrect username or password",
        kind: ErrorKind::Unauthenticated,
        hint: LOGIN,
    },
    Meaning {
        text: "pull access denied",
        kind: ErrorKind::NotFound,
        hint: "The image does not exist, or its registry wants credentials: check its name, then `docker login`.",
    },
    Meaning {
        text: "denied:",
        kind: ErrorKind::PermissionDenied,
        hint: PERMISSION,
    },
    Meaning {
        text: "403 forbidden",
        kind: ErrorKind::PermissionDenied,
        hint: PERMISSION,
    },
    Meaning {
        text: "toomanyrequests",
        kind: ErrorKind::RateLimited,
        hint: "The registry limits pulls. Log in, use a mirror, or wait.",
    },
    Meaning {
        text: "manifest unknown",
        kind: ErrorKind::NotFound,
        hint: "Check the image's name and tag.",
    },
    Meaning {
        text: "manifest for",
        kind: ErrorKind::NotFound,
        hint: "Check the image's name and tag.",
    },
    Meaning {
        text: "server gave http response to https client",
        kind: ErrorKind::Unavailable,
        hint: "The registry speaks plain HTTP. Add it to `insecure-registries` of the engine, or give it a certificate.",
    },
    Meaning {
        text: "certificate",
        kind: ErrorKind::Unavailable,
        hint: "The engine does not trust the registry's certificate. Put its CA into /etc/docker/certs.d/HOST/ca.crt.",
    },
    Meaning {
        text: "connection refused",
        kind: ErrorKind::Unavailable,
        hint: UNREACHABLE,
    },
    Meaning {
        text: "no such host",
        kind: ErrorKind::Unavailable,
        hint: UNREACHABLE,
    },
];

const LOGIN: &str = "Check user name and password: `docker login REGISTRY`, or the registry's configuration.";
const PERMISSION: &str = "The user may not do this there. Ask for the right to push to this repository.";
const UNREACHABLE: &str = "The engine cannot reach the registry. Check its name, its port and the network.";

/// The error of an engine's message; `fallback` is the kind of a text that is not known.
pub(crate) fn from_message(message: &str, fallback: ErrorKind) -> Error {
    let lower = message.to_ascii_lowercase();
    let message = message.trim();
    match MEANINGS.iter().find(|meaning| lower.contains(meaning.text)) {
        Some(meaning) => Error::new(meaning.kind, message).with_hint(meaning.hint),
        None => Error::new(fallback, message),
    }
}

/// The error of an answer that is no success.
pub(crate) fn from_status(status: StatusCode, message: &str) -> Error {
    let fallback = match status.as_u16() {
        400 => ErrorKind::InvalidInput,
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        502..=504 => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    };
    let message = match message.is_empty() {
        true => format!("the engine answered {status}"),
        false => message.to_owned(),
    };
    from_message(&message, fallback)
}

/// The error of a call through bollard.
pub(crate) fn from_bollard(error: bollard::errors::Error) -> Error {
    use bollard::errors::Error as Bollard;
    match error {
        Bollard::DockerResponseServerError { status_code, message } => {
            from_status(StatusCode::from_u16(status_code).unwrap_or_default(), &message)
        }
        Bollard::RequestTimeoutError => Error::new(ErrorKind::Timeout, "the engine took too long to answer")
            .with_hint("Is it overloaded? `docker info` shows whether it answers at all.")
            .set_retryable(true),
        other => Error::new(ErrorKind::Unavailable, "the engine could not be asked").with_source(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_text_has_its_kind() {
        for (message, kind) in [
            (
                "write /var/lib/docker/x: no space left on device",
                ErrorKind::ResourceExhausted,
            ),
            (
                "unauthorized: authentication required",
                ErrorKind::Unauthenticated,
            ),
            ("no basic auth credentials", ErrorKind::Unauthenticated),
            (
                "denied: requested access to the resource is denied",
                ErrorKind::PermissionDenied,
            ),
            (
                "pull access denied for x, repository does not exist",
                ErrorKind::NotFound,
            ),
            (
                "toomanyrequests: You have reached your pull rate limit",
                ErrorKind::RateLimited,
            ),
            ("manifest unknown: manifest unknown", ErrorKind::NotFound),
            (
                "http: server gave HTTP response to HTTPS client",
                ErrorKind::Unavailable,
            ),
            (
                "x509: certificate signed by unknown authority",
                ErrorKind::Unavailable,
            ),
            (
                "dial tcp 127.0.0.1:1: connect: connection refused",
                ErrorKind::Unavailable,
            ),
            ("something else", ErrorKind::PushFailed),
        ] {
            let error = from_message(message, ErrorKind::PushFailed);
            assert_eq!((error.kind(), error.message()), (kind, message));
        }
    }

    #[test]
    fn a_status_speaks_where_the_text_does_not() {
        assert_eq!(from_status(StatusCode::CONFLICT, "x").kind(), ErrorKind::Conflict);
        assert_eq!(
            from_status(StatusCode::BAD_GATEWAY, "").message(),
            "the engine answered 502 Bad Gateway"
        );
    }
}
