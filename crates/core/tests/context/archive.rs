use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use wharf_core::{ArchiveFormat, BuildContext, FileSource};

use super::{installed, put, tree};

fn archive(context: &BuildContext, format: ArchiveFormat) -> Vec<u8> {
    let mut out = Vec::new();
    let summary = context.write_archive(format, &mut out, &mut |_| {}).unwrap();
    assert_eq!(summary.archive_bytes, out.len() as u64);
    out
}

/// What a program prints that reads the archive on its standard input.
fn read_by(program: &str, arguments: &[&str], archive: &[u8]) -> (String, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let archive = archive.to_vec();
    // The program may stop to read before the end.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&archive)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

/// A tree with one of everything.
fn everything(root: &Path) {
    put(root, "file", "content\n");
    put(root, "empty-file", "");
    put(root, "sub/é ☃", "unicode");
    put(root, "sub/empty/", "");
    put(root, &format!("long/{0}/{0}", "n".repeat(120)), "long");
    put(root, "run.sh", "#!/bin/sh\n");
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(root.join("sub"), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("t".repeat(150), root.join("link-long")).unwrap();
    symlink("../../outside", root.join("link")).unwrap();
    fs::hard_link(root.join("file"), root.join("hard")).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"raw\xff")), "raw").unwrap();
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let (one, other) = (tree(&[]), tree(&[]));
    everything(one.path());
    everything(other.path());
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    File::open(other.path().join("file"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    let contexts = [BuildContext::new(one.path()), BuildContext::new(other.path())];
    for format in ArchiveFormat::ALL {
        assert_eq!(
            archive(&contexts[0], format),
            archive(&contexts[1], format),
            "{format}"
        );
    }
    let digest = contexts[0].digest().unwrap();
    assert_eq!(digest, contexts[1].digest().unwrap());
    let (sum, _) = read_by("sha256sum", &[], &archive(&contexts[0], ArchiveFormat::Tar));
    assert_eq!(digest, format!("sha256:{}", sum.split(' ').next().unwrap()));

    fs::set_permissions(other.path().join("file"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_ne!(digest, contexts[1].digest().unwrap());
}

#[test]
fn open_modes_are_those_of_the_owner_for_everybody() {
    let (one, other) = (tree(&[]), tree(&[]));
    for (root, umask) in [(one.path(), 0o077), (other.path(), 0o022)] {
        for (name, mode) in [("sub/run.sh", 0o777), ("sub/read", 0o466), ("sub", 0o777)] {
            if name != "sub" {
                put(root, name, "x");
            }
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode & !umask)).unwrap();
        }
    }
    let contexts = [one.path(), other.path()].map(|root| BuildContext::new(root).with_open_modes());
    let entries = contexts[0].archive_entries().unwrap();
    let modes: Vec<(String, u32)> = entries
        .iter()
        .map(|entry| (entry.display_name(), entry.mode))
        .collect();
    let expected = [("sub/", 0o777), ("sub/read", 0o444), ("sub/run.sh", 0o777)];
    assert_eq!(modes, expected.map(|(name, mode)| (name.to_owned(), mode)));
    assert_eq!(contexts[0].digest().unwrap(), contexts[1].digest().unwrap());
}

/// These bytes must never change without a reason: caches and digests of users depend on them.
#[test]
fn the_bytes_are_known() {
    let mut context = BuildContext::empty();
    let source = |text: &'static str| FileSource::Bytes(text.into());
    context
        .add_file("Dockerfile", source("FROM scratch\n"), None)
        .unwrap();
    context
        .add_file("src/train.py", source("print('x')\n"), Some(0o755))
        .unwrap();
    context.add_file("n".repeat(130), source(""), None).unwrap();
    assert_eq!(
        context.digest().unwrap(),
        "sha256:f102bcb0230424a7eeeda413ddb52d32c9ff5b9ee61cbb5af2a26525edecdb5e"
    );
}

#[test]
fn gnu_tar_lists_what_was_put_in() {
    let root = tree(&[]);
    everything(root.path());
    let archive = archive(&BuildContext::new(root.path()), ArchiveFormat::Tar);
    let arguments = [
        "--list",
        "--verbose",
        "--numeric-owner",
        "--full-time",
        "--utc",
        "--quoting-style=literal",
    ];
    let mut child = read_by(
        "tar",
        &[arguments.as_slice(), &["--exclude=raw*", "--file=-"]].concat(),
        &archive,
    );
    let lines: Vec<&str> = child.0.lines().collect();
    assert_eq!(std::mem::take(&mut child.1), "");
    assert!(
        lines
            .iter()
            .all(|line| line.contains(" 0/0 ") && line.contains(" 1970-01-01 00:00:00 "))
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("-rwsr-xr-x") && line.ends_with("run.sh"))
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("drwxrwxrwt") && line.ends_with(" sub/"))
    );
    assert!(lines.iter().any(|line| line.ends_with(" link -> ../../outside")));
    assert!(
        lines
            .iter()
            .any(|line| line.ends_with(&format!("link-long -> {}", "t".repeat(150))))
    );
    assert!(lines.iter().any(|line| line.ends_with("sub/é ☃")));
}

