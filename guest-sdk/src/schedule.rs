//! Slots of time: moments at which the task does something, each of them once, whichever host leads.
//!
//! ```
//! use soloist_sdk::{Plugin, Result, Term, info, schedule, state};
//!
//! #[derive(Default)]
//! struct Nightly;
//!
//! impl Plugin for Nightly {
//!     async fn on_elected(&mut self, _: Term) -> Result {
//!         let nights = schedule::cron("0 3 * * *", "Europe/Berlin");
//!         loop {
//!             let slot = nights.next().await?;
//!             info!("the report of {slot}");
//!             slot.complete(state::transaction().set("last", slot.key())).await?;
//!         }
//!     }
//! }
//! #
//! # use soloist_sdk::testing::Harness;
//! # let hours = std::time::Duration::from_hours;
//! # let test = Harness::new().slots("main", [hours(2), hours(26)]);
//! # test.elect::<Nightly>().advance(hours(30));
//! # assert_eq!(test.messages().len(), 2);
//! # assert_eq!(test.state::<String>("last").unwrap(), "test/main@2026-01-02T02:00:00Z");
//! ```
//!
//! The host knows when slots are due, and keeps which were claimed and completed, in transactions that check the term. So
//! over all terms a slot is claimed as a new one at most once, and it is completed at most once, together with what the
//! plugin then writes to its [`state`]. The task has to grant `state`.
//!
//! | the plugin | its state changes for a slot | its other effects happen for a slot |
//! |---|---|---|
//! | claims, acts, completes | once | at least once: if it is lost before it completes, the next run claims the slot again |
//! | claims, completes, acts | once | at most once |
//!
//! Hand [`Slot::key`] to whatever the plugin changes elsewhere: it is the same in every attempt, so that a second one can be
//! recognised.
//!
//! In a native test the host's calendar is not there: [`testing::Harness::slots`](crate::testing::Harness::slots) says when
//! slots are.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::schedule::{self, OnMissed};
///
/// // Each day has its report, whatever was down.
/// let reports = schedule::cron("0 6 * * *", "UTC").on_missed(OnMissed::RunAll).catch_up(Duration::from_hours(72));
/// ```
pub use crate::bindings::soloist::plugin::schedule::OnMissed;
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::schedule::{self, Overlap};
///
/// // A slot that comes due while the one before is still worked on waits for it.
/// let checks = schedule::every(Duration::from_mins(5)).overlap(Overlap::BufferOne);
/// ```
pub use crate::bindings::soloist::plugin::schedule::Overlap;
use crate::imports::schedule as host;
use crate::state::{self, Transaction};

/// The slots of a cron expression: five fields (minute, hour, day of month, month, day of week), six with seconds in front,
/// or a name like `@hourly`; in a time zone, `UTC` or a name like `Europe/Berlin`.
///
/// When the clock of the zone changes, a slot at a fixed time that is left out comes right after the change; one at a time
/// that comes twice is the first of the two; and one that comes every so often goes by the time that passes.
///
/// What is wrong with it, [`Schedule::next`] says.
///
/// ```
/// use soloist_sdk::schedule;
///
/// let workdays = schedule::cron("30 8 * * mon-fri", "Europe/Berlin");
/// let every_ten_seconds = schedule::cron("*/10 * * * * *", "UTC");
/// ```
pub fn cron(expression: &str, zone: &str) -> Schedule {
    Schedule::new(host::Rule::Cron(host::Cron {
        expression: expression.to_owned(),
        zone: zone.to_owned(),
    }))
}

/// A slot every so often: whole seconds, from 1 second to 366 days, counted from the beginning of 1970 in UTC. So every hour
/// is at the full hour, whichever host leads.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::schedule;
///
/// let quarters = schedule::every(Duration::from_mins(15));
/// ```
pub fn every(period: Duration) -> Schedule {
    Schedule::new(host::Rule::Every(nanos(period)))
}

/// When slots are due, and what becomes of those that nobody could run.
///
/// What is missed is said in the host's log, event `slots-missed`, with the cause, and never stops the schedule.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::schedule::{self, OnMissed, Overlap};
///
/// let invoices = schedule::cron("0 0 1 * *", "UTC")
///     .name("invoices")
///     .jitter(Duration::from_mins(10))
///     .overlap(Overlap::BufferOne)
///     .catch_up(Duration::from_hours(24 * 7))
///     .on_missed(OnMissed::RunAll);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is waited for with `next`"]
pub struct Schedule {
    schedule: host::Schedule,
}

impl Schedule {
    fn new(rule: host::Rule) -> Self {
        Self {
            schedule: host::Schedule {
                name: "main".to_owned(),
                rule,
                jitter: 0,
                overlap: Overlap::Skip,
                catch_up: nanos(Duration::from_hours(24)),
                on_missed: OnMissed::RunLast,
            },
        }
    }

