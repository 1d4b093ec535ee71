//! The configuration of a store after ZenML's names for things were brought together with wharf's.

use wharf_core::flavor::known::{AwsAuthMethod, AwsCredentialsConfig, S3ArtifactStoreConfig};
use wharf_core::{Error, ErrorKind, Result, Secret};

use super::S3Location;
use crate::AwsAccess;

/// Everything a store needs to know.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) location: S3Location,
    pub(super) access: AwsAccess,
    pub(super) endpoint: Option<String>,
    pub(super) path_style: bool,
    pub(super) encryption: Option<String>,
    pub(super) kms_key: Option<String>,
}

const ENCRYPTIONS: [&str; 3] = ["AES256", "aws:kms", "aws:kms:dsse"];

impl Settings {
    pub(super) fn new(config: S3ArtifactStoreConfig) -> Result<Self> {
        let location = config.path.parse()?;
        if let Some(name) = &config.authentication_secret {
            let message = format!(
                "the authentication secret `{name}` of the artifact store could not be looked up here"
            );
            return Err(invalid(&message).with_hint("Set `key` and `secret`, or `credentials`."));
        }
        let client = config.client_kwargs.clone().unwrap_or_default();
        let more = config.config_kwargs.clone().unwrap_or_default();
        let additional = config.s3_additional_kwargs.clone().unwrap_or_default();
        let endpoint = one("endpoint_url", [config.endpoint_url.clone(), client.endpoint_url])?;
        let region = one(
            "region",
            [
                config.region.clone(),
                one("region", [client.region_name, more.region_name])?,
            ],
        )?;
        let style = more.s3.unwrap_or_default().addressing_style;
        let encryption = one(
            "server_side_encryption",
            [
                config.server_side_encryption.clone(),
                additional.server_side_encryption,
            ],
        )?;
        let kms_key = one("kms_key_id", [config.kms_key_id.clone(), additional.kms_key_id])?;
        check_encryption(encryption.as_deref(), kms_key.as_deref())?;
        let elsewhere = endpoint.is_some() || config.credentials.endpoint_url.is_some();
        Ok(Self {
            location,
            path_style: path_style(config.path_style, style.as_deref(), elsewhere)?,
            access: AwsAccess::new(credentials(&config)?, region)?,
            endpoint,
            encryption,
            kms_key,
        })
    }
}

fn credentials(config: &S3ArtifactStoreConfig) -> Result<AwsCredentialsConfig> {
    let (Some(key), Some(secret)) = (&config.key, &config.secret) else {
        return match config.key.is_some() || config.secret.is_some() || config.token.is_some() {
            true => Err(invalid(
                "an artifact store needs `key` and `secret` together, or neither",
            )),
            false => Ok(config.credentials.clone()),
        };
    };
    let plain = AwsCredentialsConfig {
        auth_method: AwsAuthMethod::Implicit,
        aws_access_key_id: None,
        aws_secret_access_key: None,
        aws_session_token: None,
        ..config.credentials.clone()
    };
    if plain != config.credentials {
        return Err(invalid(
            "`key` and `secret` are given, and `credentials` too: keep one of the two",
        ));
    }
    let method = if config.token.is_some() {
        AwsAuthMethod::StsToken
    } else {
        AwsAuthMethod::SecretKey
    };
    Ok(AwsCredentialsConfig {
        auth_method: method,
        aws_access_key_id: Some(Secret::expose(key).to_owned()),
        aws_secret_access_key: Some(secret.clone()),
        aws_session_token: config.token.clone(),
        ..plain
    })
}

fn path_style(given: Option<bool>, style: Option<&str>, elsewhere: bool) -> Result<bool> {
    let told = match style {
        None | Some("auto") => None,
        Some("path") => Some(true),
        Some("virtual") => Some(false),
        Some(other) => {
            return Err(invalid(&format!(
                "`addressing_style` is path, virtual or auto, not `{other}`"
            )));
        }
    };
    Ok(one("path_style", [given, told])?.unwrap_or(elsewhere))
}

fn check_encryption(encryption: Option<&str>, kms_key: Option<&str>) -> Result<()> {
    match (encryption, kms_key) {
        (Some(other), _) if !ENCRYPTIONS.contains(&other) => Err(invalid(&format!(
            "`server_side_encryption` is one of {}, not `{other}`",
            ENCRYPTIONS.join(", ")
        ))),
        (None | Some("AES256"), Some(_)) => {
            Err(invalid("`kms_key_id` needs `server_side_encryption: aws:kms`"))
        }
        _ => Ok(()),
    }
}

/// The one value of several places that mean the same.
fn one<T: PartialEq>(name: &str, places: [Option<T>; 2]) -> Result<Option<T>> {
    match places {
        [Some(a), Some(b)] if a != b => Err(invalid(&format!(
            "`{name}` is given twice, with different values"
        ))),
        [a, b] => Ok(a.or(b)),
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_core::flavor::read_config;

    use super::*;

    fn settings(config: serde_json::Value) -> Result<Settings> {
        Settings::new(read_config(config.as_object().unwrap().clone())?)
    }

    #[test]
    fn zenml_s_places_mean_the_same() {
        let found = settings(json!({
            "path": "s3://bucket/x",
            "client_kwargs": {"endpoint_url": "http://minio:9000", "region_name": "eu-west-1"},
            "config_kwargs": {"s3": {"addressing_style": "virtual"}},
            "s3_additional_kwargs": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"},
        }))
        .unwrap();
        assert_eq!(found.endpoint.as_deref(), Some("http://minio:9000"));
        assert_eq!((found.path_style, found.kms_key.as_deref()), (false, Some("k")));
        let other = settings(json!({"path": "s3://bucket", "endpoint_url": "http://minio:9000"})).unwrap();
        assert!(other.path_style);
        assert!(!settings(json!({"path": "s3://bucket"})).unwrap().path_style);
    }

    #[test]
    fn contradictions_are_refused() {
        for (config, part) in [
            (json!({"path": "s3://bucket", "key": "k"}), "together"),
            (
                json!({"path": "s3://bucket", "key": "k", "secret": "s", "credentials": {"auth_method": "iam-role"}}),
                "keep one",
            ),
            (
                json!({"path": "s3://bucket", "region": "a", "client_kwargs": {"region_name": "b"}}),
                "`region` is given twice",
            ),
            (json!({"path": "s3://bucket", "kms_key_id": "k"}), "aws:kms"),
            (
                json!({"path": "s3://bucket", "server_side_encryption": "rot13"}),
                "rot13",
            ),
            (
                json!({"path": "s3://bucket", "client_kwargs": {"use_ssl": true}}),
                "use_ssl",
            ),
            (
                json!({"path": "s3://bucket", "authentication_secret": "x"}),
                "looked up",
            ),
        ] {
            let error = settings(config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
            assert!(error.message().contains(part), "{part} in {}", error.message());
        }
    }
}
