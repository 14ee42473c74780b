//! Schedules as plugins write them.

use std::time::Duration;

use crate::contract::bindings::schedule::{self as wit, Error, Problem};
use soloist_core::schedule::{Invalid, OnMissed, Overlap, Rule, Settings};

impl From<wit::Schedule> for Settings {
    fn from(asked: wit::Schedule) -> Self {
        Self {
            name: asked.name,
            rule: match asked.rule {
                wit::Rule::Cron(wit::Cron { expression, zone }) => Rule::Cron { expression, zone },
                wit::Rule::Every(nanos) => Rule::Every(Duration::from_nanos(nanos)),
            },
            jitter: Duration::from_nanos(asked.jitter),
            overlap: match asked.overlap {
                wit::Overlap::Skip => Overlap::Skip,
                wit::Overlap::BufferOne => Overlap::BufferOne,
            },
            catch_up: Duration::from_nanos(asked.catch_up),
            on_missed: match asked.on_missed {
                wit::OnMissed::Skip => OnMissed::Skip,
                wit::OnMissed::RunLast => OnMissed::RunLast,
                wit::OnMissed::RunAll => OnMissed::RunAll,
            },
        }
    }
}

impl From<Invalid> for Error {
    fn from(Invalid { field, reason }: Invalid) -> Self {
        Self::Invalid(Problem { field, reason })
    }
}
