//! The process that compiles a plugin: this very program, told what to do by its arguments and its standard input alone.
//!
//! A compiler that panics, crashes, or takes too much of the machine over a stranger's file ends itself and nothing else.
//! It is given the file's content, and nothing of the host: no environment, no grants, no secrets.

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::load::compile::{MAX_THREADS, Made, compile};
use crate::load::problem::{PluginProblem, Told};
use crate::load::{MAX_CODE_BYTES, MAX_FILE_BYTES};
use soloist_core::limits::Limits;

/// The first argument of a process that compiles.
pub const COMPILE_WORD: &str = "compile-plugin";

/// How much a compiler may say of what it made, or of what is wrong, in bytes.
const MAX_REPLY_BYTES: u64 = 64 << 10;

/// How much is listened to of what a compiler says when it crashes, in bytes.
const MAX_LAST_WORDS_BYTES: u64 = 4 << 10;

/// How many descriptors it may have.
const MAX_DESCRIPTORS: u64 = 64;

/// How long a compiler that says nothing more may take to end.
const ENDING: Duration = Duration::from_secs(1);

/// A compilation that takes longer than this is worth a line.
const LONG: Duration = Duration::from_secs(1);

/// Where plugins are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a process of its own for each: this program, which runs [`compile_as_told`] when its first argument is
    /// [`COMPILE_WORD`].
    Process(PathBuf),
    /// On threads of this process, which no limit holds back: for a fuzzer, which sees into no other process.
    Here,
}

impl Compiler {
    /// The program that runs, whatever lies at its path by now.
    pub fn this_program() -> Self {
        Self::Process("/proc/self/exe".into())
    }

    /// Compiles a file's content into a directory.
    pub(crate) fn compile(
        &self,
        path: &Path,
        bytes: &[u8],
        into: &Path,
        limits: &Limits,
    ) -> Result<Made, PluginProblem> {
        match self {
            Self::Process(program) => Compilation {
                program,
                path,
                bytes,
                into,
                limits,
            }
            .run(),
            Self::Here => compile(bytes.to_vec(), into, limits),
        }
    }
}

/// What a compiler is told besides the file and the directory.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// The process that waits for it.
    parent: i32,
    /// How much of the address space it may have, in bytes.
    memory: u64,
    /// How much of a processor's time, in seconds.
    processor: u64,
    instances: u32,
    memories: u32,
    tables: u32,
}

impl Order {
    fn within(limits: &Limits) -> Self {
        let Limits {
            compile_memory,
            compile_timeout,
            instances,
            memories,
            tables,
            ..
        } = *limits;
        let processor = (compile_timeout.as_secs() + 1).saturating_mul(MAX_THREADS as u64);
        let parent = rustix::process::getpid().as_raw_nonzero().get();
        Self {
            parent,
            memory: compile_memory,
            processor,
            instances,
            memories,
            tables,
        }
    }

    fn limits(&self) -> Limits {
        let Self {
            instances,
            memories,
            tables,
            ..
        } = *self;
        Limits {
            instances,
            memories,
            tables,
            ..Limits::default()
        }
    }
}

/// One process at work.
#[derive(Clone, Copy)]
struct Compilation<'a> {
    program: &'a Path,
    path: &'a Path,
    bytes: &'a [u8],
    into: &'a Path,
    limits: &'a Limits,
}

impl Compilation<'_> {
    fn run(self) -> Result<Made, PluginProblem> {
        let begun = Instant::now();
        let limit = self.limits.compile_timeout;
        let child = Running(self.start().map_err(PluginProblem::Compiler)?);
        let (sender, receiver) = channel();
        // Of one that has ended there is nothing more to write to and to read from: so these threads end with it. It ends
        // with the closure, before the scope waits for them.
        thread::scope(move |scope| {
            let mut child = child;
            let (input, output, errors) = (
                child.0.stdin.take(),
                child.0.stdout.take(),
                child.0.stderr.take(),
            );
            // One that hears nothing more has ended, and its end says why.
            begin(scope, move || {
                input.map(|mut input| input.write_all(self.bytes))
            })?;
            let words = begin(scope, move || listen(errors, MAX_LAST_WORDS_BYTES))?;
            begin(scope, move || sender.send(listen(output, MAX_REPLY_BYTES)))?;
            let (line, bytes) = (
                self.path.file_name().unwrap_or_default().display(),
                shown(self.bytes.len()),
            );
            let mut reply = receiver.recv_timeout(LONG.min(limit));
            if reply.is_err() && limit > LONG {
                tracing::info!("compiling {line} ({bytes})");
                reply = receiver.recv_timeout(limit.saturating_sub(begun.elapsed()));
                if reply.is_ok() {
                    tracing::info!("compiled {line} in {:.1} s", begun.elapsed().as_secs_f64());
                }
            }
            let reply = reply.map_err(|_| PluginProblem::TooSlow { limit })?;
            if let Ok(reply) = serde_json::from_slice::<Result<Made, PluginProblem>>(&reply) {
                return reply;
            }
            let ended = child.ended(ENDING).map_err(PluginProblem::Compiler)?;
            child.end().map_err(PluginProblem::Compiler)?;
            let words = words.join().unwrap_or_default();
            match ended {
                Some(status) if (reply.len() as u64) < MAX_REPLY_BYTES => {
                    Err(self.crashed(status, &words))
                }
                _ => Err(PluginProblem::Senseless { said: said(&words) }),
            }
        })
    }

    fn start(&self) -> io::Result<Child> {
        let order = serde_json::to_string(&Order::within(self.limits))?;
        Command::new(self.program)
            .args([COMPILE_WORD, &order])
            .arg(self.into)
            .arg0("soloist")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // What a terminal sends to the host is not for it: the host ends it.
            .process_group(0)
            .spawn()
    }

    fn crashed(&self, status: ExitStatus, words: &[u8]) -> PluginProblem {
        let Limits {
            compile_timeout: limit,
            compile_memory: memory,
            ..
        } = *self.limits;
        match status.signal().and_then(Signal::from_named_raw) {
            Some(Signal::XCPU) => PluginProblem::TooSlow { limit },
            Some(Signal::XFSZ) => PluginProblem::CodeTooLarge,
            _ => PluginProblem::Crashed {
                status: status.to_string(),
                said: said(words),
                memory,
            },
        }
    }
}

