//! What signals ask for: SIGINT and SIGTERM to stop, SIGHUP to read the configuration again.
//!
//! Signals are heard on a thread of their own: a runtime that plugins keep busy cannot hold any back.

use std::fs;
use std::io;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::shutdown::Shutdown;

/// How long a last line may take to be written by the thread that writes lines.
const LAST_LINE_TIME: Duration = Duration::from_millis(100);

/// Signals that come this soon after the first one say the same: terminals and service managers send several at once.
const SAME_REQUEST: Duration = Duration::from_secs(1);

/// What SIGHUP asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// What it asks every program for that does not listen to it: to end at once.
    End,
    /// To stop, as SIGTERM does. A process that was started to ignore it, as `nohup` does, goes on ignoring it.
    Stop,
    /// To read the configuration again.
    Reload,
    /// Nothing: this is said when it comes.
    Nothing(&'static str),
}

/// Requests to read the configuration again.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Arc<Notify>);

impl Reloads {
    /// Waits for the next request. Those that come while nobody waits are one.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&self) {
        self.0.notified().await;
    }
}

/// Listens to signals: SIGINT and SIGTERM make the request to stop. Another one of them, a second or more after the first,
/// ends the process with 128 + the number of the signal, whatever is still going on.
///
/// # Errors
/// When the system refuses the handlers or the thread.
pub fn listen(hangup: Hangup) -> io::Result<(Shutdown, Reloads)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let listener = {
        // Within the runtime, and before this returns: no signal may find the default action, which kills.
        let _within = runtime.enter();
        Listener::new(hangup)?
    };
    let (shutdown, reloads) = (listener.shutdown.clone(), listener.reloads.clone());
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || runtime.block_on(listener.run()))?;
    Ok((shutdown, reloads))
}

struct Listener {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
    hangup: Hangup,
    shutdown: Shutdown,
    reloads: Reloads,
}

impl Listener {
    fn new(hangup: Hangup) -> io::Result<Self> {
        let heard = match hangup {
            Hangup::End => false,
            Hangup::Stop => !ignores_hangup(),
            Hangup::Reload | Hangup::Nothing(_) => true,
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: heard.then(|| signal(SignalKind::hangup())).transpose()?,
            hangup,
            shutdown: Shutdown::new(),
            reloads: Reloads::default(),
        })
    }

    async fn run(mut self) {
        self.asked_to_stop().await;
        let asked = Instant::now();
        tracing::info!(
            "asked to stop; another signal, a second or more from now, ends the process at once"
        );
        self.shutdown.trigger();
        let again = loop {
            let signal = self.asked_to_stop().await;
            if asked.elapsed() >= SAME_REQUEST {
                break signal;
            }
        };
        tracing::warn!(
            "ended by a second signal; what this host holds is free again when its guardian has given it back, or its session has expired"
        );
        thread::sleep(LAST_LINE_TIME);
        process::exit(128 + again.as_raw_value());
    }

    /// Waits for a signal that asks to stop, and passes the others on.
    async fn asked_to_stop(&mut self) -> SignalKind {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return SignalKind::interrupt(),
                _ = self.terminate.recv() => return SignalKind::terminate(),
                () = received(self.hang_up.as_mut()) => match self.hangup {
                    Hangup::End | Hangup::Stop => return SignalKind::hangup(),
                    Hangup::Reload => self.reloads.0.notify_one(),
                    Hangup::Nothing(why) => tracing::info!("{why}"),
                },
            }
        }
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether this process was started to ignore SIGHUP.
pub fn ignores_hangup() -> bool {
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| is_ignored(&status, SignalKind::hangup()))
}

/// Reads the mask of ignored signals in `/proc/PID/status`, whose lowest bit is signal 1.
fn is_ignored(status: &str, signal: SignalKind) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read_from_its_lowest_bit() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(status, SignalKind::hangup()));
        assert!(is_ignored(status, SignalKind::pipe()));
        assert!(!is_ignored(status, SignalKind::terminate()));
        assert!(!is_ignored("SigBlk:\t1\n", SignalKind::hangup()));
    }
}
