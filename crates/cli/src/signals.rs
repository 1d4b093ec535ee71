//! Ctrl-C and SIGTERM: the first cancels, the second Ctrl-C ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wharf_core::{Error, ErrorKind, Result};

use crate::display::terminal;
use crate::exit_code;

/// What the user sees between the first Ctrl-C and the end.
pub const NOTICE: &str = "cancelling; press Ctrl-C again to stop at once";

/// Which signal came, if any.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    code: Arc<AtomicU8>,
    token: CancellationToken,
}

impl Signals {
    /// Listens from now on, in the background. Without signals the token never fires.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when the system gives no signal handler.
    pub fn listen(notify: impl Fn() + Send + 'static) -> Result<Self> {
        let this = Self::default();
        let interrupt = handler(SignalKind::interrupt())?;
        let terminate = handler(SignalKind::terminate())?;
        tokio::spawn(this.clone().wait(interrupt, terminate, notify));
        Ok(this)
    }

    /// Fires on the first signal.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The exit code of a command that was stopped by the signal that came.
    #[must_use]
    pub fn code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::SeqCst)).filter(|code| *code != exit_code::OK)
    }

    async fn wait(self, mut interrupt: Signal, mut terminate: Signal, notify: impl Fn()) {
        loop {
            let code = tokio::select! {
                Some(()) = interrupt.recv() => exit_code::INTERRUPTED,
                Some(()) = terminate.recv() => exit_code::TERMINATED,
                else => return,
            };
            if self.token.is_cancelled() && code == exit_code::INTERRUPTED {
                terminal::restore();
                std::process::exit(code.into());
            }
            let _ = self
                .code
                .compare_exchange(exit_code::OK, code, Ordering::SeqCst, Ordering::SeqCst);
            notify();
            self.token.cancel();
        }
    }
}

fn handler(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "the system gives no signal handler").with_source(error)
    })
}