#[test]
fn python_reads_the_tar_with_names_that_are_not_utf_8() {
    if !installed("python3") {
        return;
    }
    let root = tree(&[]);
    everything(root.path());
    let long = [b"raw\xfe".as_slice(), &[b'x'; 110]].concat();
    fs::write(root.path().join(OsStr::from_bytes(&long)), "long raw").unwrap();
    let script = r"
import io, os, sys, tarfile
tar = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()))
members = {os.fsencode(m.name): m for m in tar}
assert members[b'raw\xff'].size == 3, members
assert tar.extractfile(members[b'raw\xfe' + b'x' * 110]).read() == b'long raw'
assert tar.extractfile(members[b'hard']).read() == b'content\n'
assert members[b'link'].issym() and members[b'link'].linkname == '../../outside'
assert all((m.uid, m.gid, m.uname, m.gname, m.mtime) == (0, 0, '', '', 0) for m in members.values())
print(len(members))
";
    let archive = archive(&BuildContext::new(root.path()), ArchiveFormat::Tar);
    assert_eq!(
        read_by("python3", &["-c", script], &archive),
        ("14\n".into(), String::new())
    );
}

#[test]
fn a_file_of_more_than_8_gib_has_its_size_in_a_record() {
    struct Beginning(Vec<u8>);
    impl Write for Beginning {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend_from_slice(bytes);
            match self.0.len() {
                0..0x10_0000 => Ok(bytes.len()),
                _ => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let root = tree(&["huge"]);
    let size = (8 << 30) + 12_345;
    File::options()
        .write(true)
        .open(root.path().join("huge"))
        .unwrap()
        .set_len(size)
        .unwrap();
    let mut beginning = Beginning(Vec::new());
    BuildContext::new(root.path())
        .write_archive(ArchiveFormat::Tar, &mut beginning, &mut |_| {})
        .unwrap_err();
    let (listing, complaint) = read_by("tar", &["-tvf", "-"], &beginning.0);
    assert!(
        listing.contains(&format!(" {size} ")) && listing.ends_with("huge\n"),
        "{listing}"
    );
    assert!(complaint.contains("Unexpected EOF"), "{complaint}");
}

#[test]
fn holes_are_zeroes() {
    let root = tree(&["sparse"]);
    let file = File::options()
        .write(true)
        .open(root.path().join("sparse"))
        .unwrap();
    file.set_len(3 << 20).unwrap();
    file.write_all_at(b"island", 2 << 20).unwrap();
    let archive = archive(&BuildContext::new(root.path()), ArchiveFormat::TarGz);
    let place = tree(&[]);
    let into = place.path().to_str().unwrap();
    assert_eq!(
        read_by("tar", &["-xzf", "-", "-C", into], &archive),
        (String::new(), String::new())
    );
    assert_eq!(
        fs::read(place.path().join("sparse")).unwrap(),
        fs::read(root.path().join("sparse")).unwrap()
    );
}

#[test]
fn unzip_restores_modes_and_links() {
    if !installed("unzip") {
        return;
    }
    let root = tree(&[]);
    everything(root.path());
    fs::remove_file(root.path().join(OsStr::from_bytes(b"raw\xff"))).unwrap();
    let place = tree(&[]);
    let zip = place.path().join("x.zip");
    fs::write(&zip, archive(&BuildContext::new(root.path()), ArchiveFormat::Zip)).unwrap();
    let zip = zip.to_str().unwrap();
    let (_, complaint) = read_by("unzip", &["-tq", zip], &[]);
    assert_eq!(complaint, "");
    let into = place.path().join("out");
    let (_, complaint) = read_by("unzip", &["-Kq", zip, "-d", into.to_str().unwrap()], &[]);
    assert_eq!(complaint, "");
    super::random::assert_same(root.path(), &into);
}

/// Weights, compressed data and text, in files and across the borders of what is compressed at once.
fn content_of_every_kind(root: &Path) {
    let mut state = 1_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..length).map(next).collect()
    };
    let weights = |noise: Vec<u8>| -> Vec<u8> {
        let bytes = noise.into_iter().enumerate();
        bytes
            .map(|(at, byte)| if at % 2 == 0 { byte } else { 0x3c | (byte & 3) })
            .collect()
    };
    let text = "def loss(batch):\n    return model(batch)\n"
        .repeat(40_000)
        .into_bytes();
    let weights = weights(noise(1_500_000));
    put(
        root,
        "mixed",
        [&text, &weights, &noise(1_000_000), &text]
            .map(|part| &part[..])
            .concat(),
    );
    for (name, content) in [
        ("text", text),
        ("weights", weights),
        ("noise", noise(1 << 20)),
        ("few", noise(99)),
    ] {
        put(root, name, content);
    }
}

