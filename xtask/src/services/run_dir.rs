//! A folder that holds everything a run started, so that all of it can be stopped from the folder alone: when the run
//! ends, when it is interrupted, and, if it was killed, by the next run.
//!
//! Each service has a folder inside, with the files
//! - `pid`: the daemon, if one was started (see [`Process`]);
//! - `unit`: a service of the machine, if that was started instead;
//! - `bridge`: a network bridge that was made for it;
//! - `mounts`: folders elsewhere below which it may leave mounts;
//! - `address`: how to reach it, once it answers;
//! - `log`: what the daemon printed.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::bridge;
use super::machine::{find, privileged, remove};
use super::mounts;
use super::pid::{Process, kill_helpers_naming, terminate};
use crate::process::{lock, running_child, succeeds, wait_for_undisturbed};

/// A daemon gets this long to answer for the first time. Seconds are usual; a cold disk takes longer.
const START_PATIENCE: Duration = Duration::from_secs(90);
/// A daemon gets this long to stop by itself; the Docker engine gives its containers 10 seconds.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
const PREFIX: &str = "wharf-test-";

/// The folder to clean up when a signal arrives.
static CURRENT: Mutex<Option<PathBuf>> = Mutex::new(None);
/// Held while services are being stopped, so that the process does not end in the middle of it.
static STOPPING: Mutex<()> = Mutex::new(());
/// Set when a signal has arrived. From then on nothing new is started.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The folder of one run.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    keep: bool,
}

impl RunDir {
    /// A new folder for this process, cleaned up when the value is dropped or the process is interrupted. Cleans up
    /// first after earlier runs that were killed.
    pub(crate) fn temporary() -> Result<RunDir> {
        stop_abandoned();
        let path = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        make_private(&path)?;
        fs::write(
            path.join("owner"),
            Process::with_id(std::process::id())?.to_text(),
        )?;
        stop_on_signal(&path)?;
        Ok(RunDir { path, keep: false })
    }

    /// The folder of the services that `cargo xtask services up` leaves running. Until [`RunDir::keep`] it is
    /// cleaned up like a temporary one.
    pub(crate) fn shared() -> Result<RunDir> {
        stop_abandoned();
        let path = shared_path();
        make_private(&path)?;
        stop_on_signal(&path)?;
        Ok(RunDir { path, keep: false })
    }

    /// Leaves everything running from now on.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
        *lock(&CURRENT) = None;
    }

    /// The folder of one service, made if it is not there.
    pub(crate) fn service(&self, name: &str) -> Result<ServiceDir> {
        let path = self.path.join(name);
        fs::create_dir_all(&path)?;
        Ok(ServiceDir { path })
    }

    /// The address of a service that this run has started.
    pub(crate) fn address_of(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path.join(name).join("address")).ok()
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        stay_if_interrupted();
        if !self.keep {
            stop_all(&self.path);
            *lock(&CURRENT) = None;
        }
    }
}

/// Where `cargo xtask services up` keeps its services; one place per user.
fn shared_path() -> PathBuf {
    std::env::temp_dir().join(format!("wharf-services-{}", nix::unistd::getuid()))
}

/// The address of a service that `cargo xtask services up` has left running.
pub(crate) fn shared_address(name: &str) -> Option<String> {
    if !is_ours(&shared_path()) {
        return None;
    }
    let folder = shared_path().join(name);
    let process = Process::from_text(&fs::read_to_string(folder.join("pid")).ok()?)?;
    let address = fs::read_to_string(folder.join("address")).ok()?;
    process.is_alive().then_some(address)
}

/// The folder of one service.
#[derive(Debug)]
pub(crate) struct ServiceDir {
    path: PathBuf,
}

