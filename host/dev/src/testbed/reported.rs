//! What this process reports, whichever test causes it.

use std::io::{self, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::Value;
use soloist_runtime::reporter::{Levels, LogFormat, Reporter};
use tracing_subscriber::layer::SubscriberExt;

use super::PATIENCE;

/// All that was reported in this process, as JSON.
#[derive(Default)]
struct Reported {
    events: Mutex<Vec<Value>>,
    more: Condvar,
}

static REPORTED: LazyLock<Reported> = LazyLock::new(|| {
    let writer: fn() -> Sink = || Sink;
    let reporter = Reporter::new(
        writer,
        LogFormat::Json,
        Levels::own(tracing::Level::TRACE),
        "tested".into(),
    );
    let subscriber = tracing_subscriber::registry().with(reporter);
    tracing::subscriber::set_global_default(subscriber).expect("nobody else sets one");
    Reported::default()
});

/// Listens to what this process reports from now on; what was reported before is lost. A [`Tested`](super::Tested) listens
/// by itself. Further calls do nothing.
///
/// # Panics
/// Panics if the process has another subscriber of `tracing`.
pub fn listen() {
    LazyLock::force(&REPORTED);
}

/// What was reported so far.
pub(super) fn so_far() -> MutexGuard<'static, Vec<Value>> {
    REPORTED
        .events
        .lock()
        .expect("nobody panics while it holds the lock")
}

/// Waits until more is reported. Returns `None` if nothing was by `end`.
pub(super) fn more(
    so_far: MutexGuard<'static, Vec<Value>>,
    end: Instant,
) -> Option<MutexGuard<'static, Vec<Value>>> {
    let left = end.checked_duration_since(Instant::now())?;
    Some(
        REPORTED
            .more
            .wait_timeout(so_far, left)
            .expect("nobody panics while it holds the lock")
            .0,
    )
}

/// Waits until something is reported, anywhere in this process, whose message contains `text`.
///
/// # Panics
/// Panics when nothing of the kind was reported within [`PATIENCE`].
pub fn wait_for_message(text: &str) {
    let said = |event: &Value| {
        event["message"]
            .as_str()
            .is_some_and(|message| message.contains(text))
    };
    let waited = REPORTED
        .more
        .wait_timeout_while(so_far(), PATIENCE, |events| !events.iter().any(said));
    assert!(
        !waited
            .expect("nobody panics while it holds the lock")
            .1
            .timed_out(),
        "nobody reported {text:?}"
    );
}

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let event = serde_json::from_slice::<Value>(bytes).map_err(io::Error::other)?;
        so_far().push(event);
        REPORTED.more.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
