//! Directories that the daemon reads.

use super::*;

/// A file transfer, seen from the daemon.
struct Download {
    requests: mpsc::UnboundedSender<Packet>,
    packets: Streaming<Packet>,
}

impl Download {
    async fn open(peer: &Peer, headers: &[(&'static str, &str)]) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::unbounded_channel();
        let mut request = Request::new(UnboundedReceiverStream::new(receiver));
        for (name, value) in headers {
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        let mut client = FileSyncClient::with_origin(peer.session.clone(), origin());
        let packets = client.diff_copy(request).await?.into_inner();
        Ok(Self { requests, packets })
    }

    fn send(&self, kind: PacketType, id: u32) {
        let packet = Packet {
            r#type: kind.into(),
            id,
            ..Packet::default()
        };
        self.requests.send(packet).unwrap();
    }

    async fn next(&mut self) -> Result<Packet, Status> {
        let packet = self
            .packets
            .message()
            .await?
            .ok_or_else(|| Status::aborted("ended early"))?;
        match packet.r#type() {
            PacketType::PacketErr => Err(Status::unknown(format!(
                "error from sender: {}",
                String::from_utf8_lossy(&packet.data)
            ))),
            _ => Ok(packet),
        }
    }

    /// The paths, in the order in which they come.
    async fn list(&mut self) -> Result<Vec<String>, Status> {
        let mut paths = Vec::new();
        loop {
            match self.next().await?.stat {
                Some(stat) => paths.push(stat.path),
                None => return Ok(paths),
            }
        }
    }

    /// The content of all these files, which may come in any order.
    async fn files(&mut self, ids: &[u32]) -> Result<HashMap<u32, Vec<u8>>, Status> {
        ids.iter().for_each(|id| self.send(PacketType::PacketReq, *id));
        let mut contents: HashMap<u32, Vec<u8>> = HashMap::new();
        let mut open = ids.len();
        while open > 0 {
            let packet = self.next().await?;
            open -= usize::from(packet.data.is_empty());
            contents.entry(packet.id).or_default().extend(packet.data);
        }
        Ok(contents)
    }

    async fn finish(mut self) -> Result<(), Status> {
        self.send(PacketType::PacketFin, 0);
        while self.next().await?.r#type() != PacketType::PacketFin {}
        assert!(
            self.packets.message().await?.is_none(),
            "nothing comes after the end"
        );
        Ok(())
    }
}

/// Files of which the n-th has the byte n in it; it knows how much of them was read.
#[derive(Clone, Default)]
struct Counting {
    sizes: Vec<u64>,
    listed: Arc<AtomicU64>,
    opened: Arc<Mutex<Vec<usize>>>,
    read: Arc<AtomicU64>,
}

impl Counting {
    fn new(sizes: &[u64]) -> Self {
        Self {
            sizes: sizes.to_vec(),
            ..Self::default()
        }
    }

    fn opened(&self) -> Vec<usize> {
        self.opened.lock().unwrap().clone()
    }
}

impl SyncSource for Counting {
    fn entries(&self) -> Result<Arc<[SyncEntry]>> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        let entry = |(number, size): (usize, &u64)| SyncEntry {
            path: format!("file{number:03}").into(),
            kind: SyncKind::File,
            mode: 0o644,
            size: *size,
            modified: std::time::SystemTime::UNIX_EPOCH,
        };
        Ok(self.sizes.iter().enumerate().map(entry).collect())
    }

    fn open(&self, index: usize) -> Result<Box<dyn Read + Send>> {
        self.opened.lock().unwrap().push(index);
        let content = CountingReader(std::io::repeat(index as u8), Arc::clone(&self.read));
        Ok(Box::new(content.take(self.sizes[index])))
    }
}

struct CountingReader(std::io::Repeat, Arc<AtomicU64>);

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.0.read(buffer)
    }
}

const CONTEXT: [(&str, &str); 1] = [("dir-name", "context")];

#[tokio::test]
async fn what_is_asked_for_is_sent_and_nothing_else_is_opened() {
    let sizes = [10, 100_000, 0, 32 * 1024, 7, 65_537];
    let source = Counting::new(&sizes);
    let client = client(move |peer, _| async move {
        Download::open(&peer, &CONTEXT).await?.finish().await?;
        let mut download = Download::open(&peer, &CONTEXT).await?;
        assert_eq!(download.list().await?.len(), 6);
        let contents = download.files(&[1, 2, 3, 5]).await?;
        for (id, content) in contents {
            assert_eq!(content.len() as u64, sizes[id as usize]);
            assert!(content.iter().all(|byte| u32::from(*byte) == id));
        }
        download.finish().await?;
        done()
    });
    let outcome = run(client, Session::new().with_directory("context", source.clone()))
        .await
        .unwrap();
    assert_eq!(outcome.transferred.files, 4);
    assert_eq!(outcome.transferred.bytes, 100_000 + 32 * 1024 + 65_537);
    let mut opened = source.opened();
    opened.sort_unstable();
    assert_eq!(opened, [1, 2, 3, 5]);
    assert_eq!(
        source.listed.load(Ordering::Relaxed),
        1,
        "two transfers, one list"
    );
}

