use std::path::PathBuf;

use super::*;

fn archive(entries: &[ContextEntry], format: ArchiveFormat) -> (Result<ArchiveSummary>, Vec<u8>) {
    let mut out = Vec::new();
    let written = write(entries, format, &mut out, &mut |_| {});
    (written, out)
}

fn file(name: &str, content: &'static [u8]) -> ContextEntry {
    ContextEntry::from_bytes(PathBuf::from(name), content.into(), 0o640)
}

/// What a deflate stream of content of this size holds; it must end where the content does.
pub(super) fn inflate(compressed: &[u8], size: usize) -> Vec<u8> {
    let mut content = vec![0; size + 1];
    let mut inflate = zlib_rs::Inflate::new(false, 15);
    let status = inflate
        .decompress(compressed, &mut content, zlib_rs::InflateFlush::Finish)
        .unwrap();
    assert_eq!(status, zlib_rs::Status::StreamEnd);
    assert_eq!(inflate.total_in(), compressed.len() as u64);
    content.truncate(inflate.total_out() as usize);
    content
}

/// The second file promises more than it holds, as one that shrinks does.
fn broken() -> Vec<ContextEntry> {
    let vanished = ContextEntry {
        source: crate::context::FileSource::Path("/nonexistent/file".into()),
        ..file("b", b"xx")
    };
    vec![file("a", b"content"), vanished]
}

#[test]
fn a_broken_tar_has_no_end() {
    let (written, bytes) = archive(&broken(), ArchiveFormat::Tar);
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Conflict);
    let (_, whole) = archive(&broken()[..1], ArchiveFormat::Tar);
    assert!(whole.ends_with(&[0; 1024]) && whole.len() == 512 + 512 + 1024);
    assert!(!bytes.ends_with(&[0; 1024]));
}

#[test]
fn a_broken_gzip_stream_has_no_end() {
    let (written, bytes) = archive(&broken(), ArchiveFormat::TarGz);
    assert!(written.is_err());
    let mut text = Vec::new();
    let read = flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut text);
    assert!(read.is_err());
}

#[test]
fn a_broken_zip_has_no_directory() {
    let (written, bytes) = archive(&broken(), ArchiveFormat::Zip);
    assert!(written.is_err());
    assert!(
        !bytes
            .windows(4)
            .any(|four| four == b"PK\x05\x06" || four == b"PK\x01\x02")
    );
}

#[test]
fn gzip_holds_the_tar() {
    let entries = [file("a", b"content"), file("b", b"")];
    let (_, tar) = archive(&entries, ArchiveFormat::Tar);
    let (summary, gzip) = archive(&entries, ArchiveFormat::TarGz);
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(gzip.as_slice())
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, tar);
    assert_eq!(&gzip[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let expected = ArchiveSummary {
        entries: 2,
        files: 2,
        content_bytes: 7,
        archive_bytes: gzip.len() as u64,
        warnings: Vec::new(),
    };
    assert_eq!(summary.unwrap(), expected);
}

#[test]
fn progress_begins_and_ends_and_does_not_tell_every_byte() {
    let big: &'static [u8] = vec![7; 5 << 20].leak();
    let mut reports = Vec::new();
    let mut out = Vec::new();
    write(
        &[file("a", big), file("b", b"x")],
        ArchiveFormat::Tar,
        &mut out,
        &mut |progress| {
            reports.push(progress);
        },
    )
    .unwrap();
    assert_eq!(reports.len(), 7);
    let last = reports.last().unwrap();
    assert_eq!(
        (last.bytes, last.total_bytes, last.files, last.done),
        (big.len() as u64 + 1, Some(big.len() as u64 + 1), 2, true)
    );
    assert!(reports.windows(2).all(|pair| pair[0].bytes <= pair[1].bytes));
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_said_to_be_one() {
    for format in ArchiveFormat::ALL {
        let error = write(&[file("a", b"x")], format, &mut Full, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{format}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn formats_are_known_by_their_names() {
    for format in ArchiveFormat::ALL {
        assert_eq!(format.to_string().parse::<ArchiveFormat>().unwrap(), format);
        assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{format}\""));
    }
    let error = "rar".parse::<ArchiveFormat>().unwrap_err();
    assert!(error.hint().unwrap().contains("tar.gz"));
}
