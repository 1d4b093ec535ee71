use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, TryStreamExt};
use wharf_core::{ArchiveFormat, BuildContext, ErrorKind};

use super::{put, tree};

#[tokio::test]
async fn a_stream_gives_the_bytes_of_the_archive() {
    let root = tree(&["a", "b/c"]);
    put(root.path(), "big", vec![42; 1 << 20]);
    symlink("a", root.path().join("link")).unwrap();
    let context = BuildContext::new(root.path());
    for format in ArchiveFormat::ALL {
        let mut expected = Vec::new();
        context.write_archive(format, &mut expected, &mut |_| {}).unwrap();
        let chunks: Vec<_> = context.stream_archive(format).try_collect().await.unwrap();
        assert_eq!(chunks.concat(), expected, "{format}");
    }
}

#[tokio::test]
async fn an_error_ends_the_stream() {
    let context = BuildContext::new("/nonexistent/root");
    let mut stream = Box::pin(context.stream_archive(ArchiveFormat::Tar));
    assert_eq!(
        stream.next().await.unwrap().unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(stream.next().await.is_none());
}

#[test]
fn a_stream_works_outside_of_a_runtime_and_stops_when_it_is_dropped() {
    struct Told(Arc<AtomicBool>, std::sync::mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.1.send(());
        }
    }
    let root = tree(&[]);
    put(root.path(), "big", vec![7; 8 << 20]);
    let finished = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = std::sync::mpsc::channel();
    let told = Told(finished.clone(), sender);
    let stream = BuildContext::new(root.path()).stream_archive_with(ArchiveFormat::Tar, move |progress| {
        told.0.fetch_or(progress.done, Ordering::SeqCst);
    });
    let mut stream = Box::pin(stream);
    let first = futures_util::FutureExt::now_or_never(stream.next());
    drop((first, stream));
    // The thread drops the callback when it ends, and it ends without having written the archive.
    receiver.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    assert!(!finished.load(Ordering::SeqCst));
}
