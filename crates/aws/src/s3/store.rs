//! The store itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::MultipartUpload;
use futures_util::stream;
use wharf_core::artifact_store::{ArtifactInfo, ArtifactOrigin, ArtifactStore, ArtifactStream, check_name};
use wharf_core::flavor::Flavor;
use wharf_core::flavor::known::S3ArtifactStoreConfig;
use wharf_core::{Error, ErrorKind, Result};

use super::S3Location;
use super::settings::Settings;
use super::upload::{OWNER_METADATA, Target};
use crate::{AwsAccess, from_sdk};

/// Unfinished uploads of the same object that are older than this belong to nobody any more.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// The flavor `s3`.
#[must_use]
pub fn artifact_store_flavor() -> Flavor {
    let description = "Keeps files in a bucket of S3, or of another server that speaks S3";
    Flavor::artifact_store("s3", description, |config: S3ArtifactStoreConfig| {
        Ok(Arc::new(S3ArtifactStore::new(config)?) as _)
    })
}

/// Artifacts as objects of a bucket.
///
/// An artifact of more than 8 MiB is uploaded in parts, four at a time; memory is needed for these and no more. S3
/// checks the CRC-32 of every part. An upload that fails or is dropped removes its parts.
#[derive(Debug, Clone)]
pub struct S3ArtifactStore {
    settings: Settings,
    uri: String,
}

