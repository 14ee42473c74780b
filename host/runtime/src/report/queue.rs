//! Lines on their way out, written by a thread of its own.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use soloist_core::roster::roster;
use tracing_subscriber::fmt::MakeWriter;

/// How many bytes may wait to be written.
const WAITING_MAX_BYTES: usize = 64 << 20;

/// How long the end of a process waits for lines that nobody reads.
const LAST_LINES_TIME: Duration = Duration::from_secs(1);

/// Takes lines and never waits: those for which there is no room are dropped. Whoever does not read what a host says must
/// not be able to cost it the lease, or its memory.
#[derive(Clone, Debug)]
pub struct LineQueue {
    lines: Sender<Option<Vec<u8>>>,
    waiting: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// When it is dropped, the lines that wait are written, if that does not take long.
#[derive(Debug)]
pub struct LastLines {
    lines: Sender<Option<Vec<u8>>>,
    written: Receiver<()>,
}

impl LineQueue {
    /// A queue of lines to `output`.
    ///
    /// # Errors
    /// The thread that writes cannot be started.
    pub fn to(output: impl Write + Send + 'static) -> io::Result<(Self, LastLines)> {
        Self::bounded(output, WAITING_MAX_BYTES)
    }

    fn bounded(
        output: impl Write + Send + 'static,
        max_bytes: usize,
    ) -> io::Result<(Self, LastLines)> {
        let (lines, to_write) = mpsc::channel();
        let (all_written, written) = mpsc::channel();
        let waiting = Arc::<AtomicUsize>::default();
        std::thread::Builder::new().name("log".into()).spawn({
            let waiting = Arc::clone(&waiting);
            move || {
                write_all(output, &to_write, &waiting);
                drop(all_written);
            }
        })?;
        Ok((
            Self {
                lines: lines.clone(),
                waiting,
                max_bytes,
            },
            LastLines { lines, written },
        ))
    }
}

fn write_all(mut output: impl Write, lines: &Receiver<Option<Vec<u8>>>, waiting: &AtomicUsize) {
    while let Ok(Some(line)) = lines.recv() {
        // A line that cannot be written cannot be reported either.
        let _ = output.write_all(&line).and_then(|()| output.flush());
        waiting.fetch_sub(line.len(), Ordering::Relaxed);
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let _ = self.lines.send(None);
        let _ = self.written.recv_timeout(LAST_LINES_TIME);
    }
}

impl Write for LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let before = self.waiting.fetch_add(line.len(), Ordering::Relaxed);
        if before + line.len() > self.max_bytes || self.lines.send(Some(line.to_vec())).is_err() {
            self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            if let Some(roster) = roster() {
                roster.line_dropped();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LineQueue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Writes when it is let.
    struct Slow(Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_when_there_are_too_many_bytes_of_them() {
        let roster = soloist_core::roster::start();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let (mut queue, last_lines) = LineQueue::bounded(Slow(Arc::clone(&written)), 100).unwrap();
        let held = written.lock().unwrap();
        for number in 10..99 {
            writeln!(queue, "{number}").unwrap();
        }
        assert!(queue.waiting.load(Ordering::Relaxed) <= 100);
        assert!(roster.lines_dropped() > 0);
        drop(held);
        drop(last_lines);
        let told = written.lock().unwrap().clone();
        assert!(
            told.starts_with(b"10\n11\n12\n") && told.len() <= 102,
            "{told:?}"
        );
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }
}
