//! Running the programs that know about Python packages, without a shell.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wharf_core::{Error, ErrorKind, Result};

use super::index_credentials::hide_credentials;

/// How long a program may take unless another limit is set.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(120);

/// How often a waiting call looks whether it was stopped, or whether a program that handed its output to a
/// child of its own has ended.
const LOOK_UP: Duration = Duration::from_millis(50);

/// How long the output of an ended program may still be held open by a child of it.
const GRACE: Duration = Duration::from_secs(1);

/// How often to look for the end of a program that closed its output.
const CLOSED_LOOK_UP: Duration = Duration::from_millis(1);

/// How much of its standard error an error shows, in bytes.
const SHOWN_BYTES: usize = 2000;

/// The environment that programs are found in and run with: a copy of the process's own, or one made up.
///
/// Nothing in this crate reads the process environment itself, so that a test or a server can say what is in
/// it.
#[derive(Clone)]
pub struct ToolEnvironment {
    variables: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    time_limit: Duration,
    stop: StopSignal,
}

/// Stops the programs that are running for a [`ToolEnvironment`] from another thread, for good.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Kills what runs and lets nothing start any more. The calls that wait end with
    /// [`ErrorKind::Cancelled`] within a twentieth of a second.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ToolEnvironment {
    /// An environment without any variable: no program is found in it.
    #[must_use]
    pub fn empty(directory: impl Into<PathBuf>) -> Self {
        Self {
            variables: BTreeMap::new(),
            directory: directory.into(),
            time_limit: DEFAULT_TIME_LIMIT,
            stop: StopSignal::default(),
        }
    }

    /// The variables of this process. Programs run in `directory`, which is usually the source root.
    #[must_use]
    pub fn of_process(directory: impl Into<PathBuf>) -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            ..Self::empty(directory)
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Sets how long a program may take. Default: [`DEFAULT_TIME_LIMIT`].
    #[must_use]
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Stops with this signal.
    #[must_use]
    pub fn with_stop_signal(self, stop: StopSignal) -> Self {
        Self { stop, ..self }
    }

    /// The directory that programs run in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value.as_os_str())
    }

    /// A variable as text; none if it is no UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variable(name)?.to_str()
    }

    /// The directories of `PATH`, in their order; relative ones count from the directory.
    pub(super) fn search_path(&self) -> Vec<PathBuf> {
        let path = self.variable("PATH").unwrap_or_default();
        std::env::split_paths(path)
            .filter(|entry| !entry.as_os_str().is_empty())
            .map(|entry| self.directory.join(entry))
            .collect()
    }

    /// Where a program is: in `PATH`, or at the path that its name is.
    #[must_use]
    pub fn find(&self, program: impl AsRef<OsStr>) -> Option<PathBuf> {
        let program = Path::new(program.as_ref());
        if program.components().count() > 1 || program.is_absolute() {
            return Some(self.directory.join(program)).filter(|path| is_program(path));
        }
        self.search_path()
            .into_iter()
            .map(|directory| directory.join(program))
            .find(|path| is_program(path))
    }

    /// Runs a program and gives what it wrote to standard output.
    ///
    /// It gets no standard input. It and everything it started is killed when the time limit passes and when
    /// the stop signal is set.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::NotFound`]: there is no such program.
    /// * [`ErrorKind::InvalidInput`]: it failed, with its exit status and the end of what it wrote to standard
    ///   error; or its output is no UTF-8.
    /// * [`ErrorKind::Timeout`], [`ErrorKind::Cancelled`].
    pub fn run<A: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, arguments: &[A]) -> Result<String> {
        let program = program.as_ref();
        let line = shown_line(program, arguments);
        let finished = self.finish(program, arguments, &line)?;
        if !finished.status.success() {
            let status = finished.status;
            return Err(
                Error::new(ErrorKind::InvalidInput, format!("`{line}` failed with {status}"))
                    .with_context("output", tail(&finished)),
            );
        }
        String::from_utf8(finished.stdout).map_err(|source| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("the output of `{line}` is not UTF-8"),
            )
            .with_source(source.utf8_error())
        })
    }

    fn finish<A: AsRef<OsStr>>(&self, program: &OsStr, arguments: &[A], line: &str) -> Result<Finished> {
        if self.stop.is_set() {
            return Err(Error::cancelled(&format!("`{line}`")));
        }
        let path = self.find(program).ok_or_else(|| not_found(program, line))?;
        let child = Command::new(&path)
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // What the program starts is killed with it.
            .process_group(0)
            .spawn()
            .map_err(|source| Error::io(format!("`{line}` could not be started"), &path, source))?;
        Running(child).wait(self.time_limit, &self.stop, line)
    }
}

