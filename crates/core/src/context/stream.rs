//! An archive as a stream of chunks.

use std::io;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;

use super::BuildContext;
use super::archive::{self, ArchiveFormat, Sink};
use super::entry::ContextEntry;
use crate::event::ContextProgress;
use crate::{Error, ErrorKind, Result};

/// Chunks that wait to be taken; each holds half a MiB or a little more at most.
const WAITING_CHUNKS: usize = 4;

impl BuildContext {
    /// The archive as a stream, made in a thread of its own while it is taken. Little of it is held in memory
    /// at any time, whatever its size. It can be used outside of an async runtime's context, too.
    ///
    /// An error ends the stream; what came before it is no complete archive. Dropping the stream stops the
    /// thread at the next directory or chunk.
    pub fn stream_archive(
        &self,
        format: ArchiveFormat,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        self.stream_archive_with(format, |_| {})
    }

    /// [`stream_archive`](Self::stream_archive) with news of the progress, as
    /// [`write_archive`](Self::write_archive) gives them; they come from the thread.
    pub fn stream_archive_with(
        &self,
        format: ArchiveFormat,
        progress: impl FnMut(ContextProgress) + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let context = self.clone();
        let entries = move |gone: &dyn Fn() -> bool| Ok(context.archive_scan_until(gone)?.0);
        stream(entries, format, progress)
    }
}

/// The archive of these entries as a stream, in their order: for a service that wants the files of a context under
/// other names, or others beside them. What [`BuildContext::stream_archive_with`] says holds here too.
pub fn stream_entries(
    entries: Vec<ContextEntry>,
    format: ArchiveFormat,
    progress: impl FnMut(ContextProgress) + Send + 'static,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    stream(move |_: &dyn Fn() -> bool| Ok(entries), format, progress)
}

fn stream(
    entries: impl FnOnce(&dyn Fn() -> bool) -> Result<Vec<ContextEntry>> + Send + 'static,
    format: ArchiveFormat,
    mut progress: impl FnMut(ContextProgress) + Send + 'static,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let (sender, mut receiver) = mpsc::channel(WAITING_CHUNKS);
    let last_word = sender.clone();
    let thread = std::thread::Builder::new()
        .name("wharf-context".to_owned())
        .spawn(move || {
            let written = entries(&|| sender.is_closed())
                .and_then(|entries| archive::write(&entries, format, &mut Sender(&sender), &mut progress));
            if let Err(error) = written {
                // Nobody listens any more: then nobody needs to know.
                let _ = sender.blocking_send(Err(error));
            }
        });
    if let Err(source) = thread {
        let error = Error::new(ErrorKind::ResourceExhausted, "a thread could not be started");
        let _ = last_word.try_send(Err(error.with_source(source)));
    }
    drop(last_word);
    poll_fn(move |cx| receiver.poll_recv(cx))
}

/// Sends the chunks themselves.
struct Sender<'a>(&'a mpsc::Sender<Result<Bytes>>);

impl Sink for Sender<'_> {
    fn chunk(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        let sent = self.0.blocking_send(Ok(std::mem::take(chunk).into()));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
