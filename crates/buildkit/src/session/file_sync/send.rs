//! One transfer of a directory, after the protocol of fsutil.
//!
//! We list all paths (STAT), the daemon asks for files by their number in that list (REQ) as soon as it has seen
//! them, and we send their content (DATA) in pieces, several files at a time; an empty piece ends a file. FIN
//! from the daemon says that it has all it wants, and is answered. Either side may send ERR and leave.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Status, Streaming};
use wharf_core::{Error, ErrorKind};

use super::directory::Directory;
use super::metadata::Wanted;
use super::plan::{Plan, PlannedFile};
use super::progress::Meter;
use super::source::SyncSource;

/// Bytes in one piece of a file.
const CHUNK: usize = 32 * 1024;
/// Files read at the same time.
const READERS: usize = 4;
/// Packets that wait for the connection; with all of them full of content, 2 MiB.
pub(crate) const QUEUE: usize = 64;

/// Where packets to the daemon go.
pub(crate) type Outgoing = mpsc::Sender<Result<Packet, Status>>;

/// Why a transfer ended before its end.
pub(crate) enum Ended {
    /// Something is wrong on our side, or the daemon broke the protocol.
    Failed(Error),
    /// The daemon left: the build was cancelled or failed elsewhere.
    Gone,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a transfer sends.
pub(crate) struct Transfer {
    pub(crate) directory: Arc<Directory>,
    pub(crate) wanted: Wanted,
    /// None for what is no part of the build context.
    pub(crate) meter: Option<Arc<Meter>>,
}

impl Transfer {
    /// Runs until the daemon has all it wants.
    pub(crate) async fn run(self, incoming: Streaming<Packet>, outgoing: &Outgoing) -> Result<(), Ended> {
        let (listing, wanted) = (self.directory.listing().await?, self.wanted);
        let plan = tokio::task::spawn_blocking(move || Plan::new(listing, &wanted));
        let plan = Arc::new(
            plan.await
                .map_err(|error| broken("the file list").with_source(error))??,
        );
        let readers = Readers::new(
            Arc::clone(&self.directory.source),
            self.meter.clone(),
            outgoing.clone(),
        );
        tokio::try_join!(
            send_list(&plan, outgoing),
            answer_requests(incoming, &plan, readers, outgoing)
        )?;
        if let Some(meter) = &self.meter {
            meter.finish();
        }
        Ok(())
    }
}

async fn send_list(plan: &Plan, outgoing: &Outgoing) -> Result<(), Ended> {
    for number in 0..plan.len() {
        let mut stat = packet(PacketType::PacketStat);
        stat.stat = Some(plan.stat(number)?);
        send(outgoing, stat).await?;
    }
    send(outgoing, packet(PacketType::PacketStat)).await
}

async fn answer_requests(
    mut incoming: Streaming<Packet>,
    plan: &Plan,
    mut readers: Readers,
    outgoing: &Outgoing,
) -> Result<(), Ended> {
    let mut asked = HashSet::new();
    loop {
        let packet = tokio::select! {
            packet = incoming.message() => packet,
            failed = readers.failure() => return Err(failed),
        };
        let Ok(Some(received)) = packet else {
            return Err(Ended::Gone);
        };
        match received.r#type() {
            PacketType::PacketReq => {
                let file = plan.file(received.id).filter(|_| asked.insert(received.id));
                let file = file.ok_or_else(|| unknown_file(received.id))?;
                readers.read(received.id, file);
            }
            PacketType::PacketFin => return send(outgoing, self::packet(PacketType::PacketFin)).await,
            PacketType::PacketErr => return Err(refused(&received.data).into()),
            PacketType::PacketStat | PacketType::PacketData => {
                return Err(broken("the daemon's request").into());
            }
        }
    }
}

/// Threads that read files and send them; each takes the file that waits longest.
struct Readers {
    reader: Reader,
    requests: mpsc::UnboundedSender<(u32, PlannedFile)>,
    threads: JoinSet<Result<(), Ended>>,
}

#[derive(Clone)]
struct Reader {
    source: Arc<dyn SyncSource>,
    meter: Option<Arc<Meter>>,
    outgoing: Outgoing,
    waiting: Arc<Mutex<mpsc::UnboundedReceiver<(u32, PlannedFile)>>>,
}