impl fmt::Debug for ToolEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of environment variables are not for printing.
        f.debug_struct("ToolEnvironment")
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("directory", &self.directory)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

/// A program that ended by itself.
struct Finished {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// A program that is killed when this is dropped, unless it has ended.
struct Running(Child);

/// What a program writes, while it writes it.
struct Output {
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    /// Nothing ever comes; it is disconnected when both streams are closed.
    open: Receiver<()>,
}

impl Running {
    fn wait(mut self, limit: Duration, stop: &StopSignal, line: &str) -> Result<Finished> {
        let output = self.read_output()?;
        let failed =
            |source| Error::new(ErrorKind::Io, format!("`{line}` cannot be waited for")).with_source(source);
        let begun = Instant::now();
        let mut ended: Option<(ExitStatus, Instant)> = None;
        loop {
            let closed = output.open.recv_timeout(LOOK_UP) == Err(RecvTimeoutError::Disconnected);
            if ended.is_none() {
                let status = self.0.try_wait().map_err(failed)?;
                ended = status.map(|status| (status, Instant::now()));
            }
            match ended {
                Some((status, since)) if closed || since.elapsed() > GRACE => {
                    return Ok(output.finished(status));
                }
                // The program closed its output and is about to end, or lives on without any.
                None if closed => std::thread::sleep(CLOSED_LOOK_UP),
                _ => {}
            }
            if stop.is_set() {
                return Err(Error::cancelled(&format!("`{line}`")));
            }
            if begun.elapsed() > limit {
                return Err(timed_out(line, limit));
            }
        }
    }

