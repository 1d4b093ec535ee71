//! Archives of random trees, unpacked by other programs, equal the trees.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wharf_core::{ArchiveFormat, BuildContext};

/// A small generator of numbers; the same seed gives the same tree.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn name(&mut self) -> OsString {
        let length = match self.below(8) {
            0 => 90 + self.below(160),
            _ => 1 + self.below(12),
        };
        let mut name: Vec<u8> = (0..length).map(|_| self.name_byte()).collect();
        if name == b"." || name == b".." {
            name.push(b'x');
        }
        OsString::from_vec(name)
    }

    fn name_byte(&mut self) -> u8 {
        const PLAIN: &[u8] = b"abcXYZ019._-+ \n\\*?[]'\"#!\xc3\xa9\xff";
        PLAIN[self.below(PLAIN.len() as u64) as usize]
    }

    fn content(&mut self) -> Vec<u8> {
        let length = match self.below(20) {
            0 | 1 => 0,
            2 | 3 => 512 * self.below(10),
            4 => 250_000 + self.below(100_000),
            _ => self.below(3000),
        };
        let words = std::iter::from_fn(|| Some(self.next().to_le_bytes())).flatten();
        words.take(length as usize).collect()
    }
}

fn grow(random: &mut Random, directory: &Path, depth: u32) {
    let entries = if depth == 0 { 10 } else { 0 } + random.below(7);
    for _ in 0..entries {
        let path = directory.join(random.name());
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match random.below(5) {
            0 | 1 if depth < 4 => {
                fs::create_dir(&path).unwrap();
                grow(random, &path, depth + 1);
                let mode = 0o700 | (random.below(0o10000) as u32);
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            2 => symlink(PathBuf::from(random.name()).join("..").join(random.name()), &path).unwrap(),
            _ => {
                fs::write(&path, random.content()).unwrap();
                let mode = 0o400 | (random.below(0o10000) as u32);
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
}

/// Two trees have the same names, kinds, modes, contents and link targets.
pub(crate) fn assert_same(one: &Path, other: &Path) {
    let (ours, theirs) = (sorted(one), sorted(other));
    assert_eq!(ours, theirs, "what is in {}", one.display());
    for name in ours {
        let (one, other) = (one.join(&name), other.join(&name));
        let (ours, theirs) = (one.symlink_metadata().unwrap(), other.symlink_metadata().unwrap());
        assert_eq!(ours.mode(), theirs.mode(), "the mode of {}", one.display());
        if ours.is_dir() {
            assert_same(&one, &other);
        } else if ours.is_symlink() {
            assert_eq!(fs::read_link(&one).unwrap(), fs::read_link(&other).unwrap());
        } else {
            assert!(
                fs::read(&one).unwrap() == fs::read(&other).unwrap(),
                "the content of {}",
                one.display()
            );
        }
    }
}

fn sorted(directory: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = directory
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    names
}

#[test]
fn gnu_tar_unpacks_what_was_packed() {
    for (seed, format, decompress) in [
        (1_u64, ArchiveFormat::Tar, "--no-auto-compress"),
        (2, ArchiveFormat::TarGz, "--gzip"),
        (3, ArchiveFormat::Tar, "--no-auto-compress"),
        (4, ArchiveFormat::TarGz, "--gzip"),
    ] {
        let (root, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        grow(
            &mut Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)),
            root.path(),
            0,
        );
        let mut tar = Command::new("tar")
            .args([
                "--extract",
                "--preserve-permissions",
                "--no-same-owner",
                decompress,
                "--file=-",
                "--directory",
            ])
            .arg(place.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = tar.stdin.take().unwrap();
        let summary = BuildContext::new(root.path())
            .write_archive(format, &mut stdin, &mut |_| {})
            .unwrap();
        drop(stdin);
        assert!(tar.wait().unwrap().success(), "seed {seed}");
        assert!(summary.entries > 5, "seed {seed} grew nothing");
        assert_same(root.path(), place.path());
    }
}