impl S3ArtifactStore {
    /// A store from its configuration. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] for a path that is no place in S3 and for settings that contradict
    /// each other.
    pub fn new(config: S3ArtifactStoreConfig) -> Result<Self> {
        let settings = Settings::new(config)?;
        let uri = settings.location.to_string();
        Ok(Self { settings, uri })
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &S3Location {
        &self.settings.location
    }

    /// The login it uses.
    #[must_use]
    pub fn access(&self) -> &AwsAccess {
        &self.settings.access
    }

    async fn client(&self) -> Result<Client> {
        let sdk = self.settings.access.sdk().await?;
        let mut config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(self.settings.path_style);
        if let Some(url) = &self.settings.endpoint {
            config = config.endpoint_url(url);
        }
        Ok(Client::from_conf(config.build()))
    }

    async fn target(&self, name: &str) -> Result<Target> {
        check_name(name)?;
        Ok(Target {
            client: self.client().await?,
            bucket: self.location().bucket().to_owned(),
            key: self.location().key(name),
            encryption: self.settings.encryption.clone(),
            kms_key: self.settings.kms_key.clone(),
        })
    }

    async fn head(&self, name: &str) -> Result<Option<HeadObjectOutput>> {
        let target = self.target(name).await?;
        let answer = target
            .client
            .head_object()
            .bucket(&target.bucket)
            .key(&target.key)
            .send()
            .await;
        let answer = answer
            .map_err(|error| self.about(name)(from_sdk("look for an object in S3", "s3:GetObject", error)));
        match answer {
            Ok(head) => Ok(Some(head)),
            // A bucket that does not exist answers the same; whoever stores something learns it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn about(&self, name: &str) -> impl Fn(Error) -> Error + use<> {
        let place = format!("{}/{name}", self.uri);
        move |error| error.with_context("object", place.clone())
    }

    fn describe(&self, name: &str, size: u64) -> ArtifactInfo {
        ArtifactInfo {
            name: name.to_owned(),
            uri: format!("{}/{name}", self.uri),
            size,
        }
    }
}

/// Removes what killed processes left of uploads of this very object. That it cannot is no reason not to upload.
async fn remove_abandoned(target: &Target) {
    let listed = target
        .client
        .list_multipart_uploads()
        .bucket(&target.bucket)
        .prefix(&target.key)
        .send()
        .await;
    let Ok(listed) = listed else { return };
    for upload in listed
        .uploads()
        .iter()
        .filter(|upload| is_abandoned(upload, &target.key))
    {
        let call = target
            .client
            .abort_multipart_upload()
            .bucket(&target.bucket)
            .key(&target.key);
        let _ = call
            .set_upload_id(upload.upload_id().map(str::to_owned))
            .send()
            .await;
    }
}

fn is_abandoned(upload: &MultipartUpload, key: &str) -> bool {
    let begun = upload
        .initiated()
        .and_then(|time| SystemTime::try_from(*time).ok());
    let age = begun.and_then(|time| time.elapsed().ok());
    upload.key() == Some(key) && age.is_some_and(|age| age > ABANDONED)
}

#[async_trait]
impl ArtifactStore for S3ArtifactStore {
    fn flavor(&self) -> &str {
        "s3"
    }

    fn uri(&self) -> &str {
        &self.uri
    }

    fn is_local(&self) -> bool {
        false
    }

    async fn put(&self, name: &str, content: ArtifactStream) -> Result<ArtifactInfo> {
        let target = self.target(name).await?;
        remove_abandoned(&target).await;
        let size = target.store(content).await.map_err(self.about(name))?;
        match self.info(name).await? {
            Some(info) if info.size == size => Ok(info),
            _ => Err(self.about(name)(
                Error::new(ErrorKind::Conflict, "the object in S3 is not what was uploaded").with_hint(
                    "Does somebody else write to the same prefix, or a lifecycle rule remove it at once?",
                ),
            )),
        }
    }

    async fn info(&self, name: &str) -> Result<Option<ArtifactInfo>> {
        let head = self.head(name).await?;
        Ok(head.map(|head| {
            let size = head.content_length.and_then(|size| u64::try_from(size).ok());
            self.describe(name, size.unwrap_or_default())
        }))
    }

    /// Known of what wharf stored: the owner is in the object's metadata.
    async fn origin(&self, name: &str) -> Result<Option<ArtifactOrigin>> {
        let head = self.head(name).await?;
        Ok(head.and_then(|head| {
            Some(ArtifactOrigin {
                owner: head.metadata()?.get(OWNER_METADATA)?.parse().ok()?,
                stored: SystemTime::try_from(*head.last_modified()?).ok()?,
            })
        }))
    }

    async fn get(&self, name: &str) -> Result<ArtifactStream> {
        let target = self.target(name).await?;
        let about = self.about(name);
        let answer = target
            .client
            .get_object()
            .bucket(&target.bucket)
            .key(&target.key)
            .send()
            .await;
        let answer =
            answer.map_err(|error| about(from_sdk("read an object from S3", "s3:GetObject", error)))?;
        let place = format!("{}/{name}", self.uri);
        Ok(Box::pin(stream::try_unfold(
            (answer.body, place),
            |(mut body, place)| async move {
                match body.next().await {
                    Some(Ok(chunk)) => Ok(Some((chunk, (body, place)))),
                    Some(Err(source)) => Err(broken(place).with_source(source)),
                    None => Ok(None),
                }
            },
        )))
    }

    async fn delete(&self, name: &str) -> Result<()> {
        let target = self.target(name).await?;
        let answer = target
            .client
            .delete_object()
            .bucket(&target.bucket)
            .key(&target.key)
            .send()
            .await;
        match answer
            .map_err(|error| self.about(name)(from_sdk("delete an object from S3", "s3:DeleteObject", error)))
        {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ArtifactInfo>> {
        let client = self.client().await?;
        let location = self.location();
        let call = client
            .list_objects_v2()
            .bucket(location.bucket())
            .prefix(location.key(prefix));
        let mut pages = call.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                self.about(prefix)(from_sdk("list a bucket of S3", "s3:ListBucket", error))
            })?;
            found.extend(page.contents().iter().filter_map(|object| {
                let name = location.name(object.key()?)?;
                let size = object.size().and_then(|size| u64::try_from(size).ok())?;
                Some(self.describe(name, size))
            }));
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

fn broken(place: String) -> Error {
    let message = "reading an object from S3 broke off";
    Error::new(ErrorKind::Unavailable, message)
        .set_retryable(true)
        .with_context("object", place)
}