    fn read_output(&mut self) -> Result<Output> {
        let (sender, open) = channel();
        let output = Output {
            stdout: Arc::default(),
            stderr: Arc::default(),
            open,
        };
        if let Some(stream) = self.0.stdout.take() {
            read_in_thread(stream, Arc::clone(&output.stdout), sender.clone())?;
        }
        if let Some(stream) = self.0.stderr.take() {
            read_in_thread(stream, Arc::clone(&output.stderr), sender)?;
        }
        Ok(output)
    }
}

impl Output {
    fn finished(&self, status: ExitStatus) -> Finished {
        let take = |bytes: &Mutex<Vec<u8>>| {
            std::mem::take(&mut *bytes.lock().unwrap_or_else(PoisonError::into_inner))
        };
        Finished {
            status,
            stdout: take(&self.stdout),
            stderr: take(&self.stderr),
        }
    }
}

fn read_in_thread(
    mut stream: impl Read + Send + 'static,
    bytes: Arc<Mutex<Vec<u8>>>,
    open: Sender<()>,
) -> Result<()> {
    let thread = std::thread::Builder::new().name("wharf-tool".to_owned());
    let spawned = thread.spawn(move || {
        let mut chunk = [0; 16 * 1024];
        // What came before a failure is all there is.
        loop {
            match stream.read(&mut chunk) {
                Ok(read @ 1..) => {
                    let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                    bytes.extend_from_slice(&chunk[..read]);
                }
                Err(source) if source.kind() == std::io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        drop(open);
    });
    spawned.map(drop).map_err(|source| {
        Error::new(ErrorKind::ResourceExhausted, "a thread could not be started").with_source(source)
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let (Ok(None), Some(group)) = (self.0.try_wait(), group) {
            // A process that is gone by now needs no killing.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The command for people: words quoted where that is needed, credentials hidden.
fn shown_line<A: AsRef<OsStr>>(program: &OsStr, arguments: &[A]) -> String {
    let words = std::iter::once(program).chain(arguments.iter().map(AsRef::as_ref));
    let words = words.map(|word| shown_word(&word.to_string_lossy()));
    hide_credentials(&words.collect::<Vec<_>>().join(" "))
}

fn shown_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned()),
    }
}

fn not_found(program: &OsStr, line: &str) -> Error {
    let program = program.to_string_lossy();
    Error::new(
        ErrorKind::NotFound,
        format!("there is no program `{program}` in PATH"),
    )
    .with_context("command", line)
    .with_hint(format!("Install {program}, or put its directory into PATH."))
}

fn timed_out(line: &str, limit: Duration) -> Error {
    let message = format!("`{line}` took longer than {} seconds", limit.as_secs_f32());
    Error::new(ErrorKind::Timeout, message)
        .with_hint("Run the command by hand to see what it waits for; it gets no standard input.")
}

/// The end of what a failed program said: of its standard error, or of its output if it was silent there.
fn tail(finished: &Finished) -> String {
    let silent = finished.stderr.iter().all(u8::is_ascii_whitespace);
    let bytes = if silent {
        &finished.stdout
    } else {
        &finished.stderr
    };
    let text = String::from_utf8_lossy(bytes);
    let text = hide_credentials(text.trim());
    let from = text.len().saturating_sub(SHOWN_BYTES);
    let from = (from..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(from);
    match from {
        0 => text,
        from => format!("…{}", &text[from..]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tools;
    use super::*;

    #[test]
    fn arguments_reach_the_program_as_they_are() {
        let tools = Tools::new().script("show", r#"for a in "$@"; do printf '<%s>' "$a"; done"#);
        let output = tools
            .environment()
            .run("show", &["a b", "$HOME", "'q'", "; ls", ""])
            .unwrap();
        assert_eq!(output, "<a b><$HOME><'q'><; ls><>");
    }

    #[test]
    fn a_failure_has_the_status_and_the_end_of_standard_error() {
        let tools = Tools::new().script("fail", "echo out; echo 'why: https://u:hunter2@h/x' >&2; exit 3");
        let error = tools.environment().run("fail", &["--x"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.message(), "`fail --x` failed with exit status: 3");
        assert_eq!(
            error.context().collect::<Vec<_>>(),
            [("output", "why: https://***@h/x")]
        );
    }

    #[test]
    fn a_long_error_keeps_its_end() {
        let tools = Tools::new().script("fail", "yes äöü | head -c 100000 >&2; echo the end >&2; exit 1");
        let report = tools.environment().run::<&str>("fail", &[]).unwrap_err().report();
        assert!(report.ends_with("the end"), "{report}");
        assert!(report.len() < 3000, "{}", report.len());
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = Tools::new()
            .environment()
            .run("no-such-program", &["x"])
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.report().contains("no-such-program x"), "{}", error.report());
    }

    #[test]
    fn a_directory_or_plain_file_is_no_program() {
        let tools = Tools::new();
        std::fs::create_dir(tools.bin().join("pip")).unwrap();
        std::fs::write(tools.bin().join("uv"), "").unwrap();
        assert_eq!(tools.environment().find("pip"), None);
        assert_eq!(tools.environment().find("uv"), None);
    }

    #[test]
    fn the_time_limit_kills_what_the_program_started_too() {
        let tools = Tools::new().script("slow", "sleep 600 & echo $! > pid; wait");
        let environment = tools.environment().with_time_limit(Duration::from_millis(300));
        let begun = Instant::now();
        let error = environment.run::<&str>("slow", &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(begun.elapsed() < Duration::from_secs(20));
        let pid = std::fs::read_to_string(tools.root().join("pid")).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        // The kernel may take a moment to end what was killed.
        while alive() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it lives on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_stop_signal_ends_a_running_program() {
        let tools = Tools::new().script("slow", "echo > started; sleep 600");
        let signal = StopSignal::default();
        let environment = tools.environment().with_stop_signal(signal.clone());
        let error = std::thread::scope(|scope| {
            let run = scope.spawn(|| environment.run::<&str>("slow", &[]));
            while !tools.root().join("started").exists() {
                std::thread::yield_now();
            }
            signal.stop();
            run.join().unwrap().unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        let after = environment.run::<&str>("slow", &[]).unwrap_err();
        assert_eq!(after.kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn a_child_that_keeps_the_output_open_does_not_hold_up_the_result() {
        let tools = Tools::new().script("daemon", "sleep 30 & echo done");
        let begun = Instant::now();
        assert_eq!(tools.environment().run::<&str>("daemon", &[]).unwrap(), "done\n");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn the_environment_is_the_given_one_and_is_not_printed() {
        let tools = Tools::new().script("show", "printf '%s|%s' \"$A\" \"$HOME\"");
        let environment = tools.environment().with("A", "planted");
        assert_eq!(environment.run::<&str>("show", &[]).unwrap(), "planted|");
        assert!(!format!("{environment:?}").contains("planted"));
    }
}
