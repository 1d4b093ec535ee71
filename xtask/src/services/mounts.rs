//! What engines have mounted and did not unmount before they ended.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::machine::privileged;
use crate::process::succeeds;

/// Unmounts what is mounted inside a folder, and on it if that is the folder itself: an engine does so to its data, and one
/// that is killed leaves it. A folder with such a mount cannot be removed.
pub(super) fn unmount(folder: &Path) {
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    for point in mount_points(&mounts, folder).into_iter().rev() {
        succeeds(&mut privileged("umount", [Path::new("--lazy"), &point]));
    }
}

/// The mount points, in the order they were mounted. Field 5 of each line is the point, field 4 what of a file system is
/// there: all of it, if somebody keeps the folder on a disk of its own. See proc(5).
fn mount_points(mountinfo: &[u8], folder: &Path) -> Vec<PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let (part, point) = (fields.next()?, Path::new(OsStr::from_bytes(fields.next()?)));
        let inside = point.starts_with(folder) && (point != folder || part != b"/");
        inside.then(|| point.to_owned())
    });
    points.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"1 0 8:1 / / rw - ext4 /dev/vda rw\n\
        2 1 0:5 / /tmp/run/engine rw - tmpfs t rw\n\
        3 2 0:6 / /tmp/run/engine/netns/a rw - nsfs n rw\n\
        4 1 0:7 / /tmp/running rw - tmpfs t rw\n\
        5 1 8:1 /cache/engine-0 /cache/engine-0 rw - ext4 /dev/vda rw\n";

    fn found(folder: &str) -> Vec<PathBuf> {
        mount_points(MOUNTS, Path::new(folder))
    }

    #[test]
    fn only_mounts_inside_the_folder_are_found() {
        assert_eq!(
            found("/tmp/run"),
            [Path::new("/tmp/run/engine"), Path::new("/tmp/run/engine/netns/a")]
        );
        assert!(found("/tmp/run/engine/netns/a/b").is_empty());
    }

    #[test]
    fn a_folder_that_is_mounted_on_itself_is_found_and_a_disk_is_not() {
        assert_eq!(found("/cache/engine-0"), [Path::new("/cache/engine-0")]);
        assert!(found("/tmp/running").is_empty());
    }
}
