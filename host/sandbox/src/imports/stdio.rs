//! A plugin's stdout and stderr, as lines of its log.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::bounded::MAX_MESSAGE_BYTES;
use crate::log::PluginLog;
use soloist_core::clock::{self, Moment};
use soloist_core::event::Origin;
use soloist_core::permit::LeaseLost;

/// How many bytes of a guest's output the host takes at a time. After each piece the host can end the guest.
const PIECE_BYTES: usize = 64 * 1024;

/// How many of the last lines the host keeps for the report of a failure.
const LAST_LINES: usize = 20;

/// One of the two output streams of a plugin. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Stdio {
    name: &'static str,
    level: Level,
    log: PluginLog,
    lines: Arc<Mutex<Lines>>,
}

impl Stdio {
    /// A stream whose lines the log has under `name`, at `level`.
    pub(crate) fn new(name: &'static str, level: Level, log: PluginLog) -> Self {
        let lines = Arc::new(Mutex::new(Lines::new(log.seen_bytes())));
        Self {
            name,
            level,
            log,
            lines,
        }
    }

    /// Reports the last line, if the plugin did not end it.
    pub(crate) fn finish(&self) {
        let mut lines = self.lines();
        if let Some(line) = lines.finish() {
            lines.keep(&line);
            self.report(clock::now(), line);
        }
    }

    /// The last lines that the plugin wrote.
    pub(crate) fn tail(&self) -> String {
        let tail: Vec<_> = self
            .lines()
            .tail
            .iter()
            .map(|line| self.log.clean_line(&line.text, line.missing))
            .collect();
        let tail = tail.join("\n");
        self.log.clean(&tail, MAX_MESSAGE_BYTES)
    }

    /// Takes a piece of the plugin's output, and gives the number of bytes that it took. Reports each line that is complete,
    /// if the permit has not ended.
    fn take(&self, bytes: &[u8]) -> Result<usize, LeaseLost> {
        self.log.check()?;
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        let (now, mut lines, mut rest) = (clock::now(), self.lines(), piece);
        while let Some(line) = lines.next(&mut rest) {
            lines.keep(&line);
            self.report(now, line);
        }
        Ok(piece.len())
    }

    fn report(&self, now: Moment, Line { text, missing }: Line) {
        let made = || {
            (
                self.log.clean_line(&text, missing),
                Origin::Stdio { stream: self.name },
            )
        };
        self.log.write_at(now, self.level, made);
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        // A thread that panicked while it held the lock lost no bytes.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line of bounded length.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: String,
    /// How many bytes beyond the bound were left out.
    missing: usize,
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
struct Lines {
    max_bytes: usize,
    partial: Vec<u8>,
    /// How many bytes of the partial line beyond the bound were left out.
    omitted: usize,
    tail: VecDeque<Line>,
}

impl Lines {
    /// Cuts off the bytes of the partial line beyond `max_bytes`.
    fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            partial: Vec::new(),
            omitted: 0,
            tail: VecDeque::new(),
        }
    }

    /// Takes bytes from the beginning of `bytes`. If a line ends in them, takes the bytes up to its end, and gives the line.
    /// Otherwise takes all.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Line> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.extend(std::mem::take(bytes));
            return None;
        };
        self.extend(&bytes[..end]);
        *bytes = &bytes[end + 1..];
        Some(self.take())
    }

    fn finish(&mut self) -> Option<Line> {
        (!self.partial.is_empty()).then(|| self.take())
    }

    /// Keeps a line for the report of a failure.
    fn keep(&mut self, line: &Line) {
        if self.tail.len() == LAST_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = self
            .max_bytes
            .saturating_sub(self.partial.len())
            .min(bytes.len());
        self.partial.extend_from_slice(&bytes[..room]);
        self.omitted += bytes.len() - room;
    }

    fn take(&mut self) -> Line {
        let bytes = std::mem::take(&mut self.partial);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let text = String::from_utf8_lossy(bytes).into_owned();
        Line {
            text,
            missing: std::mem::take(&mut self.omitted),
        }
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
        Box::new(P2Stream {
            stdio: self.clone(),
            allowed: 0,
        })
    }
}

/// A stream of WASI 0.2. A write never waits, and reports each complete line before it returns.
struct P2Stream {
    stdio: Stdio,
    /// How much the guest may write before it has to ask again, in bytes.
    allowed: usize,
}

#[async_trait::async_trait]
impl Pollable for P2Stream {
    async fn ready(&mut self) {}
}

impl OutputStream for P2Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let left = self.allowed.checked_sub(bytes.len());
        self.allowed =
            left.ok_or_else(|| StreamError::trap("it wrote more than `check-write` allowed"))?;
        let taken = self
            .stdio
            .take(&bytes)
            .map_err(|lost| StreamError::Trap(lost.into()))?;
        debug_assert_eq!(taken, bytes.len(), "what is allowed is one piece");
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.allowed = PIECE_BYTES;
        Ok(self.allowed)
    }
}

/// A stream of WASI 0.3.
impl AsyncWrite for Stdio {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // The host does not wake a guest whose permit has ended, because it is about to drop it.
        self.take(bytes)
            .map_or(Poll::Pending, |taken| Poll::Ready(Ok(taken)))
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

    fn all(lines: &mut Lines, mut bytes: &[u8]) -> Vec<Line> {
        std::iter::from_fn(|| lines.next(&mut bytes)).collect()
    }

    #[test]
    fn lines_come_out_whole_however_they_are_written() {
        let line = |text: &str| Line {
            text: text.to_owned(),
            missing: 0,
        };
        let mut lines = Lines::new(MAX_LINE_BYTES);
        assert_eq!(all(&mut lines, b"one\ntw"), [line("one")]);
        assert_eq!(
            all(&mut lines, b"o\r\n\nthree \xff"),
            [line("two"), line("")]
        );
        assert_eq!(lines.finish(), Some(line("three \u{fffd}")));
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut lines = Lines::new(MAX_LINE_BYTES);
        for number in 0..2 * LAST_LINES {
            lines.keep(&Line {
                text: number.to_string(),
                missing: 0,
            });
        }
        let kept: Vec<_> = lines
            .tail
            .iter()
            .map(|line| line.text.parse::<usize>().unwrap())
            .collect();
        assert_eq!(kept, (LAST_LINES..2 * LAST_LINES).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_than_the_longest_one() {
        let mut lines = Lines::new(MAX_LINE_BYTES);
        for _ in 0..100 {
            assert!(all(&mut lines, &[b'x'; MAX_LINE_BYTES]).is_empty());
        }
        assert_eq!(lines.partial.len(), MAX_LINE_BYTES);
        let line = all(&mut lines, b"\nnext\n");
        assert_eq!(
            (line[0].text.len(), line[0].missing),
            (MAX_LINE_BYTES, 99 * MAX_LINE_BYTES)
        );
        assert_eq!(line[1].text, "next");
    }
}