#[test]
fn other_programs_read_content_of_every_kind() {
    let (root, place) = (tree(&[]), tree(&[]));
    content_of_every_kind(root.path());
    let context = BuildContext::new(root.path());
    let size: u64 = context.scan().unwrap().totals.bytes;
    let gzip = archive(&context, ArchiveFormat::TarGz);
    assert!((gzip.len() as u64) < size * 6 / 10, "{} of {size}", gzip.len());
    let tar = ["-xzf", "-", "-C", place.path().to_str().unwrap()];
    assert_eq!(read_by("tar", &tar, &gzip), (String::new(), String::new()));
    super::random::assert_same(root.path(), place.path());

    let zip = place.path().join("x.zip");
    fs::write(&zip, archive(&context, ArchiveFormat::Zip)).unwrap();
    let (zip, into) = (zip.to_str().unwrap(), place.path().join("out"));
    if installed("python3") {
        let arguments = ["-m", "zipfile", "-e", zip, into.to_str().unwrap()];
        assert_eq!(
            read_by("python3", &arguments, &[]),
            (String::new(), String::new())
        );
        super::random::assert_same(root.path(), &into);
    }
    if installed("unzip") {
        assert_eq!(read_by("unzip", &["-tqq", zip], &[]).1, "");
    }
}

#[test]
fn python_reads_the_zip() {
    if !installed("python3") {
        return;
    }
    let root = tree(&[]);
    everything(root.path());
    put(root.path(), "big", "0123456789abcdef".repeat(100_000));
    let script = r"
import io, stat, sys, zipfile
z = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))
assert z.testzip() is None
infos = {i.filename: i for i in z.infolist()}
assert all(i.date_time == (1980, 1, 1, 0, 0, 0) and i.create_system == 3 for i in infos.values())
assert z.read('big') == b'0123456789abcdef' * 100000 and infos['big'].compress_size < 50000
assert z.read('sub/é ☃') == b'unicode' and z.read('hard') == z.read('file') == b'content\n'
assert z.read('link') == b'../../outside' and stat.S_ISLNK(infos['link'].external_attr >> 16)
assert infos['run.sh'].external_attr >> 16 == 0o104755 and infos['sub/'].external_attr >> 16 == 0o041777
assert infos['sub/'].is_dir() and infos['sub/'].external_attr & 0x10
assert b'raw\xff' in {i.filename.encode('cp437') for i in infos.values() if not i.flag_bits & 0x800}
print(len(infos))
";
    let archive = archive(&BuildContext::new(root.path()), ArchiveFormat::Zip);
    assert_eq!(
        read_by("python3", &["-c", script], &archive),
        ("14\n".into(), String::new())
    );
}

#[test]
fn a_zip_of_very_many_entries_is_zip64() {
    if !installed("python3") {
        return;
    }
    let mut context = BuildContext::empty();
    for number in 0..66_000 {
        context
            .add_file(format!("{number:06}"), FileSource::Bytes("".into()), None)
            .unwrap();
    }
    let script = r"
import io, sys, zipfile
z = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))
assert z.read('065999') == b''
print(len(z.namelist()))
";
    let archive = archive(&context, ArchiveFormat::Zip);
    assert_eq!(
        read_by("python3", &["-c", script], &archive),
        ("66000\n".into(), String::new())
    );
}

#[test]
#[ignore = "packs 13 GiB of zeroes; run it by hand after a change to a format"]
fn by_hand_huge_files_survive_in_every_format() {
    let (root, place) = (tree(&["after", "huge"]), tree(&[]));
    let huge = File::options()
        .write(true)
        .open(root.path().join("huge"))
        .unwrap();
    huge.set_len((4 << 30) + 3).unwrap();
    huge.write_all_at(b"end", 4 << 30).unwrap();
    let context = BuildContext::new(root.path());
    let write = |format, name: &str| {
        let path = place.path().join(name);
        context
            .write_archive(format, &mut File::create(&path).unwrap(), &mut |_| {})
            .unwrap();
        path.to_str().unwrap().to_owned()
    };
    let zip = write(ArchiveFormat::Zip, "x.zip");
    let script = r"
import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None and z.read('after') == b'after'
print(z.getinfo('huge').file_size)
";
    let size = format!("{}\n", (4_u64 << 30) + 3);
    assert_eq!(
        read_by("python3", &["-c", script, &zip], &[]),
        (size, String::new())
    );
    assert_eq!(read_by("unzip", &["-tqq", &zip], &[]).1, "");

    huge.set_len((8 << 30) + 3).unwrap();
    let tar = write(ArchiveFormat::Tar, "x.tar");
    let directory = root.path().to_str().unwrap();
    let compared = read_by(
        "tar",
        &["--compare", "--file", &tar, "--directory", directory],
        &[],
    );
    let complaints: Vec<&str> = compared
        .0
        .lines()
        .filter(|line| !line.contains("time differs"))
        .collect();
    assert!(complaints.is_empty() && compared.1.is_empty(), "{compared:?}");
}