impl Readers {
    fn new(source: Arc<dyn SyncSource>, meter: Option<Arc<Meter>>, outgoing: Outgoing) -> Self {
        let (requests, waiting) = mpsc::unbounded_channel();
        let reader = Reader {
            source,
            meter,
            outgoing,
            waiting: Arc::new(Mutex::new(waiting)),
        };
        Self {
            reader,
            requests,
            threads: JoinSet::new(),
        }
    }

    fn read(&mut self, number: u32, file: PlannedFile) {
        if self.threads.len() < READERS {
            let reader = self.reader.clone();
            self.threads.spawn_blocking(move || reader.run());
        }
        // The receiver lives in `self.reader`, so that this cannot fail.
        let _ = self.requests.send((number, file));
    }

    /// Waits until reading fails; for ever if it does not.
    async fn failure(&mut self) -> Ended {
        match self.threads.join_next().await {
            Some(Ok(Err(ended))) => ended,
            Some(Err(error)) => broken("a reader").with_source(error).into(),
            // Threads end well only after `self.requests` is gone.
            Some(Ok(Ok(()))) | None => std::future::pending().await,
        }
    }
}

impl Reader {
    fn run(&self) -> Result<(), Ended> {
        loop {
            let next = self
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .blocking_recv();
            let Some((number, file)) = next else {
                return Ok(());
            };
            self.send_file(number, &file)?;
        }
    }

    fn send_file(&self, number: u32, file: &PlannedFile) -> Result<(), Ended> {
        let mut content = self.source.open(file.index)?;
        let mut sent = 0;
        loop {
            let data = read_chunk(&mut *content, file.size - sent).map_err(|error| {
                Error::io("could not read a file of the context", file.path.as_ref(), error)
            })?;
            sent += data.len() as u64;
            if sent > file.size || data.is_empty() && sent < file.size {
                return Err(changed(file, sent).into());
            }
            let last = data.is_empty();
            self.send_data(number, data)?;
            if last {
                return Ok(());
            }
        }
    }

    fn send_data(&self, number: u32, data: Vec<u8>) -> Result<(), Ended> {
        let length = data.len();
        let mut chunk = packet(PacketType::PacketData);
        (chunk.id, chunk.data) = (number, data);
        self.outgoing.blocking_send(Ok(chunk)).map_err(|_| Ended::Gone)?;
        match (&self.meter, length) {
            (None, _) => {}
            (Some(meter), 0) => meter.add_file(),
            (Some(meter), length) => meter.add_bytes(length),
        }
        Ok(())
    }
}

/// The next piece, full unless the file ends. `left` is how much there should be; one byte more is tried for, to
/// notice a file that grew.
fn read_chunk(content: &mut dyn Read, left: u64) -> io::Result<Vec<u8>> {
    let limit = left.saturating_add(1).min(CHUNK as u64);
    let mut data = Vec::with_capacity(usize::try_from(limit).unwrap_or(CHUNK));
    content.take(limit).read_to_end(&mut data)?;
    Ok(data)
}

pub(crate) fn packet(kind: PacketType) -> Packet {
    Packet {
        r#type: kind.into(),
        ..Packet::default()
    }
}

async fn send(outgoing: &Outgoing, packet: Packet) -> Result<(), Ended> {
    outgoing.send(Ok(packet)).await.map_err(|_| Ended::Gone)
}

fn changed(file: &PlannedFile, read: u64) -> Error {
    let what = if read > file.size { "longer" } else { "shorter" };
    Error::new(
        ErrorKind::Conflict,
        format!("a file of the context became {what} while it was read"),
    )
    .with_context("path", file.path.as_str())
    .with_context("expected size", file.size.to_string())
    .with_hint("Build again when nothing writes to the context, or exclude the file in the ignore file.")
}

fn unknown_file(number: u32) -> Error {
    broken("the daemon's request").with_context("file number", number.to_string())
}

fn refused(message: &[u8]) -> Error {
    let message = String::from_utf8_lossy(message);
    Error::new(
        ErrorKind::Unexpected,
        format!("the daemon refused the files: {message}"),
    )
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Unexpected, format!("{what} broke the file transfer"))
}