    /// Sets the name, unique in the task: 1 to 64 letters, digits, `-`, `_` and `.`. It is `main` otherwise.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.schedule.name);
        self
    }

    /// Has each slot due up to so much later than its time: how much is the same for a slot on every host. Not at all
    /// otherwise.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.schedule.jitter = nanos(jitter);
        self
    }

    /// Sets what becomes of slots that come due while the run of an earlier one lasts. They are missed otherwise.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.schedule.overlap = overlap;
        self
    }

    /// Sets how long after it was due a slot is still run: a day otherwise. One that was waited for is run up to a minute
    /// late in any case.
    pub fn catch_up(mut self, window: Duration) -> Self {
        self.schedule.catch_up = nanos(window);
        self
    }

    /// Sets what becomes of slots that came due while nobody waited for them: no host led, or the plugin did not run. The
    /// last of them is run otherwise.
    pub fn on_missed(mut self, on_missed: OnMissed) -> Self {
        self.schedule.on_missed = on_missed;
        self
    }

    /// Waits until the next slot is due, and claims it. The first slot is the first one after the first call ever.
    ///
    /// A slot that was claimed and not completed, because its run was lost, is claimed again first.
    ///
    /// # Cancellation safety
    /// A slot that was claimed by a call that is dropped is claimed again by the next one.
    ///
    /// # Errors
    /// Any but [`Error::Refused`].
    pub async fn next(&self) -> Result<Slot, Error> {
        let slot = host::next(self.schedule.clone())
            .await
            .map_err(|error| Error::new(&[], error))?;
        Ok(Slot { slot })
    }
}

/// A slot, claimed for this run.
///
/// ```
/// use soloist_sdk::http::Request;
/// use soloist_sdk::schedule::Slot;
/// use soloist_sdk::{Result, warn};
///
/// async fn bill(slot: &Slot) -> Result {
///     if slot.missed() > 0 {
///         warn!("{} slots of {} before {slot} were missed", slot.missed(), slot.schedule());
///     }
///     let request = Request::post("https://shop.example/bills").json(&slot.to_string())?;
///     // The same in the second attempt, which the shop can tell from a second bill.
///     request.idempotency_key(slot.key()).send().await?.error_for_status()?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is claimed again by the next run, unless it is completed"]
pub struct Slot {
    slot: host::Slot,
}

impl Slot {
    /// What tells the slot from every other, and is the same in every attempt: `<task>/<schedule>@<time>`.
    pub fn key(&self) -> &str {
        &self.slot.key
    }

    /// The name of its schedule.
    pub fn schedule(&self) -> &str {
        &self.slot.schedule
    }

    /// When it is, without the jitter.
    pub fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.slot.time)
    }

    /// Counts the claims of the slot, from 1: more than one, if an earlier run was lost before it completed the slot.
    pub fn attempt(&self) -> u32 {
        self.slot.attempt
    }

    /// How many slots were missed between the one before and this one, at least.
    pub fn missed(&self) -> u32 {
        self.slot.missed
    }

    /// Completes the slot and does all of the writes, or does nothing of both. It can be called in `on_demoted` too.
    ///
    /// # Errors
    /// [`Error::Refused`]: the slot is not completed, and can be. After [`Error::Unavailable`], and a refusal for want of an
    /// answer, it may be. [`Error::OutOfTurn`]: it is, or this run has not claimed it.
    pub async fn complete(&self, writes: Transaction) -> Result<(), Error> {
        let (operations, keys) = writes.into_parts().map_err(Error::Refused)?;
        host::complete(self.slot.clone(), operations)
            .await
            .map_err(|error| Error::new(&keys, error))
    }

    /// Completes the slot without writing anything to the state.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn done(&self) -> Result<(), Error> {
        self.complete(state::transaction()).await
    }
}

/// The time of the slot: RFC 3339, UTC.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, time) = self.key().rsplit_once('@').unwrap_or_default();
        f.write_str(time)
    }
}

/// Why a call was not done.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::schedule::{Error, Schedule, Slot};
/// use soloist_sdk::{sleep, warn};
///
/// /// The next slot, however long the records are out of reach.
/// async fn next(schedule: &Schedule) -> Result<Slot, Error> {
///     loop {
///         match schedule.next().await {
///             Err(Error::Unavailable { reason }) => warn!("no slot for now: {reason}"),
///             slot => return slot,
///         }
///         sleep(Duration::from_secs(5)).await;
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A part of the schedule cannot be used.
    Invalid {
        /// Which.
        field: String,
        /// What is wrong with it, and what to write.
        reason: String,
    },
    /// The task has as many schedules as it can have.
    TooMany,
    /// It is not its turn: the last slot was not completed, or was completed already, or is waited for twice.
    OutOfTurn {
        /// Which of these.
        reason: String,
    },
    /// The writes were refused.
    Refused(state::Error),
    /// The records cannot be read or written, or the plugin is being demoted.
    Unavailable {
        /// Why.
        reason: String,
    },
}

impl Error {
    fn new(keys: &[String], error: host::Error) -> Self {
        match error {
            host::Error::Invalid(host::Problem { field, reason }) => {
                Self::Invalid { field, reason }
            }
            host::Error::TooMany => Self::TooMany,
            host::Error::OutOfTurn(reason) => Self::OutOfTurn { reason },
            host::Error::Refused(refusal) => Self::Refused(state::refused(keys, refusal)),
            host::Error::Unavailable(reason) => Self::Unavailable { reason },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field, reason } => {
                write!(f, "the schedule cannot be used: {field}: {reason}")
            }
            Self::TooMany => f.write_str(
                "the task has as many schedules as it can have: delete the nodes of those that are no more, below \
                 `schedules` of the task",
            ),
            Self::OutOfTurn { reason } => f.write_str(reason),
            Self::Refused(_) => f.write_str("the slot is not completed, since its writes were refused"),
            Self::Unavailable { reason } => write!(f, "the schedule is unavailable: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(source) => Some(source),
            _ => None,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