/// A process that does not outlive the value.
struct Running(Child);

impl Running {
    /// How it has ended by itself, if it does so in that time.
    fn ended(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            match self.0.try_wait()? {
                None if begun.elapsed() < within => thread::sleep(Duration::from_millis(1)),
                ended => return Ok(ended),
            }
        }
    }

    /// Ends it, unless it has ended by itself.
    fn end(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is heard of where it matters.
        let _ = self.end();
    }
}

/// Begins to do something beside.
fn begin<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, PluginProblem> {
    thread::Builder::new()
        .spawn_scoped(scope, work)
        .map_err(|error| PluginProblem::Threads(Told::of(&error)))
}

/// The first of some words.
fn said(words: &[u8]) -> String {
    let words = String::from_utf8_lossy(words);
    words
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("nothing")
        .to_owned()
}

/// Hears what is said, up to a length, until there is no more or nobody to say it.
fn listen(from: Option<impl Read>, bytes: u64) -> Vec<u8> {
    let mut heard = Vec::new();
    // What was heard until then is what there is.
    let _ = from.map(|from| from.take(bytes).read_to_end(&mut heard));
    heard
}

/// A size as people say it.
fn shown(bytes: usize) -> String {
    match bytes {
        ..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Compiles what comes from standard input, as the arguments after [`COMPILE_WORD`] say: the whole work of a process.
///
/// It first takes from itself what it does not need. It says on standard output what came of it.
pub fn compile_as_told(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    let [order, directory] = &*arguments else {
        return ExitCode::from(2);
    };
    let Some(order) = order
        .to_str()
        .and_then(|order| serde_json::from_str::<Order>(order).ok())
    else {
        return ExitCode::from(2);
    };
    let work = || -> io::Result<Result<Made, PluginProblem>> {
        let _deaf = confine(&order)?;
        let mut bytes = Vec::new();
        io::stdin()
            .lock()
            .take(MAX_FILE_BYTES)
            .read_to_end(&mut bytes)?;
        Ok(compile(bytes, Path::new(directory), &order.limits()))
    };
    // A panic is an answer.
    std::panic::set_hook(Box::new(|_| ()));
    let answer = work().unwrap_or_else(|error| Err(PluginProblem::Confine(Told::of(&error))));
    let said = serde_json::to_vec(&answer)
        .map_err(io::Error::from)
        .and_then(|answer| io::stdout().write_all(&answer));
    if said.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Takes from this process what could harm others. Signals that ask to stop are for the host, which ends it: they are not
/// heard for as long as the returned value lives.
fn confine(order: &Order) -> io::Result<impl Sized> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != order.parent) {
        return Err(io::Error::other("the host has ended"));
    }
    // When the machine runs out of memory, this process goes first.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    for (resource, most) in [
        (Resource::As, order.memory),
        (Resource::Cpu, order.processor),
        (Resource::Core, 0),
        (Resource::Fsize, MAX_CODE_BYTES as u64),
        (Resource::Nofile, MAX_DESCRIPTORS),
    ] {
        // Only one who may use more of the processor than the first of the two is told that it has used that.
        let beyond = if resource == Resource::Cpu {
            most.saturating_add(1)
        } else {
            most
        };
        let maximum = getrlimit(resource)
            .maximum
            .map_or(beyond, |allowed| allowed.min(beyond));
        setrlimit(
            resource,
            Rlimit {
                current: Some(most.min(maximum)),
                maximum: Some(maximum),
            },
        )?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let signals = {
        let _within = runtime.enter();
        [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
        ]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<_>>>()?
    };
    Ok((runtime, signals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_people_say_them() {
        assert_eq!(
            [1, 999_999, 1_000_000, 22_900_000].map(shown),
            ["1 kB", "1000 kB", "1 MB", "22 MB"]
        );
    }

    #[test]
    fn a_process_that_is_told_nothing_sensible_does_nothing() {
        for arguments in [&[][..], &["{}"], &["{}", "/"], &["no order", "/"]] {
            let code = compile_as_told(arguments.iter().map(OsString::from));
            assert_eq!(
                format!("{code:?}"),
                format!("{:?}", ExitCode::from(2)),
                "{arguments:?}"
            );
        }
    }
}
