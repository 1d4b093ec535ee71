//! Other programs: always with an argument list, never through a shell, never with somebody else's stdin.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};

use crate::services::run_dir::stay_if_interrupted;

static RUNNING: AtomicI32 = AtomicI32::new(0);
/// Held while a program runs that must not be stopped in the middle.
static UNDISTURBED: Mutex<()> = Mutex::new(());

/// A program with arguments, which gets nothing on stdin.
pub(crate) fn command<I, S>(program: impl AsRef<OsStr>, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The cargo that started this task, in the workspace's root and with the target directory of this run.
pub(crate) fn cargo<I, S>(arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(program, arguments);
    command.current_dir(workspace_root());
    // What cargo told *this* program about its package would make build scripts that watch these variables run again.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if let Some(directory) = crate::target_dir::for_children() {
        // Nothing is compiled twice there, so incremental data would be written for nobody.
        command
            .env("CARGO_TARGET_DIR", directory)
            .env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// Where the workspace's `Cargo.toml` is.
pub(crate) fn workspace_root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// Says what it runs, runs it with its output shown on stderr, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    stay_if_interrupted();
    eprintln!("$ {}", shown(command));
    // stdout is for the results of the task itself.
    let child = command.stdout(io::stderr()).spawn();
    let child = child.with_context(|| format!("cannot start `{}`", shown(command)))?;
    check(command, &output_of(child)?)
}

/// Waits for a program that a signal to this task is to end, too.
fn output_of(child: Child) -> io::Result<Output> {
    RUNNING.store(child.id().cast_signed(), Ordering::Relaxed);
    let output = child.wait_with_output();
    RUNNING.store(0, Ordering::Relaxed);
    // A program that the signal ended has not failed, and the task must not go on to its next one.
    stay_if_interrupted();
    output
}

/// Says what it runs and runs it; its output is shown only if it fails, in the error.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let child = spawn_quietly(command)?;
    check(command, &output_of(child)?)
}

/// Like [`run_quietly`], for a program that must not be stopped in the middle, such as a package manager. Ctrl-C does
/// not reach it, and [`wait_for_undisturbed`] waits for it.
pub(crate) fn run_undisturbed(command: &mut Command) -> Result<()> {
    let _undisturbed = lock(&UNDISTURBED);
    let output = spawn_quietly(command.process_group(0))?.wait_with_output()?;
    check(command, &output)
}

/// Returns when no program runs that must not be stopped in the middle.
pub(crate) fn wait_for_undisturbed() {
    drop(lock(&UNDISTURBED));
}

/// Locks, also after a thread that held the lock has panicked: nothing here is left half done by a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn_quietly(command: &mut Command) -> Result<Child> {
    stay_if_interrupted();
    eprintln!("$ {}", shown(command));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    child.with_context(|| format!("cannot start `{}`", shown(command)))
}

fn check(command: &Command, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).trim().to_owned());
    let error = format!(
        "`{}` failed: {}\n{}",
        shown(command),
        output.status,
        said.join("\n").trim()
    );
    bail!("{}", error.trim_end())
}

/// The id of the program that [`run`] or [`run_quietly`] waits for.
pub(crate) fn running_child() -> Option<i32> {
    Some(RUNNING.load(Ordering::Relaxed)).filter(|id| *id != 0)
}

/// Runs it quietly and gives what it wrote to stdout; on failure the error holds what it wrote to stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        let stderr = String::from_utf8_lossy(&stderr);
        bail!("`{}` failed: {status}\n{}", shown(command), stderr.trim_end());
    }
    String::from_utf8(stdout)
        .with_context(|| format!("`{}` wrote something that is not UTF-8", shown(command)))
}

/// Whether it could be started and succeeded; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The command as a person would type it, without the path of cargo.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_run_and_what_it_said() {
        let error = capture(&mut command("ls", ["/nowhere/at/all"]))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("`ls /nowhere/at/all` failed"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn what_a_quiet_program_said_is_told_if_it_fails() {
        let error = run_quietly(&mut command("ls", ["/nowhere/at/all"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("No such file"), "{error}");
        let error = run(&mut command("false", [""; 0])).unwrap_err().to_string();
        assert_eq!(error, "`false` failed: exit status: 1");
    }

    #[test]
    fn stdin_is_empty() {
        assert_eq!(capture(&mut command("cat", [""; 0])).unwrap(), "");
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(workspace_root().join("Cargo.lock").is_file());
    }
}
