//! Cuts a stream of any chunks into the parts of an upload.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use wharf_core::artifact_store::ArtifactStream;
use wharf_core::{Error, ErrorKind, Result};

/// A part of an upload.
#[derive(Debug)]
pub(super) struct Part {
    /// From 1.
    pub(super) number: i32,
    pub(super) content: Bytes,
    /// Nothing follows.
    pub(super) last: bool,
}

/// The size of the first parts in bytes. S3 takes no smaller part than 5 MiB except for the last.
pub(super) const SMALL: usize = 8 << 20;

/// The size of the parts behind [`SMALL_PARTS`].
const LARGE: usize = 16 << 20;

/// How many parts are small. S3 takes 10,000 parts of one object; with these sizes that is 141 GiB.
const SMALL_PARTS: i32 = 1000;

/// S3 takes no more.
const MAX_PARTS: i32 = 10_000;

/// The parts of a stream, at least one. Only the last is smaller than the others.
pub(super) fn cut(content: ArtifactStream) -> impl Stream<Item = Result<Part>> + Send {
    let begin = Cutter {
        content,
        number: 0,
        rest: Bytes::new(),
        ended: false,
    };
    stream::try_unfold(begin, |mut cutter| async move {
        Ok(cutter.next().await?.map(|part| (part, cutter)))
    })
}

struct Cutter {
    content: ArtifactStream,
    number: i32,
    /// What was taken from the stream and did not fit into the last part.
    rest: Bytes,
    ended: bool,
}

impl Cutter {
    async fn next(&mut self) -> Result<Option<Part>> {
        if self.ended {
            return Ok(None);
        }
        if self.number == MAX_PARTS {
            let message = "the artifact is larger than the 10,000 parts that S3 takes";
            return Err(Error::new(ErrorKind::InvalidInput, message).with_hint(
                "`wharf context explain` shows what is large; leave it out with a .dockerignore.",
            ));
        }
        self.number += 1;
        let size = if self.number <= SMALL_PARTS { SMALL } else { LARGE };
        let mut buffer = Vec::with_capacity(size);
        loop {
            let taken = self.rest.len().min(size - buffer.len());
            buffer.extend_from_slice(&self.rest.split_to(taken));
            if !self.rest.is_empty() {
                break;
            }
            // One chunk is read ahead, so that the last part is known to be the last.
            match self.content.next().await {
                Some(chunk) => self.rest = chunk?,
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        Ok(Some(Part {
            number: self.number,
            content: buffer.into(),
            last: self.ended,
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    async fn sizes(chunks: &[usize]) -> Vec<(i32, usize, bool)> {
        let chunks: Vec<Result<Bytes>> = chunks.iter().map(|size| Ok(vec![7; *size].into())).collect();
        let parts: Vec<Part> = cut(Box::pin(stream::iter(chunks))).try_collect().await.unwrap();
        parts
            .iter()
            .map(|part| (part.number, part.content.len(), part.last))
            .collect()
    }

    #[tokio::test]
    async fn chunks_of_any_size_become_parts_of_one_size() {
        assert_eq!(sizes(&[]).await, [(1, 0, true)]);
        assert_eq!(sizes(&[3, 4]).await, [(1, 7, true)]);
        assert_eq!(sizes(&[SMALL]).await, [(1, SMALL, true)]);
        assert_eq!(sizes(&[SMALL - 1, 0, 2]).await, [(1, SMALL, false), (2, 1, true)]);
        assert_eq!(
            sizes(&[2 * SMALL + 5]).await,
            [(1, SMALL, false), (2, SMALL, false), (3, 5, true)]
        );
    }

    #[tokio::test]
    async fn an_error_in_the_content_ends_the_parts() {
        let chunks = vec![
            Ok(Bytes::from_static(b"x")),
            Err(Error::new(ErrorKind::Conflict, "changed")),
        ];
        let result: Result<Vec<Part>> = cut(Box::pin(stream::iter(chunks))).try_collect().await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict);
    }
}
