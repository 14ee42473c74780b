//! What was reported, by whichever test of this process.

use std::io::{self, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::Value;
use soloist_runtime::reporter::{Levels, LogFormat, Reporter};
use tracing_subscriber::layer::SubscriberExt;

use super::PATIENCE;

/// Everything reported in this process, as JSON.
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

/// Begins to listen: what is reported before is lost.
pub fn start() {
    LazyLock::force(&REPORTED);
}

/// What was reported so far.
pub fn so_far() -> MutexGuard<'static, Vec<Value>> {
    REPORTED.events.lock().expect("no test panics here")
}

/// Waits until more is reported, or it is `end`: then there is none.
pub fn more(
    so_far: MutexGuard<'static, Vec<Value>>,
    end: Instant,
) -> Option<MutexGuard<'static, Vec<Value>>> {
    let left = end.checked_duration_since(Instant::now())?;
    Some(
        REPORTED
            .more
            .wait_timeout(so_far, left)
            .expect("no test panics here")
            .0,
    )
}

/// Waits until something is reported, anywhere in this process, whose message contains `text`.
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
        !waited.expect("no test panics here").1.timed_out(),
        "nobody said {text:?}"
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
