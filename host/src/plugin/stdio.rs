//! A plugin's stdout and stderr, as lines of its log.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::log::{MAX_MESSAGE_BYTES, PluginLog};
use crate::events::details;

/// How much a guest may write in one call, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// How many of the last lines are kept for the report of a failure.
const LAST_LINES: usize = 20;

/// One of the two output streams of a plugin. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Stdio {
    name: &'static str,
    level: Level,
    log: PluginLog,
    lines: Arc<Mutex<Lines>>,
}

impl Stdio {
    /// The stream that goes into the log under `name`, at `level`.
    pub(super) fn new(name: &'static str, level: Level, log: PluginLog) -> Self {
        let lines = Arc::new(Mutex::new(Lines::new(log.seen_bytes())));
        Self { name, level, log, lines }
    }

    /// Reports a last line that was not ended.
    pub(super) fn finish(&self) {
        let rest = self.lines().finish();
        if let Some(line) = rest {
            self.report(line);
        }
    }

    /// The last lines that were written.
    pub(super) fn tail(&self) -> String {
        let tail: Vec<_> = self.lines().tail.iter().map(|line| self.log.clean_line(&line.text, line.missing)).collect();
        let tail = tail.join("\n");
        self.log.clean(&tail, MAX_MESSAGE_BYTES)
    }

    fn write(&self, bytes: &[u8]) {
        let complete = self.lines().push(bytes);
        for line in complete {
            self.report(line);
        }
    }

    fn report(&self, Line { text, missing }: Line) {
        let made = || (self.log.clean_line(&text, missing), details([("stream", self.name.into())]));
        self.log.write(self.level, made);
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        // Whatever was split when somebody panicked, the bytes are there.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The beginning of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: String,
    /// How many bytes are left out because it is too long.
    missing: usize,
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
struct Lines {
    max_bytes: usize,
    partial: Vec<u8>,
    /// Bytes of the partial line that were left out because it is too long.
    omitted: usize,
    tail: Vec<Line>,
}

impl Lines {
    /// Cuts off what a line has beyond `max_bytes`.
    fn new(max_bytes: usize) -> Self {
        Self { max_bytes, partial: Vec::new(), omitted: 0, tail: Vec::new() }
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut complete = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(&rest[..end]);
            complete.push(self.take());
            rest = &rest[end + 1..];
        }
        self.extend(rest);
        complete
    }

    fn finish(&mut self) -> Option<Line> {
        (!self.partial.is_empty()).then(|| self.take())
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = self.max_bytes.saturating_sub(self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..room]);
        self.omitted += bytes.len() - room;
    }

    fn take(&mut self) -> Line {
        let bytes = std::mem::take(&mut self.partial);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let text = String::from_utf8_lossy(bytes).into_owned();
        let line = Line { text, missing: std::mem::take(&mut self.omitted) };
        if self.tail.len() == LAST_LINES {
            self.tail.remove(0);
        }
        self.tail.push(line.clone());
        line
    }
}

impl IsTerminal for Stdio {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdio {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// WASI 0.2 writes here. Nothing ever waits: a line is reported before the write returns.
#[async_trait::async_trait]
impl Pollable for Stdio {
    async fn ready(&mut self) {}
}

impl OutputStream for Stdio {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        Self::write(self, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

/// WASI 0.3 writes here.
impl AsyncWrite for Stdio {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Self::write(&self, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_LINE_BYTES: usize = 8192;

    #[test]
    fn lines_come_out_whole_however_they_are_written() {
        let line = |text: &str| Line { text: text.to_owned(), missing: 0 };
        let mut lines = Lines::new(MAX_LINE_BYTES);
        assert_eq!(lines.push(b"one\ntw"), [line("one")]);
        assert_eq!(lines.push(b"o\r\n\nthree \xff"), [line("two"), line("")]);
        assert_eq!(lines.finish(), Some(line("three \u{fffd}")));
        assert_eq!(lines.finish(), None);
        assert_eq!(lines.tail, ["one", "two", "", "three \u{fffd}"].map(line));
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_than_the_longest_one() {
        let mut lines = Lines::new(MAX_LINE_BYTES);
        for _ in 0..100 {
            assert!(lines.push(&[b'x'; MAX_LINE_BYTES]).is_empty());
        }
        assert_eq!(lines.partial.len(), MAX_LINE_BYTES);
        let line = lines.push(b"\nnext\n");
        assert_eq!((line[0].text.len(), line[0].missing), (MAX_LINE_BYTES, 99 * MAX_LINE_BYTES));
        assert_eq!(line[1].text, "next");
    }
}
