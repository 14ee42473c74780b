//! The host's side of a compilation: it starts the process, waits for its answer, and ends it.

use std::io::{self, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::COMPILE_WORD;
use super::order::Order;
use crate::load::compile::Made;
use crate::load::problem::{PluginProblem, Told};
use soloist_core::limits::Limits;

/// The longest answer of a compiler that the host reads, in bytes.
const MAX_REPLY_BYTES: u64 = 64 << 10;

/// How much of a compiler's standard error the host reads, in bytes.
const MAX_LAST_WORDS_BYTES: u64 = 4 << 10;

/// How long a compiler may take to end after its last answer.
const ENDING: Duration = Duration::from_secs(1);

/// The host reports a compilation that takes longer than this.
const LONG: Duration = Duration::from_secs(1);

/// One compilation in a process of its own.
#[derive(Clone, Copy)]
pub(super) struct Compilation<'a> {
    pub(super) program: &'a Path,
    pub(super) path: &'a Path,
    pub(super) bytes: &'a [u8],
    pub(super) into: &'a Path,
    pub(super) limits: &'a Limits,
}

impl Compilation<'_> {
    pub(super) fn run(self) -> Result<Made, PluginProblem> {
        let begun = Instant::now();
        let limit = self.limits.compile_timeout;
        let child = Running(self.start().map_err(PluginProblem::Compiler)?);
        let (sender, receiver) = channel();
        // The threads below end with the process, because its pipes close then. The closure owns the process, so the process
        // ends before the scope waits for the threads.
        thread::scope(move |scope| {
            let mut child = child;
            let (input, output, errors) = (
                child.0.stdin.take(),
                child.0.stdout.take(),
                child.0.stderr.take(),
            );
            // A write fails if the process has ended. The exit status says why.
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
            // A signal of the terminal must not reach the compiler: the host ends it.
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

/// A process that ends when this value is dropped.
struct Running(Child);

impl Running {
    /// Waits for the process to end by itself. None if it has not ended in this time.
    fn ended(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            match self.0.try_wait()? {
                None if begun.elapsed() < within => thread::sleep(Duration::from_millis(1)),
                ended => return Ok(ended),
            }
        }
    }

    /// Ends the process, if it still runs.
    fn end(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The caller of `end` handles the error where it matters.
        let _ = self.end();
    }
}

/// Starts a thread of the scope.
fn begin<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, PluginProblem> {
    thread::Builder::new()
        .spawn_scoped(scope, work)
        .map_err(|error| PluginProblem::Threads(Told::of(&error)))
}

/// The first line of a compiler's standard error that is not empty.
fn said(words: &[u8]) -> String {
    let words = String::from_utf8_lossy(words);
    words
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("nothing")
        .to_owned()
}

/// Reads up to a number of bytes, until the end or an error.
fn listen(from: Option<impl Read>, bytes: u64) -> Vec<u8> {
    let mut heard = Vec::new();
    // After an error the bytes that were read still count.
    let _ = from.map(|from| from.take(bytes).read_to_end(&mut heard));
    heard
}

/// A size in kB or MB, for people to read.
fn shown(bytes: usize) -> String {
    match bytes {
        ..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{} MB", bytes / 1_000_000),
    }
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
}
