//! A running `soloist`, with its events.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::{self, Clock};
use crate::history::{Event, History, Record, What};
use crate::netns::Node;
use crate::process::{self, Process};
use crate::reference::Schema;
use crate::{PATIENCE, build, eventually};

/// What to run.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is set by a method of its own"
)]
pub struct Command {
    id: String,
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    bound: bool,
    node: Option<Node>,
    /// The process may be shown a wrong time.
    clocked: bool,
    /// What it reports is what REFERENCE.md says.
    documented: bool,
    /// It has a guardian.
    guarded: bool,
}

impl Command {
    /// `soloist run TARGET --host-id ID --log-format json`, where `target` is a plugin or a configuration.
    pub fn run(id: &str, target: impl Into<OsString>) -> Result<Self> {
        let command = Self::new(id, &build::artifacts()?.soloist)
            .arg("run")
            .arg(target);
        Ok(Self {
            documented: true,
            ..command
        }
        .flag("--host-id", id)
        .flag("--log-format", "json"))
    }

    /// Another program that reports what it does as a host would.
    pub fn new(id: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            id: id.to_owned(),
            program: program.into(),
            args: Vec::new(),
            envs: Vec::new(),
            bound: true,
            node: None,
            clocked: false,
            documented: false,
            guarded: false,
        }
    }

    /// Gives the host a guardian, as it has by itself. Without one its process stands for a machine: when it is killed, nobody
    /// is left who could say so.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds a flag with its value.
    #[must_use]
    pub fn flag(self, name: &str, value: impl Into<OsString>) -> Self {
        self.arg(name).arg(value)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// Has it report as text: its lines cannot be read as events then.
    #[must_use]
    pub fn text(mut self) -> Self {
        self.args
            .iter_mut()
            .filter(|arg| *arg == "json")
            .for_each(|arg| *arg = "text".into());
        self
    }

    /// Has it report to the journal that listens there: nothing comes to the history then.
    #[must_use]
    pub fn journal(mut self, path: &std::path::Path) -> Self {
        let format = OsString::from(format!("journal:{}", path.display()));
        self.args
            .iter_mut()
            .filter(|arg| *arg == "json")
            .for_each(|arg| arg.clone_from(&format));
        self
    }

    /// Has it ignore SIGHUP from its start, as `nohup` does.
    #[must_use]
    pub fn nohup(mut self) -> Self {
        let program = std::mem::replace(&mut self.program, "sh".into());
        let ignore = [r#"trap "" HUP; exec "$@""#, "sh"].map(OsString::from);
        let before = ["-c".into()].into_iter().chain(ignore);
        self.args
            .splice(0..0, before.chain([program.into_os_string()]));
        self
    }

    /// Makes it the first process of a container, which has inherited a process that is about to end. Its guardian is the child of
    /// [`Host::pid`] then.
    #[must_use]
    pub fn first_process(mut self) -> Self {
        let program = std::mem::replace(&mut self.program, "unshare".into());
        let before = [
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            r#"(sleep 1 &); exec "$@""#,
            "sh",
        ];
        let before = before.map(OsString::from).into_iter();
        self.args
            .splice(0..0, before.chain([program.into_os_string()]));
        self.guarded = true;
        self
    }

    /// Runs it on a node of a network of its own.
    #[must_use]
    pub fn on(mut self, node: &Node) -> Self {
        self.node = Some(node.clone());
        self
    }

    /// Gives it a wall clock of its own; the stamps of its events are set right again.
    #[must_use]
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clocked = true;
        self.envs.extend(
            clock
                .environment()
                .map(|(name, value)| (name.into(), value)),
        );
        self
    }

    /// Starts the process directly rather than through what binds it to its owner: for measuring how long a start takes.
    #[must_use]
    pub fn unbound(mut self) -> Self {
        self.bound = false;
        self
    }

    /// Starts the host; what it reports goes to `history`.
    pub fn start(&self, history: &History) -> Result<Host> {
        let program = &self.program;
        let mut command = if self.bound {
            process::command_on(self.node.as_ref(), program)
        } else {
            std::process::Command::new(program)
        };
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        clear_settings(&mut command);
        if self.documented && !self.guarded {
            command.env("SOLOIST_NO_GUARDIAN", "true");
        }
        command.envs(self.envs.iter().map(|(name, value)| (name, value)));
        let from = history.len();
        let started = SystemTime::now();
        let schema = if self.documented {
            Some(Schema::get()?)
        } else {
            None
        };
        let mut process = Process::spawn(&format!("host {}", self.id), command)?;
        let (stdout, stderr) = process.pipes();
        let stdout = stdout.context("the host's stdout was not captured")?;
        let stderr = stderr.context("the host's stderr was not captured")?;
        let errors = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            std::thread::spawn({
                let (history, host, pid) = (history.clone(), self.id.clone(), process.pid());
                let clocked = self.clocked;
                move || read_events(stdout, &history, &host, pid, clocked, schema)
            }),
            std::thread::spawn({
                let errors = Arc::clone(&errors);
                move || read_text(stderr, &errors)
            }),
        ];
        Ok(Host {
            id: self.id.clone(),
            process,
            history: history.clone(),
            from,
            started,
            errors,
            readers,
            guarded: self.guarded,
        })
    }
}

/// Takes settings for `soloist` that happen to be in the environment away from `command`.
pub fn clear_settings(command: &mut std::process::Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SOLOIST_") {
            command.env_remove(name);
        }
    }
}

fn read_events(
    stdout: impl Read,
    history: &History,
    host: &str,
    pid: u32,
    clocked: bool,
    schema: Option<&Schema>,
) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { return };
        let received = SystemTime::now();
        let (at, what) = match Event::parse(&line) {
            Ok((at, event)) => {
                let at = if clocked {
                    clock::set_right(at, received)
                } else {
                    at
                };
                match schema.map_or(Ok(()), |schema| schema.check(&event.line)) {
                    Ok(()) => (at, What::Event(event)),
                    Err(error) => (
                        at,
                        What::Unreadable(format!("not as REFERENCE.md says, {error:#}: {line}")),
                    ),
                }
            }
            Err(_) => (received, What::Unreadable(line)),
        };
        history.add(Record {
            at,
            received,
            host: host.to_owned(),
            pid,
            what,
        });
    }
}

fn read_text(stderr: impl Read, text: &Mutex<String>) {
    for line in BufReader::new(stderr).lines() {
        let Ok(line) = line else { return };
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&line);
        text.push('\n');
    }
}

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