#[tokio::test]
async fn a_small_file_does_not_wait_for_a_large_one() {
    let source = Counting::new(&[64 << 20, 10]);
    let client = client(|peer, _| async move {
        let mut download = Download::open(&peer, &CONTEXT).await?;
        download.list().await?;
        download.send(PacketType::PacketReq, 0);
        download.send(PacketType::PacketReq, 1);
        let mut large = 0;
        loop {
            let packet = download.next().await?;
            match (packet.id, packet.data.len()) {
                (1, 0) => break,
                (id, length) => large += length * usize::from(id == 0),
            }
        }
        assert!(large < 16 << 20, "{large} bytes of the large file came first");
        done()
    });
    run(client, Session::new().with_directory("context", source))
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_read_ahead_of_a_daemon_that_does_not_take_it() {
    let source = Counting::new(&[1 << 40]);
    let read = Arc::clone(&source.read);
    let client = client(move |peer, _| {
        let read = Arc::clone(&read);
        async move {
            let mut download = Download::open(&peer, &CONTEXT).await?;
            download.list().await?;
            download.send(PacketType::PacketReq, 0);
            let first = download.next().await?;
            assert_eq!(first.data.len(), 32 * 1024);
            // The session goes on answering while the file waits to be taken.
            let mut health = HealthClient::with_origin(peer.session.clone(), origin());
            for _ in 0..500 {
                health.check(HealthCheckRequest::default()).await?;
                let read = read.load(Ordering::Relaxed);
                assert!(read < 16 << 20, "{read} bytes were read");
            }
            done()
        }
    });
    let outcome = tokio::time::timeout(
        Duration::from_secs(20),
        run(client, Session::new().with_directory("context", source)),
    );
    outcome.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_transfer_that_is_broken_off_ends() {
    let source = Counting::new(&[1 << 40, 1 << 40]);
    let weak = Arc::downgrade(&source.opened);
    let client = client(|peer, _| async move {
        let mut download = Download::open(&peer, &CONTEXT).await?;
        download.list().await?;
        download.send(PacketType::PacketReq, 0);
        download.send(PacketType::PacketReq, 1);
        download.next().await?;
        drop(download);
        Err(Status::unknown("no space left on device"))
    });
    let error = run(client, Session::new().with_directory("context", source))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    let gone = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while weak.strong_count() > 0 {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("nothing holds the files any more");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_ends_the_transfer() {
    for ids in [&[7][..], &[0, 0]] {
        let client = client(move |peer, _| async move {
            let mut download = Download::open(&peer, &CONTEXT).await?;
            download.list().await?;
            ids.iter()
                .for_each(|id| download.send(PacketType::PacketReq, *id));
            loop {
                download.next().await?;
            }
        });
        let error = run(
            client,
            Session::new().with_directory("context", Counting::new(&[3])),
        )
        .await
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{}", error.report());
        assert!(error.report().contains("file number"), "{}", error.report());
    }
}

#[tokio::test]
async fn the_daemons_refusal_is_told() {
    let client = client(|peer, _| async move {
        let mut download = Download::open(&peer, &CONTEXT).await?;
        let mut packet = Packet {
            r#type: PacketType::PacketErr.into(),
            ..Packet::default()
        };
        packet.data = b"quota reached".to_vec();
        download.requests.send(packet).unwrap();
        loop {
            download.next().await?;
        }
    });
    let error = run(
        client,
        Session::new().with_directory("context", Counting::new(&[3])),
    )
    .await
    .unwrap_err();
    assert!(error.report().contains("quota reached"), "{}", error.report());
}

/// A directory that cannot be listed.
struct Unreadable;

impl SyncSource for Unreadable {
    fn entries(&self) -> Result<Arc<[SyncEntry]>> {
        Err(Error::new(ErrorKind::Io, "the directory cannot be read").with_context("path", "/private"))
    }

    fn open(&self, _: usize) -> Result<Box<dyn Read + Send>> {
        unreachable!("there is nothing to open")
    }
}

#[tokio::test]
async fn an_error_of_the_files_is_the_builds_error() {
    let client = client(|peer, _| async move {
        Download::open(&peer, &CONTEXT).await?.list().await?;
        done()
    });
    let error = run(client, Session::new().with_directory("context", Unreadable))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.report().contains("path: /private"), "{}", error.report());
}

#[tokio::test]
async fn only_what_matches_is_listed() {
    let client = client(|peer, _| async move {
        let headers = [
            ("dir-name", "context"),
            ("include-patterns", "a"),
            ("include-patterns", "d/e"),
            ("exclude-patterns", "a/x"),
            ("followpaths", "b/c"),
        ];
        let paths = Download::open(&peer, &headers).await?.list().await?;
        assert_eq!(paths, ["a", "a/y", "b", "b/c", "d", "d/e"]);
        let unknown = Download::open(&peer, &[("dir-name", "elsewhere")])
            .await
            .err()
            .unwrap();
        assert_eq!(unknown.code(), Code::NotFound);
        done()
    });
    let files = ["a/x", "a/y", "b/c", "b/d", "d/e", "d/f"];
    let files = files
        .iter()
        .fold(MemorySource::new(), |files, path| files.with_file(path, ""));
    run(client, Session::new().with_directory("context", files))
        .await
        .unwrap();
}
