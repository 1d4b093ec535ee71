//! File modes as Go writes them, which is how they travel in file sync.
//!
//! Go keeps the nine permission bits where Unix has them and puts everything else into high bits of its own;
//! see `io/fs.FileMode` in Go's standard library.

use super::source::SyncKind;

pub(crate) const DIRECTORY: u32 = 1 << 31;
pub(crate) const SYMLINK: u32 = 1 << 27;
const SET_USER_ID: u32 = 1 << 23;
const SET_GROUP_ID: u32 = 1 << 22;
const STICKY: u32 = 1 << 20;

/// The Go form of what a path is and of its Unix permission bits.
pub(crate) fn to_go(kind: &SyncKind, unix: u32) -> u32 {
    let kind = match kind {
        SyncKind::File => 0,
        SyncKind::Directory => DIRECTORY,
        SyncKind::Symlink { .. } => SYMLINK,
    };
    let special = [(0o4000, SET_USER_ID), (0o2000, SET_GROUP_ID), (0o1000, STICKY)];
    let special = special
        .iter()
        .filter(|(bit, _)| unix & bit != 0)
        .map(|(_, go)| go);
    special.fold(kind | unix & 0o777, |mode, bit| mode | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_where_go_has_them() {
        let link = SyncKind::Symlink { target: "x".into() };
        let cases = [
            (SyncKind::File, 0o100_644, 0o644),
            (SyncKind::File, 0o755, 0o755),
            (SyncKind::Directory, 0o40_755, 0x8000_01ed),
            (SyncKind::Directory, 0o1777, 0x8010_01ff),
            (SyncKind::File, 0o4755, 0x0080_01ed),
            (SyncKind::File, 0o2755, 0x0040_01ed),
            (link, 0o777, 0x0800_01ff),
        ];
        for (kind, unix, go) in cases {
            assert_eq!(to_go(&kind, unix), go, "{kind:?} {unix:o}");
        }
    }
}
