//! What to run as a host, and how.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::Host;
use super::reports::{read_events, read_text};
use crate::build;
use crate::clock::Clock;
use crate::history::History;
use crate::netns::Node;
use crate::process::{self, Process};
use crate::reference::Schema;

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
