//! Where a store is: a bucket and a prefix.

use std::fmt;
use std::str::FromStr;

use wharf_core::{Error, ErrorKind, Result};

/// `s3://bucket/prefix`, without slashes at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    bucket: String,
    prefix: String,
}

impl S3Location {
    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key of an artifact.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        }
    }

    /// `bucket/key` of an object's URI, the form in which other services of AWS take a place.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for what is no object in S3.
    pub fn object(uri: &str) -> Result<String> {
        let place = uri.strip_prefix("s3://").filter(|place| place.contains('/'));
        place
            .map(str::to_owned)
            .ok_or_else(|| Error::new(ErrorKind::InvalidInput, format!("`{uri}` is no object in S3")))
    }

    /// The name of the artifact that has this key.
    pub(crate) fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        match self.prefix.as_str() {
            "" => Some(key),
            prefix => key.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        match self.prefix.as_str() {
            "" => Ok(()),
            prefix => write!(f, "/{prefix}"),
        }
    }
}

impl FromStr for S3Location {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] for anything but `s3://bucket` with or without a prefix.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: &str| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                format!("`{text}` is no place in S3: {problem}"),
            )
            .with_hint("Write it as s3://bucket/prefix.")
        };
        let rest = text
            .strip_prefix("s3://")
            .ok_or_else(|| wrong("it does not begin with s3://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let ends_well = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let well_formed = (3..=63).contains(&bucket.len())
            && bucket.chars().all(allowed)
            && bucket.starts_with(ends_well)
            && bucket.ends_with(ends_well);
        if !well_formed {
            return Err(wrong(
                "a bucket has 3 to 63 lower-case letters, digits, dots and dashes, no dot or dash at an end",
            ));
        }
        let prefix = prefix.trim_end_matches('/');
        if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.starts_with('/') {
            return Err(wrong("the prefix has an empty part, `.` or `..`"));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_names_fit_together() {
        for (text, shown, key) in [
            ("s3://bucket", "s3://bucket", "a/b"),
            ("s3://bucket/", "s3://bucket", "a/b"),
            (
                "s3://my.bucket-1/some/prefix/",
                "s3://my.bucket-1/some/prefix",
                "some/prefix/a/b",
            ),
        ] {
            let location: S3Location = text.parse().unwrap();
            assert_eq!(
                (location.to_string().as_str(), location.key("a/b").as_str()),
                (shown, key)
            );
            assert_eq!(location.name(key), Some("a/b"));
        }
        let location: S3Location = "s3://bucket/one".parse().unwrap();
        assert_eq!(location.name("one-more/x"), None);
    }

    #[test]
    fn what_is_no_bucket_is_refused() {
        for text in [
            "bucket/x",
            "gs://bucket",
            "s3://",
            "s3://UPPER/x",
            "s3://a",
            "s3://-ab-",
            "s3://bucket/../x",
            "s3://bucket//x",
        ] {
            let error = text.parse::<S3Location>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{text}");
        }
    }
}
