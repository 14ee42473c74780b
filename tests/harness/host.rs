//! A running `soloist`, with its events.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::history::{Event, History, Record, What};
use crate::process::Process;
use crate::{PATIENCE, eventually};

mod command;
mod reports;

pub use command::{Command, clear_settings};

/// A host process. Killed when dropped.
#[derive(Debug)]
pub struct Host {
    id: String,
    process: Process,
    history: History,
    from: usize,
    started: SystemTime,
    errors: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    guarded: bool,
}

impl Drop for Host {
    /// What is guarded outlives its guardian for as long as it takes to hand its tasks over.
    fn drop(&mut self) {
        if self.guarded
            && let Some(pid) = child_of(self.pid())
        {
            let _ = self.process.kill();
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Whether a child of this process has ended, and was not reaped yet.
fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// A child of that process.
fn child_of(pid: u32) -> Option<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

impl Host {
    /// The host's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// When the process was started.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// What the host has written on stderr so far.
    pub fn errors(&self) -> String {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All that this run of the host has reported so far.
    pub fn records(&self) -> Vec<Record> {
        let mut records = self.history.since(self.from);
        records.retain(|record| record.pid == self.pid());
        records
    }

    /// Waits for the first event of that name in this run, which may be there already.
    pub async fn event(&mut self, name: &str) -> Result<Record> {
        self.event_where(name, |_| true).await
    }

    /// Waits for the first event of that name in this run that also fits.
    pub async fn event_where(
        &mut self,
        name: &str,
        fits: impl FnMut(&Event) -> bool,
    ) -> Result<Record> {
        self.event_after(self.from, name, fits).await
    }

    /// Waits for the first event of that name that fits, from position `from` of the history on.
    ///
    /// # Errors
    /// When none has come in [`PATIENCE`], or the host has ended without one.
    pub async fn event_after(
        &mut self,
        from: usize,
        name: &str,
        mut fits: impl FnMut(&Event) -> bool,
    ) -> Result<Record> {
        let (pid, history) = (self.pid(), self.history.clone());
        let what = format!("`{name}` from host {}", self.id);
        let mut fits = |record: &Record| {
            record.pid == pid && record.is(name) && record.event().is_some_and(&mut fits)
        };
        tokio::select! {
            // What came before the end counts.
            biased;
            found = history.wait_for(from, &what, PATIENCE, &mut fits) => return found,
            ended = self.ended() => {
                ended?;
            }
        }
        let found = history.since(from).into_iter().find(fits);
        found.with_context(|| {
            format!(
                "host {} has ended without {what}; stderr:\n{}",
                self.id,
                self.errors()
            )
        })
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Waits for the process to end by itself, and until all that it wrote has been read.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        self.ended_within(PATIENCE).await
    }

    /// Like [`Host::ended`], with a limit of its own.
    pub async fn ended_within(&mut self, patience: Duration) -> Result<ExitStatus> {
        let status = self
            .process
            .ended(patience)
            .await
            .with_context(|| format!("stderr:\n{}", self.errors()))?;
        self.read_to_the_end();
        Ok(status)
    }

    /// Asks the host to stop, as an operator or a service manager would, and waits until it has.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.ended().await
    }

    /// Kills the host at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.note(What::Killed);
        self.read_to_the_end();
        Ok(())
    }

    /// The process that the guardian guards, once it is there.
    pub async fn guarded_pid(&self) -> Result<Pid> {
        let found = eventually("a guarded process", PATIENCE, async || {
            let child = child_of(self.pid());
            (child.is_some() || is_zombie(self.pid())).then_some(child)
        });
        found.await?.context("the guardian has ended")
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.status()?.is_some())
    }

    /// Sends a signal to the process that the guardian guards.
    pub async fn signal_guarded(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.guarded_pid().await?, signal)?)
    }

    /// Stops the host where it stands, and returns when it has stopped.
    pub async fn pause(&mut self) -> Result<()> {
        self.process.pause(PATIENCE).await?;
        self.note(What::Paused);
        Ok(())
    }

    /// Lets a paused host go on.
    pub fn resume(&mut self) -> Result<()> {
        self.note(What::Resumed);
        self.process.resume()
    }

    fn note(&self, what: What) {
        let at = SystemTime::now();
        self.history.add(Record {
            at,
            received: at,
            host: self.id.clone(),
            pid: self.pid(),
            what,
        });
    }

    fn read_to_the_end(&mut self) {
        for reader in self.readers.drain(..) {
            // A reader that panicked has left its trace in the test's output.
            let _ = reader.join();
        }
    }
}
