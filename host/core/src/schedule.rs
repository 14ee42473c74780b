//! When the slots of a task are due, which of them are run, and which are missed: pure, time is a parameter.
//!
//! ```text
//! Schedule::new ---> Schedule (a rule, and what becomes of slots that nobody could run)
//! Schedule + Record (what is kept in ZooKeeper) + Now ---> decide ---> Decision: what to write, what was missed,
//!                                                                      and then: claim a slot, or wait
//! Record + Claim ---> complete ---> the record to write, together with what the plugin writes to its state
//! ```
//!
//! A slot is a moment by the clock on the wall, so this is the one place where the time of day decides something: when a
//! slot is due. Who may claim it is decided by the transaction that writes the record.

mod cron;
mod decide;
mod horizon;
mod record;
mod rule;
mod time;

use std::time::Duration;

pub use decide::{Busy, Decision, Missed, MissedCause, Now, Then, complete};
pub use record::{Claim, RECORD_MAX_BYTES, Record, RecordError};
pub use rule::Rule;
pub use time::Time;

/// How many schedules a task can have.
pub const SCHEDULES_MAX: usize = 16;
/// The longest name of a schedule, in bytes.
pub const NAME_MAX_BYTES: usize = 64;
/// How many slots that nobody ran are looked at, one by one; of those before them it is only known that there are some.
pub const REMEMBERED_MAX: usize = 1_000;
/// The longest jitter.
pub const JITTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest catch-up window.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What becomes of slots that come due while the run of an earlier one lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// They are missed.
    #[default]
    Skip,
    /// The last of them is run next; those before it are missed.
    BufferOne,
}

/// What becomes of slots that came due while nobody waited for them: no host led, or the plugin did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissed {
    /// They are missed.
    Skip,
    /// The last of them is run; those before it are missed.
    #[default]
    RunLast,
    /// Each of them is run, the oldest first.
    RunAll,
}

/// What a schedule is made of, before it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name, unique in the task.
    pub name: String,
    /// When its slots are.
    pub rule: Rule,
    /// Up to how much later than its time a slot is due.
    pub jitter: Duration,
    /// What becomes of slots that come due while another one is run.
    pub overlap: Overlap,
    /// How long after it was due a slot is still run.
    pub catch_up: Duration,
    /// What becomes of slots that came due while nobody waited for them.
    pub on_missed: OnMissed,
}

impl Settings {
    /// Whether one of its texts is longer than any that can be used: [`Schedule::new`] refuses it, and nobody should keep it.
    pub fn is_too_long(&self) -> bool {
        self.name.len() > NAME_MAX_BYTES || self.rule.is_too_long()
    }
}

/// A part of a schedule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// Which.
    pub field: String,
    /// What is wrong with it, and what to write.
    pub reason: String,
}

impl Invalid {
    fn new(field: &str, reason: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            reason: reason.into(),
        }
    }
}

/// When the slots of a task are due, and what becomes of those that nobody could run.
#[derive(Clone, Debug)]
pub struct Schedule {
    task: String,
    settings: Settings,
    slots: rule::Slots,
}

impl Schedule {
    /// The schedule of a task.
    ///
    /// # Errors
    /// The first part of it that cannot be used.
    pub fn new(task: &str, settings: Settings) -> Result<Self, Invalid> {
        check_name(&settings.name)?;
        let slots = rule::Slots::new(&settings.rule)?;
        if settings.jitter > JITTER_MAX {
            return Err(Invalid::new("jitter", "write at most 24 hours"));
        }
        if let Rule::Every(period) = settings.rule
            && settings.jitter > period
        {
            return Err(Invalid::new("jitter", "write no more than the period"));
        }
        if settings.catch_up > CATCH_UP_MAX {
            return Err(Invalid::new("catch-up", "write at most 366 days"));
        }
        Ok(Self {
            task: task.to_owned(),
            settings,
            slots,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What it is made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The first slot after `time`, unless there is none before the year 10000.
    pub fn next_after(&self, time: Time) -> Option<Time> {
        self.slots.next_after(time)
    }

    /// When a slot is due: at its time, or later by a part of the jitter that is the same on every host.
    pub fn due(&self, slot: Time) -> Time {
        slot + rule::jitter(&self.task, self.name(), slot, self.settings.jitter)
    }

    /// What tells the effects of a slot from those of any other, whoever runs it and however often.
    pub fn key(&self, slot: Time) -> String {
        format!("{}/{}@{slot}", self.task, self.name())
    }

    /// The rule in words: slots of another rule begin anew.
    fn rule(&self) -> String {
        self.settings.rule.to_string()
    }
}

fn check_name(name: &str) -> Result<(), Invalid> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let reason = if name.is_empty() || name.len() > NAME_MAX_BYTES {
        format!("write 1 to {NAME_MAX_BYTES} characters")
    } else if !name.bytes().all(is_good) || name == "." || name == ".." {
        "write letters, digits, `-`, `_` and `.`".to_owned()
    } else {
        return Ok(());
    };
    Err(Invalid::new("name", reason))
}

#[cfg(test)]
mod tests;
