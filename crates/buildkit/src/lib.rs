//! A client of BuildKit, the engine that builds images, over any connection.
//!
//! [`BuildkitClient`] runs a [`BuildDefinition`] on a daemon it reaches through a [`Transport`]: the `/grpc` and
//! `/session` of a Docker engine, or a `buildkitd` of its own. During the build the daemon asks back for files,
//! credentials and secrets; a [`Session`] says what it gets. What happens is told as the
//! [events](wharf_core::event) every builder of wharf has.
//!
//! ```no_run
//! use wharf_buildkit::{BuildDefinition, BuildkitClient, Dial, Exporter, MemorySource, Session, Transport};
//! use wharf_core::event::EventSink;
//!
//! # async fn example(dial: impl Dial, cancel: tokio_util::sync::CancellationToken) -> wharf_core::Result<()> {
//! let files = MemorySource::new().with_file("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
//! let session = Session::new().with_directory("context", files.clone()).with_directory("dockerfile", files);
//! let definition = BuildDefinition::new().with_export(Exporter::engine(["app:1"]));
//! let outcome = BuildkitClient::new(Transport::engine(dial))
//!     .build(definition, session, EventSink::discard(), &cancel)
//!     .await?;
//! println!("{:?}", outcome.image_digest());
//! # Ok(())
//! # }
//! ```

mod client;
mod control;
mod error;
mod lines;
mod session;
mod solve;
mod status;
mod transport;

pub use client::{BuildkitClient, SolveOutcome};
pub use control::{CacheRecord, Worker};
pub use error::{BuildFailure, SourceLocation};
pub use session::auth::{CredentialSource, RegistryCredentials};
pub use session::file_sync::memory::MemorySource;
pub use session::file_sync::source::{SyncEntry, SyncKind, SyncSource};
pub use session::secrets::{MAX_SECRET_BYTES, SecretBytes};
pub use session::{Session, Transferred};
pub use solve::{BuildDefinition, CacheEntry, Exporter, NetworkMode, ResolveMode};
pub use transport::{BoxedStream, Dial, Stream, Transport};
