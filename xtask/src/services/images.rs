//! The images that builds in tests start from. They are made on this machine, from packages of the distribution, and
//! kept as archives in the cache.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::engine::docker;
use super::machine::{Machine, find, privileged, remove};
use crate::process::{capture, command, run_quietly, succeeds};
use crate::target_dir::cache;

/// Python 3.11 and pip on Debian 12, where `pip install` works as it does in the official Python images.
pub(crate) const PYTHON: &str = "wharf-test/python:3.11";
/// One static BusyBox: small and quick, no package manager.
pub(crate) const BUSYBOX: &str = "wharf-test/busybox:1";

/// Counted up when an image is to be made anew.
const RECIPE: u32 = 1;
/// The certificates this machine trusts. Where a proxy re-signs TLS, containers must trust them as well.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// What the user's environment may say about reaching a package index.
const PASSED_ON: [&str; 8] = [
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// An image as an archive of its files and what is to be set in its configuration.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) name: &'static str,
    pub(crate) file: PathBuf,
    pub(crate) changes: Vec<String>,
    recipe: String,
}

/// The Python image, made if the cache has none; that takes about a minute.
pub(crate) fn python(machine: &mut Machine) -> Result<Archive> {
    let mut changes = vec![
        "CMD [\"python3\"]".to_owned(),
        "ENV LANG=C.UTF-8".to_owned(),
        // The files belong to Debian's package manager; in an image nobody minds.
        "ENV PIP_BREAK_SYSTEM_PACKAGES=1".to_owned(),
        "ENV PIP_ROOT_USER_ACTION=ignore".to_owned(),
    ];
    let passed_on = PASSED_ON
        .iter()
        .filter_map(|name| Some(format!("ENV {name}={}", std::env::var(name).ok()?)));
    changes.extend(passed_on);
    archive(PYTHON, changes, |folder| python_files(machine, folder))
}

/// The BusyBox image.
pub(crate) fn busybox(machine: &mut Machine) -> Result<Archive> {
    let changes = vec!["CMD [\"sh\"]".to_owned(), "ENV PATH=/bin".to_owned()];
    archive(BUSYBOX, changes, |folder| busybox_files(machine, folder))
}

pub(crate) fn archive(
    name: &'static str,
    mut changes: Vec<String>,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<Archive> {
    let recipe = recipe(name, &changes);
    changes.push(format!("LABEL wharf.recipe={recipe}"));
    let short = name.replace(['/', ':'], "-");
    let file = cache().join("images").join(format!("{short}-{recipe}.tar"));
    if !file.is_file() {
        eprintln!("making {name}, once; it is kept in {}", cache().display());
        let folder = cache().join("images").join(format!("{short}.files"));
        remove(&folder)?;
        fs::create_dir_all(&folder)?;
        make(&folder)?;
        pack(&folder, &file)?;
        remove(&folder)?;
    }
    Ok(Archive {
        name,
        file,
        changes,
        recipe,
    })
}

/// Changes when the image would.
fn recipe(name: &str, changes: &[String]) -> String {
    let mut hasher = DefaultHasher::new();
    (RECIPE, name, changes, fs::read(CERTIFICATES).ok()).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn pack(folder: &Path, file: &Path) -> Result<()> {
    let unfinished = file.with_extension("unfinished");
    let mut tar = privileged("tar", ["--create", "--numeric-owner", "--sort=name", "--file"]);
    run_quietly(tar.arg(&unfinished).arg("--directory").arg(folder).arg("."))?;
    fs::rename(&unfinished, file).with_context(|| format!("cannot keep {}", file.display()))
}

fn python_files(machine: &mut Machine, folder: &Path) -> Result<()> {
    debian_files(machine, folder, "python3,python3-pip,ca-certificates")?;
    run_quietly(privileged("ln", ["-s", "python3"]).arg(folder.join("usr/bin/python")))?;
    Ok(())
}

/// Debian 12 with these packages, trusting what this machine trusts.
pub(crate) fn debian_files(machine: &mut Machine, folder: &Path, packages: &str) -> Result<()> {
    let debootstrap = machine.program("debootstrap", &["debootstrap", "debian-archive-keyring"])?;
    let include = format!("--include={packages}");
    let mut command = privileged(debootstrap, ["--variant=minbase", &include, "bookworm"]);
    run_quietly(command.arg(folder).arg("http://deb.debian.org/debian"))?;
    let inside = |names: &[&str]| names.iter().map(|name| folder.join(name)).collect::<Vec<_>>();
    let unneeded = [
        "var/cache/apt",
        "var/lib/apt/lists",
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
    ];
    run_quietly(privileged("rm", ["-rf"]).args(inside(&unneeded)))?;
    // Where apt expects folders when somebody installs a package into an image made from this one.
    let expected = ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial"];
    run_quietly(privileged("mkdir", ["-p"]).args(inside(&expected)))?;
    if Path::new(CERTIFICATES).is_file() {
        run_quietly(&mut privileged(
            "cp",
            [Path::new(CERTIFICATES), &folder.join(&CERTIFICATES[1..])],
        ))?;
    }
    Ok(())
}

pub(crate) fn busybox_files(machine: &mut Machine, folder: &Path) -> Result<()> {
    let package = machine.unpacked("busybox-static")?;
    for name in ["bin", "etc", "root", "tmp"] {
        fs::create_dir(folder.join(name))?;
    }
    let program = folder.join("bin/busybox");
    fs::copy(package.join("bin/busybox"), &program)?;
    fs::write(folder.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(folder.join("etc/group"), "root:x:0:\n")?;
    let applets = capture(&mut command(&program, ["--list"]))?;
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", folder.join("bin").join(applet))?;
    }
    Ok(())
}

/// Makes the image on the engine, unless it has this very one.
pub(crate) fn import(address: &str, archive: &Archive) -> Result<()> {
    let format = "{{index .Config.Labels \"wharf.recipe\"}}";
    let known = capture(&mut docker(
        address,
        &["image", "inspect", "--format", format, archive.name],
    ));
    if known.is_ok_and(|recipe| recipe.trim() == archive.recipe) {
        return Ok(());
    }
    let mut command = docker(address, &["import"]);
    for change in &archive.changes {
        command.args(["--change", change]);
    }
    run_quietly(command.arg(&archive.file).arg(archive.name))
}

/// Whether the engine can pull this image within a few seconds.
pub(crate) fn can_pull(address: &str, image: &str) -> bool {
    let timeout = find("timeout").map(|program| (program, "120"));
    let Some((timeout, seconds)) = timeout else {
        return false;
    };
    let docker = docker(address, &["pull", "--quiet", image]);
    let mut limited = command(timeout, [seconds]);
    limited.arg(docker.get_program()).args(docker.get_args());
    limited.envs(docker.get_envs().filter_map(|(name, value)| Some((name, value?))));
    succeeds(&mut limited)
}
