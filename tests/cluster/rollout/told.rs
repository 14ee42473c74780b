//! What contenders within the test report.

use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Result;
use serde_json::{Map, Value};
use soloist_core::event::{self, About, Report, Subscriber};
use soloist_tests::{PATIENCE, eventually};
use tracing::Level;

/// An event, by the host that reported it in a term.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) host: String,
    pub(crate) event: &'static str,
    pub(crate) fields: Map<String, Value>,
    pub(crate) message: String,
}

static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());

struct Keeps;

impl Subscriber for Keeps {
    fn event(&self, report: &Report<'_>) {
        let About::Term(term) = report.about else {
            return;
        };
        let told = Told {
            host: term.host.to_string(),
            event: report.event.name(),
            fields: report.fields(),
            message: report.event.message().into_owned(),
        };
        TOLD.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(told);
    }

    fn wants_line(&self, _: Level) -> bool {
        false
    }
}

/// Keeps what is reported from here on.
pub(crate) fn listen() {
    static LISTENS: OnceLock<()> = OnceLock::new();
    LISTENS.get_or_init(|| event::subscribe(vec![Box::new(Keeps)]).expect("nobody else listens"));
}

/// What hosts whose names begin so have reported.
pub(crate) fn told(hosts: &str) -> Vec<Told> {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let of_hosts = told.iter().filter(|it| it.host.starts_with(hosts));
    of_hosts.cloned().collect()
}

/// How often they have reported that event.
pub(crate) fn times(hosts: &str, event: &str) -> usize {
    told(hosts).iter().filter(|it| it.event == event).count()
}

/// Waits until one of them has reported such an event.
pub(crate) async fn tells(hosts: &str, event: &str, such: impl Fn(&Told) -> bool) -> Result<Told> {
    let what = format!("{hosts} to report {event}");
    let found = eventually(&what, PATIENCE, async || {
        told(hosts)
            .into_iter()
            .find(|it| it.event == event && such(it))
    });
    found.await.map_err(|error| {
        let told: Vec<_> = told(hosts)
            .into_iter()
            .map(|it| (it.host, it.message))
            .collect();
        error.context(format!("{told:#?}"))
    })
}
