//! The request to stop: SIGINT, SIGTERM, or a caller. A second signal, at least a second later, ends the process at once.

use std::io;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long a last line may take to be written by the thread that writes lines.
const LAST_LINE_TIME: Duration = Duration::from_millis(100);

/// Signals that come this soon after the first one say the same: terminals and service managers send several at once.
const SAME_REQUEST: Duration = Duration::from_secs(1);

/// The request to stop. Clones share it; once made it stays.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A request that nobody has made yet and that no signal makes.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// A request that SIGINT or SIGTERM makes. Another one of them, a second or more after the first, ends the process
    /// with 128 + the number of the signal, whatever is still going on.
    ///
    /// Signals are heard on a thread of their own: a runtime that plugins keep busy cannot hold back the second one.
    ///
    /// # Errors
    /// When the system refuses the handlers or the thread.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let signals = {
            // Within the runtime, and before this returns: no signal may find the default action, which kills.
            let _within = runtime.enter();
            Signals::listen()?
        };
        let requested = shutdown.clone();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(obey(signals, &requested)))?;
        Ok(shutdown)
    }

    /// Makes the request.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }

    /// Whether the request has been made.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the request is made.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn requested(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|requested| *requested).await;
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }
}

async fn obey(mut signals: Signals, shutdown: &Shutdown) {
    signals.next().await;
    let asked = Instant::now();
    tracing::info!("asked to stop; another signal, a second from now, ends the process at once");
    shutdown.trigger();
    let again = loop {
        let signal = signals.next().await;
        if asked.elapsed() >= SAME_REQUEST {
            break signal;
        }
    };
    tracing::warn!(
        "ended by a second signal; what this host holds is free again when its session has expired"
    );
    thread::sleep(LAST_LINE_TIME);
    process::exit(128 + again.as_raw_value());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reaches_every_clone_however_late_it_asks() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        assert!(!shutdown.is_requested());
        shutdown.trigger();
        waiting.await.unwrap();
        shutdown.clone().requested().await;
        assert!(shutdown.is_requested());
    }
}
