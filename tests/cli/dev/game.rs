//! A running `soloist dev`, with the orders that it is given and what it tells.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;
use soloist_tests::history::{Event, History, Record, What};
use soloist_tests::process::{self, Process};
use soloist_tests::{PATIENCE, build, host};

/// It is killed when this is dropped.
pub(super) struct Game {
    process: Process,
    orders: Option<ChildStdin>,
    /// What the hosts did; lines that are no JSON are unreadable.
    pub(super) history: History,
    errors: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// How long a line may take to come.
    pub(super) patience: Duration,
}

impl Game {
    pub(super) fn start(args: &[&str]) -> Result<Self> {
        let mut command = process::command(&build::artifacts()?.soloist);
        host::clear_settings(&mut command);
        command
            .arg("dev")
            .args(args)
            .env("XDG_CACHE_HOME", build::target()?.join("cache"))
            .env("CARGO_TARGET_DIR", build::target()?.join("projects"))
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::spawn("soloist dev", command)?;
        let orders = process.input();
        let (stdout, stderr) = process.pipes();
        let (stdout, stderr) = (stdout.context("no stdout")?, stderr.context("no stderr")?);
        let (history, errors) = (History::default(), Arc::<Mutex<String>>::default());
        let readers = vec![
            std::thread::spawn({
                let (history, pid) = (history.clone(), process.pid());
                move || read(stdout, &history, pid)
            }),
            std::thread::spawn({
                let errors = Arc::clone(&errors);
                move || read_errors(stderr, &errors)
            }),
        ];
        Ok(Self {
            process,
            orders,
            history,
            errors,
            readers,
            patience: PATIENCE,
        })
    }

    /// Gives an order, on a line of its own.
    pub(super) fn order(&mut self, order: &str) -> Result<()> {
        writeln!(self.orders.as_mut().context("no more orders")?, "{order}").context("it has ended")
    }

    pub(super) fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Waits until it has ended, and all that it told is here.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus> {
        let status = self
            .process
            .ended(PATIENCE)
            .await
            .with_context(|| self.errors())?;
        for reader in self.readers.drain(..) {
            reader
                .join()
                .map_err(|_| anyhow::anyhow!("a reader has panicked"))?;
        }
        Ok(status)
    }

    /// Waits for a line of JSON that is told from now on, or was before.
    pub(super) async fn wait_for(
        &self,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.wait_after(0, what, fits).await.map(|(_, line)| line)
    }

    /// The same, of those from that position on; also the position after it.
    pub(super) async fn wait_after(
        &self,
        from: usize,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<(usize, Value)> {
        let is_it =
            |record: &Record| matches!(&record.what, What::Event(event) if fits(&event.line));
        let found = self
            .history
            .wait_for(from, what, self.patience, is_it)
            .await;
        let record = found.with_context(|| self.errors())?;
        let line = record.event().context("no event")?.line.clone();
        let position = self.history.since(from).iter().position(is_it);
        Ok((from + position.context("it was there")? + 1, line))
    }

    /// Waits until a line for a person has that in it.
    pub(super) async fn reads(&self, text: &str) -> Result<()> {
        let is_it =
            |record: &Record| matches!(&record.what, What::Unreadable(line) if line.contains(text));
        let found = self.history.wait_for(0, text, self.patience, is_it).await;
        found.map(drop).with_context(|| self.errors())
    }

    /// All lines of JSON with this event.
    pub(super) fn told(&self, event: &str) -> Vec<Value> {
        let records = self.history.since(0);
        let lines = records
            .iter()
            .filter_map(|record| Some(record.event()?.line.clone()));
        lines.filter(|line| line["event"] == event).collect()
    }

    /// What it told a person.
    pub(super) fn text(&self) -> String {
        let records = self.history.since(0);
        let lines = records.iter().filter_map(|record| match &record.what {
            What::Unreadable(line) => Some(line.as_str()),
            _ => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(super) fn errors(&self) -> String {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn read(stdout: impl Read, history: &History, pid: u32) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let received = SystemTime::now();
        let (at, host, what) = match Event::parse(&line) {
            Ok((at, event)) => {
                let host = event.text("host").unwrap_or_default().to_owned();
                let is_death = event.name == "killed";
                if is_death {
                    let what = What::Killed;
                    history.add(Record {
                        at,
                        received,
                        host: host.clone(),
                        pid,
                        what,
                    });
                }
                (at, host, What::Event(event))
            }
            Err(_) => (received, String::new(), What::Unreadable(line)),
        };
        history.add(Record {
            at,
            received,
            host,
            pid,
            what,
        });
    }
}

fn read_errors(stderr: impl Read, text: &Mutex<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&line);
        text.push('\n');
    }
}
