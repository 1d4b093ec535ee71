//! The machine a task runs on: its privileges, its programs and its packages.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

use crate::process::{command, run, run_quietly, run_undisturbed, succeeds};
use crate::target_dir::{cache, in_ci};

/// Where programs are that only root has on its `PATH`.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Installs what is missing and remembers what it installed.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    installed: Vec<String>,
    lists_are_fresh: bool,
}

impl Machine {
    /// The packages this task has installed, in order.
    pub(crate) fn installed(&self) -> &[String] {
        &self.installed
    }

    /// The path of a program; installs `packages` from the distribution if the program is not there.
    pub(crate) fn program(&mut self, name: &str, packages: &[&str]) -> Result<PathBuf> {
        if let Some(path) = find(name) {
            return Ok(path);
        }
        self.install(packages)?;
        find(name).with_context(|| format!("installing {} brought no program {name}", packages.join(" ")))
    }

    /// A folder with the files of a package of the distribution, unpacked into the cache but not installed: for
    /// packages that would start a service of their own.
    pub(crate) fn unpacked(&mut self, package: &str) -> Result<PathBuf> {
        let parent = cache().join("packages");
        let folder = parent.join(package);
        if folder.is_dir() {
            return Ok(folder);
        }
        let download = parent.join(format!("{package}.download"));
        if download.exists() {
            fs::remove_dir_all(&download)?;
        }
        fs::create_dir_all(&download)?;
        self.apt(|| {
            let mut apt = command(
                "apt-get",
                ["-qq", "-o", "APT::Sandbox::User=root", "download", package],
            );
            apt.current_dir(&download);
            apt
        })?;
        unpack(&download, &folder)?;
        fs::remove_dir_all(&download)?;
        Ok(folder)
    }

    /// Installs packages of the distribution.
    pub(crate) fn install(&mut self, packages: &[&str]) -> Result<()> {
        eprintln!("installing {} from the distribution", packages.join(", "));
        let options = ["install", "--yes", "-qq", "--no-install-recommends"];
        self.apt(|| {
            // Nothing else on the machine is to be restarted or asked about.
            let mut words = vec![
                "DEBIAN_FRONTEND=noninteractive",
                "NEEDRESTART_SUSPEND=1",
                "apt-get",
            ];
            words.extend(options.iter().chain(packages));
            privileged("env", words)
        })?;
        self.installed
            .extend(packages.iter().map(|&package| package.to_owned()));
        Ok(())
    }

    /// Runs `apt-get`, and again with fresh package lists if it fails: a machine may have none, or old ones.
    fn apt(&mut self, call: impl Fn() -> Command) -> Result<()> {
        if find("apt-get").is_none() {
            bail!(
                "this machine has no apt-get to install with; set the service up by hand and pass its address"
            );
        }
        if self.lists_are_fresh {
            return run_undisturbed(&mut call());
        }
        run_undisturbed(&mut call()).or_else(|_| {
            eprintln!("trying again with fresh package lists");
            run_undisturbed(&mut privileged("apt-get", ["update", "-qq"]))?;
            self.lists_are_fresh = true;
            run_undisturbed(&mut call())
        })
    }
}

/// Unpacks the one Debian package in `download`; `folder` exists only when that is complete.
pub(crate) fn unpack(download: &Path, folder: &Path) -> Result<()> {
    let mut files = fs::read_dir(download)?
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    let package = files.find(|path| path.extension() == Some(OsStr::new("deb")));
    let package =
        package.with_context(|| format!("no package was downloaded into {}", download.display()))?;
    let unpacked = download.join("unpacked");
    run_quietly(&mut command(
        "dpkg",
        [OsStr::new("-x"), package.as_os_str(), unpacked.as_os_str()],
    ))?;
    fs::rename(&unpacked, folder)?;
    Ok(())
}

/// A program on the `PATH`, or where root would have it.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SYSTEM_DIRECTORIES.map(PathBuf::from));
    directories
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Whether this task runs as root.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// A command that runs as root: by itself, or through `sudo`, which asks for a password only where somebody can
/// answer.
pub(crate) fn privileged<I, S>(program: impl AsRef<OsStr>, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    if is_root() {
        return command(program, arguments);
    }
    // A daemon gets its own process group and could not ask, so the question is asked here, once.
    let ready = succeeds(&mut command("sudo", ["-n", "true"])) || in_ci();
    if !ready && let Err(error) = run(&mut command("sudo", ["-v"])) {
        eprintln!("{error:#}");
    }
    let mut sudo = command("sudo", ["-n", "-E", "--"]);
    sudo.arg(program).args(arguments);
    sudo
}

/// Removes a folder, also one with files of root in it. A folder that is not there is fine.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
        return Ok(());
    }
    run(&mut privileged(
        "rm",
        [OsStr::new("-rf"), OsStr::new("--"), folder.as_os_str()],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_only_if_there() {
        assert!(find("ls").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program-anywhere"), None);
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        remove(Path::new("/tmp/wharf-no-such-folder")).unwrap();
    }
}
