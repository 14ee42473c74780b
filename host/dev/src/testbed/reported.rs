//! What this process reports, whichever test causes it.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::time::{Instant, SystemTime};

use serde_json::Value;
use soloist_core::event::{self, Report, Subscriber};
use soloist_runtime::report::{Hidden, Levels, Lines, LogFormat, Remarks};
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;

use super::PATIENCE;

/// The host that reports.
const HOST: &str = "tested";

/// All that was reported in this process, as JSON.
#[derive(Default)]
struct Reported {
    events: Mutex<Vec<Value>>,
    more: Condvar,
}

static REPORTED: LazyLock<Reported> = LazyLock::new(|| {
    event::subscribe(vec![Box::new(Events)]).expect("nobody else subscribes");
    let writer: fn() -> Sink = || Sink;
    let levels = Levels::own(Level::TRACE);
    let lines = Lines::new(writer, LogFormat::Json, levels, HOST.into());
    let remarks = Remarks::new(Arc::new(lines), Hidden::default());
    let subscriber = tracing_subscriber::registry().with(remarks);
    tracing::subscriber::set_global_default(subscriber).expect("nobody else sets one");
    Reported::default()
});

/// Listens to what this process reports from now on; what was reported before is lost. A [`Tested`](super::Tested) listens
/// by itself. Further calls do nothing.
///
/// # Panics
/// Panics if the process has other subscribers of events or of `tracing`.
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

fn add(value: Value) {
    so_far().push(value);
    REPORTED.more.notify_all();
}

/// Keeps events, as a host would write them.
struct Events;

impl Subscriber for Events {
    fn event(&self, report: &Report<'_>) {
        let mut line = report.fields();
        let time = humantime::format_rfc3339_micros(SystemTime::now());
        let level = report.event.level().as_str().to_ascii_lowercase();
        line.insert("timestamp".into(), time.to_string().into());
        line.insert("level".into(), level.into());
        line.insert("host".into(), HOST.into());
        line.insert("event".into(), report.event.name().into());
        line.insert("message".into(), report.event.message().into());
        add(line.into());
    }

    fn wants_line(&self, _: Level) -> bool {
        true
    }
}

/// Takes what is no event.
struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        add(serde_json::from_slice(bytes).map_err(io::Error::other)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
