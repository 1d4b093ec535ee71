//! From what AWS answers to wharf's errors: the only place that reads error codes all services share.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use wharf_core::{Error, ErrorKind};

/// An error of any operation of any service.
pub trait SdkFailure: ProvideErrorMetadata + StdError + Send + Sync + 'static {}

impl<E: ProvideErrorMetadata + StdError + Send + Sync + 'static> SdkFailure for E {}

/// Error codes, and what they mean.
const CODES: [(ErrorKind, &[&str]); 7] = [
    (
        ErrorKind::PermissionDenied,
        &[
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "AllAccessDisabled",
            "Forbidden",
        ],
    ),
    (ErrorKind::Unauthenticated, &UNAUTHENTICATED),
    (
        ErrorKind::RateLimited,
        &[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "SlowDown",
            "LimitExceededException",
        ],
    ),
    (
        ErrorKind::ResourceExhausted,
        &["AccountLimitExceededException", "ServiceQuotaExceededException"],
    ),
    (
        ErrorKind::NotFound,
        &[
            "NotFound",
            "NoSuchBucket",
            "NoSuchKey",
            "NoSuchUpload",
            "ResourceNotFoundException",
            "RepositoryNotFoundException",
            "RegistryNotFoundException",
        ],
    ),
    (
        ErrorKind::Conflict,
        &[
            "RepositoryAlreadyExistsException",
            "ResourceExistsException",
            "PreconditionFailed",
        ],
    ),
    (
        ErrorKind::InvalidInput,
        &[
            "InvalidInputException",
            "InvalidParameterException",
            "ValidationException",
            "InvalidRequest",
            "InvalidBucketName",
        ],
    ),
];

const UNAUTHENTICATED: [&str; 10] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "TokenRefreshRequired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "AuthFailure",
];

/// Codes that say the credentials were good until a moment ago.
const EXPIRED: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "TokenRefreshRequired",
];

const LOGIN: &str = "Log in: `aws sso login`, `aws configure`, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `credentials` in \
                     the configuration. `aws sts get-caller-identity` shows who you are.";

/// The error of a call. `operation` is what was being done, as in `could not …`; `action` is the IAM action that it
/// needs, such as `s3:PutObject`.
#[must_use]
pub fn from_sdk<E: SdkFailure>(
    operation: &str,
    action: &'static str,
    error: SdkError<E, HttpResponse>,
) -> Error {
    let made = match &error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            from_answer(service.err().code(), service.err().message(), status, action)
        }
        SdkError::TimeoutError(_) => {
            Error::new(ErrorKind::Timeout, "AWS took too long to answer").set_retryable(true)
        }
        SdkError::ResponseError(response) => {
            let message = format!(
                "AWS answered something that is not understood (status {})",
                response.raw().status()
            );
            Error::new(ErrorKind::Unexpected, message).set_retryable(true)
        }
        other if lacks_credentials(other) => Error::new(
            ErrorKind::Unauthenticated,
            "there are no AWS credentials that can be used",
        )
        .with_hint(LOGIN),
        SdkError::ConstructionFailure(_) => {
            Error::new(ErrorKind::InvalidInput, "a call to AWS could not be made")
        }
        _ => Error::new(ErrorKind::Unavailable, "AWS could not be reached")
            .with_hint("Check the network, the proxy variables, the region and `endpoint_url`.")
            .set_retryable(true),
    };
    let made = made.with_operation(operation);
    match error {
        // Its code and message are the error's own already.
        SdkError::ServiceError(_) => made,
        other => made.with_source(other),
    }
}

fn from_answer(code: Option<&str>, message: Option<&str>, status: u16, action: &'static str) -> Error {
    let code = code.unwrap_or_default();
    let text = match (code, message.unwrap_or_default()) {
        ("", "") => format!("AWS answered status {status}"),
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{message} ({code})"),
    };
    let kind = kind(code, message.unwrap_or_default(), status);
    let error =
        Error::new(kind, text).set_retryable(matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable));
    match kind {
        ErrorKind::PermissionDenied => error.with_hint(format!(
            "Allow `{action}` for these credentials; docs/builders/aws.md has whole policies."
        )),
        ErrorKind::Unauthenticated if EXPIRED.contains(&code) => {
            error.with_hint(format!("The credentials expired. {LOGIN}"))
        }
        ErrorKind::Unauthenticated => error.with_hint(LOGIN),
        _ => error,
    }
}

fn kind(code: &str, message: &str, status: u16) -> ErrorKind {
    let known = CODES
        .iter()
        .find(|(_, codes)| codes.contains(&code))
        .map(|(kind, _)| *kind);
    known.unwrap_or_else(|| match status {
        _ if message.contains("Rate exceeded") => ErrorKind::RateLimited,
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidInput,
        500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    })
}

/// Whether the service calls the credentials expired: looking for them again may help.
#[must_use]
pub fn expired_credentials<E: SdkFailure>(error: &SdkError<E, HttpResponse>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    code.is_some_and(|code| EXPIRED.contains(&code))
}

fn lacks_credentials<E: SdkFailure>(error: &SdkError<E, HttpResponse>) -> bool {
    let mut cause: Option<&dyn StdError> = Some(error);
    while let Some(this) = cause {
        if this.is::<CredentialsError>() {
            return true;
        }
        cause = this.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_before_the_status() {
        let rows = [
            ("AccessDeniedException", 400, ErrorKind::PermissionDenied, false),
            ("ExpiredTokenException", 400, ErrorKind::Unauthenticated, false),
            ("ThrottlingException", 400, ErrorKind::RateLimited, true),
            ("SlowDown", 503, ErrorKind::RateLimited, true),
            (
                "AccountLimitExceededException",
                400,
                ErrorKind::ResourceExhausted,
                false,
            ),
            ("RepositoryNotFoundException", 400, ErrorKind::NotFound, false),
            ("InvalidInputException", 400, ErrorKind::InvalidInput, false),
            ("Whatever", 500, ErrorKind::Unavailable, true),
            ("", 404, ErrorKind::NotFound, false),
            ("Whatever", 418, ErrorKind::InvalidInput, false),
        ];
        for (code, status, kind, retryable) in rows {
            let error = from_answer(Some(code), Some("words"), status, "s3:GetObject");
            assert_eq!(
                (error.kind(), error.is_retryable()),
                (kind, retryable),
                "{code} {status}"
            );
        }
        let rate = from_answer(None, Some("Rate exceeded"), 400, "x");
        assert_eq!(rate.kind(), ErrorKind::RateLimited);
    }

    #[test]
    fn what_is_not_allowed_names_the_permission() {
        let error = from_answer(Some("AccessDenied"), Some("no"), 403, "s3:PutObject");
        assert_eq!(error.message(), "no (AccessDenied)");
        assert!(error.hint().unwrap().contains("`s3:PutObject`"));
    }
}
