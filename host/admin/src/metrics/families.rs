//! All metrics there are. REFERENCE.md has the same table; a test compares the two.

use super::text::{Text, label};
use super::{HostView, ProcessView, TaskView};

mod election;
mod host;
mod plugin;
mod process;
mod rollout;

/// What kind of a metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins anew with the process or the task.
    Counter,
    /// It is as it is at the moment.
    Gauge,
    /// Counts of durations by their length.
    Histogram,
}

/// A metric.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it says.
    pub help: &'static str,
    pub(super) source: Source,
}

/// Where its series come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// What a guardian tells as well.
    Process(fn(&mut Text, &ProcessView<'_>)),
    Host(fn(&mut Text, &HostView<'_>)),
    Task(fn(&mut Text, &TaskView)),
}

impl Family {
    const fn process(
        kind: Kind,
        name: &'static str,
        help: &'static str,
        tell: fn(&mut Text, &ProcessView<'_>),
    ) -> Self {
        Self::new(kind, name, help, Source::Process(tell))
    }

    const fn host(
        kind: Kind,
        name: &'static str,
        help: &'static str,
        tell: fn(&mut Text, &HostView<'_>),
    ) -> Self {
        Self::new(kind, name, help, Source::Host(tell))
    }

    const fn task(
        kind: Kind,
        name: &'static str,
        help: &'static str,
        tell: fn(&mut Text, &TaskView),
    ) -> Self {
        Self::new(kind, name, help, Source::Task(tell))
    }

    const fn new(kind: Kind, name: &'static str, help: &'static str, source: Source) -> Self {
        Self {
            name,
            kind,
            help,
            source,
        }
    }
}

/// All metrics, in the order in which they are told.
pub fn families() -> impl Iterator<Item = &'static Family> {
    [
        process::FAMILIES,
        host::FAMILIES,
        election::FAMILIES,
        plugin::FAMILIES,
        rollout::FAMILIES,
    ]
    .into_iter()
    .flatten()
}

/// The counts of a kind, each with this label; with none, the only one.
fn counts(text: &mut Text, task: &TaskView, kind: &'static str, name: &str) {
    for ((_, what), count) in task
        .reading
        .counts
        .range((kind, "")..)
        .take_while(|((found, _), _)| *found == kind)
    {
        if name.is_empty() {
            text.sample(&[&task.label], count);
        } else {
            text.sample(&[&task.label, &label(name, what)], count);
        }
    }
}

/// A count, if there is something.
fn some(text: &mut Text, task: &TaskView, count: u64) {
    if count > 0 {
        text.sample(&[&task.label], count);
    }
}
