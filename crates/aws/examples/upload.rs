//! Uploads a build context to S3 as one zip, made while it is sent: `upload CONTEXT s3://BUCKET/PREFIX ENDPOINT`.
//!
//! Prints the size of the zip and the most memory that was in use, both in bytes. `cargo xtask bench upload` compares it
//! with the command `aws`.

use std::process::ExitCode;

use wharf_aws::S3ArtifactStore;
use wharf_core::artifact_store::ArtifactStore;
use wharf_core::flavor::known::S3ArtifactStoreConfig;
use wharf_core::{ArchiveFormat, BuildContext, Error, ErrorKind, Result};

#[tokio::main]
async fn main() -> ExitCode {
    match upload(&std::env::args().skip(1).collect::<Vec<_>>()).await {
        Ok(size) => {
            say(&format!("{size} {}", peak_memory()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&error.report());
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "an example is a program")]
fn say(text: &str) {
    println!("{text}");
}

async fn upload(arguments: &[String]) -> Result<u64> {
    let [context, path, endpoint] = arguments else {
        let message = "three arguments are needed: CONTEXT s3://BUCKET/PREFIX ENDPOINT";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    };
    let store = S3ArtifactStore::new(S3ArtifactStoreConfig {
        path: path.clone(),
        endpoint_url: Some(endpoint.clone()),
        ..S3ArtifactStoreConfig::default()
    })?;
    let zip = BuildContext::new(context).stream_archive(ArchiveFormat::Zip);
    let stored = store.put("context.zip", Box::pin(zip)).await?;
    Ok(stored.size)
}

/// The peak of this process's resident memory in bytes, as Linux counts it; 0 elsewhere.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}
