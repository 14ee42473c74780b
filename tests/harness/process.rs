//! A process that cannot outlive its owner.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::eventually;
use crate::netns::Node;

/// A child process: killed and reaped when this is dropped, and killed by the system should the owner itself die.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    name: String,
    status: Option<ExitStatus>,
}

/// Begins a command for `program` whose process the system kills when this one dies.
///
/// That is `setpriv` from util-linux, where it is there; elsewhere only [`Drop`] ends the process.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    command_on(None, program)
}

/// Like [`command`], on a node of a network of its own, if any.
pub fn command_on(node: Option<&Node>, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut on_node = node
        .map(Node::enter)
        .into_iter()
        .flatten()
        .map(OsString::from)
        .collect::<Vec<_>>();
    on_node.push(program.as_ref().to_owned());
    if !ends_with_its_owner() {
        let mut command = Command::new(&on_node[0]);
        command.args(&on_node[1..]);
        return command;
    }
    let mut command = Command::new("setpriv");
    // An owner that died before the system was told so is found out by its id: then nothing is started.
    let start = r#"test "$PPID" = "$0" && exec "$@""#;
    command
        .args(["--pdeathsig", "KILL", "--", "sh", "-c", start])
        .arg(std::process::id().to_string())
        .args(on_node);
    command
}

/// Whether this machine can end processes whose owner was killed outright.
pub fn ends_with_its_owner() -> bool {
    static BOUND: OnceLock<bool> = OnceLock::new();
    *BOUND.get_or_init(|| {
        let probe = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "true"])
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|status| status.success())
    })
}

impl Process {
    /// Starts `command` in a process group of its own, so that a Ctrl-C at the terminal reaches the owner alone.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        command.process_group(0);
        let child = spawn_for_good(command).with_context(|| format!("cannot start {name}"))?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            child,
            pid,
            name: name.to_owned(),
            status: None,
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The ends of the pipes that the command asked for.
    pub fn pipes(
        &mut self,
    ) -> (
        Option<std::process::ChildStdout>,
        Option<std::process::ChildStderr>,
    ) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// The end of the pipe to its stdin, if the command asked for one.
    pub fn input(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Sends a signal. A process that has ended gets none: its id may already be somebody else's.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        anyhow::ensure!(self.status()?.is_none(), "{} has already ended", self.name);
        // Not reaped yet, so the id is still its own.
        kill_process(self.pid, signal)
            .with_context(|| format!("cannot send {signal:?} to {}", self.name))
    }

    /// How the process ended, if it has.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self
                .child
                .try_wait()
                .with_context(|| format!("cannot wait for {}", self.name))?;
        }
        Ok(self.status)
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self, patience: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        eventually(&what, patience, async || self.status().transpose()).await?
    }

    /// Stops the process where it stands, as SIGSTOP does, and returns when it has stopped.
    pub async fn pause(&mut self, patience: Duration) -> Result<()> {
        self.signal(Signal::STOP)?;
        let path = format!("/proc/{}/stat", self.pid());
        eventually(&format!("{} to stop", self.name), patience, async || {
            let stat = std::fs::read_to_string(&path).ok()?;
            // The state follows the name, which stands in parentheses and may hold any character.
            stat.rsplit_once(") ")?.1.starts_with('T').then_some(())
        })
        .await
    }

    /// Lets a stopped process go on.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills the process at once and waits for its end.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if self.status()?.is_none() {
            self.child
                .kill()
                .with_context(|| format!("cannot kill {}", self.name))?;
            self.status = Some(self.child.wait()?);
        }
        self.status.context("the process has been reaped")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done here about a process that cannot be killed.
        let _ = self.kill();
    }
}

/// Starts the command from a thread that never ends: the system's death signal is sent when the *thread* that started
/// a process ends, and a test's thread ends before what it has lent to others.
fn spawn_for_good(command: Command) -> io::Result<Child> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, reply) in queue {
                // Whoever asked is waiting for the answer.
                let _ = reply.send(command.spawn());
            }
        });
        jobs
    });
    let (reply, answer) = mpsc::channel();
    spawner.send((command, reply)).map_err(io::Error::other)?;
    answer.recv().map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PATIENCE;

    fn sleeper() -> Process {
        let mut command = command("sleep");
        command.arg("600");
        Process::spawn("a sleeper", command).unwrap()
    }

    fn exists(pid: u32) -> bool {
        std::path::Path::new(&format!("/proc/{pid}")).exists()
    }

    #[tokio::test]
    async fn a_process_ends_when_its_owner_panics() {
        let (tell, told) = mpsc::channel();
        let owner = std::thread::spawn(move || {
            let process = sleeper();
            tell.send(process.pid()).unwrap();
            panic!("on purpose");
        });
        let pid = told.recv().unwrap();
        assert!(owner.join().is_err());
        assert!(!exists(pid));
    }

    #[tokio::test]
    async fn a_process_lives_on_when_the_thread_that_asked_for_it_ends() {
        let mut process = std::thread::spawn(sleeper).join().unwrap();
        assert!(process.status().unwrap().is_none());
        process.pause(PATIENCE).await.unwrap();
        process.resume().unwrap();
        process.signal(Signal::TERM).unwrap();
        assert!(!process.ended(PATIENCE).await.unwrap().success());
        assert!(process.signal(Signal::TERM).is_err());
    }
}