impl ServiceDir {
    /// A file or folder inside.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Notes a fact that stopping needs or others ask for; see the module's documentation for the names.
    pub(crate) fn note(&self, name: &str, text: &str) -> Result<()> {
        stay_if_interrupted();
        let file = self.path.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Starts a daemon in a process group of its own and waits until `answers` gives true.
    pub(crate) fn start(&self, mut daemon: Command, answers: impl Fn() -> bool) -> Result<()> {
        let log = File::create(self.join("log"))?;
        daemon.stdout(log.try_clone()?).stderr(log).process_group(0);
        let name = daemon.get_program().to_string_lossy().into_owned();
        let mut child = self
            .spawn(&mut daemon)
            .with_context(|| format!("cannot start {name}"))?;
        self.wait(&mut child, answers)
            .with_context(|| format!("{name} does not run"))
    }

    /// Starts it and notes its id, with nothing being stopped in between.
    fn spawn(&self, daemon: &mut Command) -> Result<Child> {
        let no_stopping = lock(&STOPPING);
        if INTERRUPTED.load(Ordering::Relaxed) {
            drop(no_stopping);
            stay_if_interrupted();
        }
        let child = daemon.spawn()?;
        fs::write(self.join("pid"), Process::with_id(child.id())?.to_text())?;
        Ok(child)
    }

    fn wait(&self, child: &mut Child, answers: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !answers() {
            if let Some(status) = child.try_wait()? {
                bail!("it ended with {status}; its last words:\n{}", self.last_words());
            }
            if start.elapsed() > START_PATIENCE {
                bail!(
                    "no answer within {} s; its last words:\n{}",
                    START_PATIENCE.as_secs(),
                    self.last_words()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read(self.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines = text.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Forgets a fact.
    pub(crate) fn forget(&self, name: &str) {
        let _ = fs::remove_file(self.join(name));
    }

    /// Stops the daemon of this service, if there is one, and forgets it.
    pub(crate) fn stop(&self) {
        stop_service(&self.path);
        self.forget("pid");
    }
}

/// Stops the services that `cargo xtask services up` has left running.
pub(crate) fn stop_shared() {
    if is_ours(&shared_path()) {
        stop_all(&shared_path());
    }
}

/// Stops everything that is noted in a run's folder, unmounts what is left, and removes the folder.
fn stop_all(folder: &Path) {
    let _guard = lock(&STOPPING);
    let services = subfolders(folder);
    services.iter().for_each(|service| stop_service(service));
    kill_helpers_naming(&folder.to_string_lossy());
    mounts::unmount(folder);
    if let Err(error) = remove(folder) {
        eprintln!("could not remove {}: {error:#}", folder.display());
    }
}

fn stop_service(folder: &Path) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    if let Some(process) = read("pid").as_deref().and_then(Process::from_text) {
        process.stop(STOP_PATIENCE);
    }
    read("unit").iter().for_each(|unit| stop_unit(unit));
    read("mounts")
        .iter()
        .flat_map(|text| text.lines())
        .for_each(|folder| mounts::unmount(Path::new(folder)));
    read("bridge").iter().for_each(|bridge| bridge::remove(bridge));
}

/// Stops a service of the machine, with systemd or without.
pub(crate) fn stop_unit(unit: &str) {
    if systemd_runs() {
        // The socket first, or it would start the service again.
        succeeds(&mut privileged("systemctl", ["stop", &format!("{unit}.socket")]));
        succeeds(&mut privileged("systemctl", ["stop", &format!("{unit}.service")]));
    } else if let Some(service) = find("service") {
        succeeds(&mut privileged(service, [unit, "stop"]));
    }
}

/// Whether systemd is this machine's init: what sd_booted(3) tests.
pub(crate) fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Makes a folder nobody else can look into; one that is there already must be ours.
fn make_private(folder: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_ours(folder) => Ok(()),
        result => result.with_context(|| format!("cannot make {}", folder.display())),
    }
}

/// Whether this user made the folder. Everybody can make one in the folder for temporary files, and what is noted in a
/// run's folder is stopped and removed.
fn is_ours(folder: &Path) -> bool {
    let user = nix::unistd::getuid().as_raw();
    fs::symlink_metadata(folder).is_ok_and(|folder| folder.is_dir() && folder.uid() == user)
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Stops what runs have left behind that were killed before they could.
fn stop_abandoned() {
    let folders = subfolders(&std::env::temp_dir());
    let of_runs = folders.iter().filter(|folder| {
        folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
            && is_ours(folder)
    });
    for folder in of_runs {
        let owner = fs::read_to_string(folder.join("owner")).ok();
        if owner
            .as_deref()
            .and_then(Process::from_text)
            .is_some_and(|owner| !owner.is_alive())
        {
            eprintln!("stopping what an interrupted run left in {}", folder.display());
            stop_all(folder);
        }
    }
}

/// From now on a signal stops everything in `folder` before this process ends.
fn stop_on_signal(folder: &Path) -> Result<()> {
    let first = lock(&CURRENT).replace(folder.to_owned()).is_none();
    if first {
        ctrlc::set_handler(on_signal).context("cannot handle signals")?;
    }
    Ok(())
}

/// Keeps the caller here for good once a signal has arrived: the thread that handles it ends the process.
pub(crate) fn stay_if_interrupted() {
    while INTERRUPTED.load(Ordering::Relaxed) {
        std::thread::park();
    }
}

fn on_signal() {
    INTERRUPTED.store(true, Ordering::Relaxed);
    eprintln!("\ninterrupted: stopping what was started");
    wait_for_undisturbed();
    if let Some(child) = running_child() {
        terminate(child);
    }
    let folder = lock(&CURRENT).clone();
    if let Some(folder) = folder {
        stop_all(&folder);
    }
    // What a shell reports for a program that SIGINT ended.
    std::process::exit(130);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::command;

    #[test]
    fn a_folder_must_be_ours() {
        let folder = std::env::temp_dir().join(format!("wharf-xtask-private-{}", std::process::id()));
        make_private(&folder).unwrap();
        make_private(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        fs::remove_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/tmp", &folder).unwrap();
        make_private(&folder).unwrap_err();
        fs::remove_file(&folder).unwrap();
    }

    fn service(name: &str) -> ServiceDir {
        let path = std::env::temp_dir()
            .join(format!("wharf-xtask-{name}-{}", std::process::id()))
            .join("it");
        fs::create_dir_all(&path).unwrap();
        ServiceDir { path }
    }

    #[test]
    fn a_daemon_that_ends_is_an_error_with_its_last_words() {
        let service = service("ends");
        let error = service
            .start(command("ls", ["/nowhere/at/all"]), || false)
            .unwrap_err();
        assert!(format!("{error:#}").contains("No such file"), "{error:#}");
        stop_all(service.path.parent().unwrap());
    }

    #[test]
    fn stopping_a_folder_ends_its_daemons_and_removes_it() {
        let service = service("stops");
        service.start(command("sleep", ["600"]), || true).unwrap();
        let text = fs::read_to_string(service.join("pid")).unwrap();
        let process = Process::from_text(&text).unwrap();
        assert!(process.is_alive());
        stop_all(service.path.parent().unwrap());
        assert!(!process.is_alive());
        assert!(!service.path.exists());
    }
}
