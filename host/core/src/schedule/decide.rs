//! Which slot is run next.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::record::{Claim, Record};
use super::time::Time;
use super::{OnMissed, Overlap, Schedule};

/// How late a slot may be claimed that somebody waited for, whatever the catch-up window is: the machine was busy, or the
/// ensemble did not answer at once.
const GRACE: Duration = Duration::from_secs(60);
/// How far ahead of the clock a record may be before somebody should look at the clock.
const AHEAD: Duration = Duration::from_secs(60);

/// The time between the first of some slots, one claimed right after the other, and the end of the last of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// When the first of them was claimed.
    pub since: Time,
}

/// What it is decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time of day.
    pub time: Time,
    /// Since when the plugin waits for a slot. What came due before that was late.
    pub waiting_since: Time,
    /// Whether the plugin ran slots until it waited.
    pub busy: Option<Busy>,
    /// The fencing token of the term.
    pub token: u64,
}

/// Why a slot was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MissedCause {
    /// More than [`REMEMBERED_MAX`](super::REMEMBERED_MAX) came due while nobody ran any, and it was one of the oldest.
    TooMany,
    /// It was due longer ago than the catch-up window.
    CatchUp,
    /// It came due while nobody waited for it, and another one, or none, is run instead.
    OnMissed,
    /// It came due while the run of an earlier one lasted.
    Overlap,
}

impl MissedCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::TooMany, Self::CatchUp, Self::OnMissed, Self::Overlap];

    /// The name used in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooMany => "too-many",
            Self::CatchUp => "catch-up",
            Self::OnMissed => "on-missed",
            Self::Overlap => "overlap",
        }
    }

    /// What it says to people.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooMany => "more came due while nobody ran any than are looked at",
            Self::CatchUp => "due longer ago than the catch-up window",
            Self::OnMissed => "due while nobody waited, and passed over by `on-missed`",
            Self::Overlap => "due while the run of an earlier slot lasted",
        }
    }
}

impl Serialize for MissedCause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Slots that will never be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// Why.
    pub cause: MissedCause,
    /// How many, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// The first of them.
    pub first: Time,
    /// The last of them.
    pub last: Time,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cause,
            slots,
            first,
            last,
        } = self;
        match slots {
            Some(1) => write!(f, "1 slot was missed, {first}"),
            Some(slots) => write!(f, "{slots} slots were missed, from {first} to {last}"),
            None => write!(f, "slots were missed, from {first} to {last}"),
        }?;
        write!(f, ": {}", cause.reason())
    }
}

/// What follows a decision, once its record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The slot is claimed: it is run.
    Run(Claim),
    /// Nothing is due before that: it is decided again then.
    Wait(Time),
    /// It is decided again.
    Again,
}

/// What is to be written and said, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What has to be written first, over the very record that was decided by.
    pub record: Option<Record>,
    /// What was missed: it is said before the record is written, which forgets it.
    pub missed: Vec<Missed>,
    /// What follows.
    pub then: Then,
    /// How far the record is ahead of the clock, if that is more than clocks usually differ: nothing will be due for so
    /// long.
    pub ahead: Option<Duration>,
}

/// A slot that is due, and why it is not run, if it is not.
struct Due {
    slot: Time,
    missed: Option<MissedCause>,
}

impl Schedule {
    /// Decides what is done now, by what is kept of the schedule.
    pub fn decide(&self, record: Option<&Record>, now: Now) -> Decision {
        let write = |record, then| Decision {
            record: Some(record),
            missed: Vec::new(),
            then,
            ahead: None,
        };
        let Some(record) = record else {
            return write(Record::new(self.rule(), now.time), Then::Again);
        };
        if let Some(claim) = record.uncompleted() {
            // Whoever claimed it was lost before it was completed.
            let claim = Claim {
                attempt: claim.attempt.saturating_add(1),
                token: now.token,
                ..claim
            };
            let slot = Some(claim);
            return write(
                Record {
                    slot,
                    ..record.clone()
                },
                Then::Run(claim),
            );
        }
        if record.rule != self.rule() {
            let (rule, after) = (self.rule(), record.after.max(now.time));
            return write(
                Record {
                    rule,
                    after,
                    ..record.clone()
                },
                Then::Again,
            );
        }
        self.decide_on_slots(record, now)
    }

    fn decide_on_slots(&self, record: &Record, now: Now) -> Decision {
        let (due, forgotten) = self.due_slots(record.after, now);
        let next = due.iter().position(|due| due.missed.is_none());
        let decided = &due[..next.unwrap_or(due.len())];
        let too_many = forgotten.map(|(first, last)| Missed {
            cause: MissedCause::TooMany,
            slots: None,
            first,
            last,
        });
        let missed: Vec<Missed> = too_many.into_iter().chain(causes(decided)).collect();
        let count = missed
            .iter()
            .map(|missed| missed.slots.unwrap_or(1))
            .fold(record.missed, u32::saturating_add);
        if let Some(next) = next {
            let claim = Claim {
                at: due[next].slot,
                attempt: 1,
                token: now.token,
                missed: count,
                done: false,
            };
            let record = Record {
                after: claim.at,
                slot: Some(claim),
                missed: 0,
                ..record.clone()
            };
            return Decision {
                record: Some(record),
                missed,
                then: Then::Run(claim),
                ahead: None,
            };
        }
        if let Some(last) = missed.last() {
            let record = Record {
                after: last.last,
                missed: count,
                ..record.clone()
            };
            return Decision {
                record: Some(record),
                missed,
                then: Then::Again,
                ahead: None,
            };
        }
        let next = self.next_after(record.after);
        let ahead = record.after.saturating_since(now.time);
        Decision {
            record: None,
            missed,
            then: Then::Wait(next.map_or(Time::MAX, |slot| self.due(slot))),
            ahead: Some(ahead).filter(|ahead| *ahead > AHEAD),
        }
    }

    /// The slots after `after` that are due; and the first and the last of those before them that are not looked at.
    fn due_slots(&self, after: Time, now: Now) -> (Vec<Due>, Option<(Time, Time)>) {
        let (slots, forgotten) = self.slots.between(after, now.time);
        let is_due = |slot: &Time| self.due(*slot) <= now.time;
        let slots: Vec<Time> = slots.into_iter().take_while(is_due).collect();
        let settings = self.settings();
        let is_awaited = |due: Time| due >= now.waiting_since;
        let is_overlapped =
            |due: Time| now.busy.is_some_and(|busy| due > busy.since) && !is_awaited(due);
        let is_in_time = |due: Time| {
            let late = now.time.saturating_since(due);
            late <= settings.catch_up || is_awaited(due) && late <= GRACE
        };
        let mut last_late = None;
        let mut last_overlapped = None;
        for slot in &slots {
            let due = self.due(*slot);
            if is_in_time(due) {
                let last = if is_overlapped(due) {
                    &mut last_overlapped
                } else {
                    &mut last_late
                };
                *last = Some(*slot);
            }
        }
        let judged = slots.into_iter().map(|slot| {
            let due = self.due(slot);
            let missed = if !is_in_time(due) {
                Some(MissedCause::CatchUp)
            } else if is_overlapped(due) {
                let is_run =
                    settings.overlap == Overlap::BufferOne && last_overlapped == Some(slot);
                (!is_run).then_some(MissedCause::Overlap)
            } else {
                let is_run = match settings.on_missed {
                    OnMissed::RunAll => true,
                    OnMissed::RunLast => last_late == Some(slot),
                    OnMissed::Skip => is_awaited(due) && last_late == Some(slot),
                };
                (!is_run).then_some(MissedCause::OnMissed)
            };
            Due { slot, missed }
        });
        (judged.collect(), forgotten)
    }
}

/// The slots that are missed, those of one cause together: a plugin decides how they alternate, and each is an event.
fn causes(slots: &[Due]) -> Vec<Missed> {
    let mut missed: Vec<Missed> = Vec::new();
    for due in slots {
        let Some(cause) = due.missed else { continue };
        match missed.iter_mut().find(|told| told.cause == cause) {
            Some(told) => {
                told.slots = told.slots.map(|slots| slots.saturating_add(1));
                told.last = due.slot;
            }
            None => missed.push(Missed {
                cause,
                slots: Some(1),
                first: due.slot,
                last: due.slot,
            }),
        }
    }
    missed
}

/// The record of a schedule in which that claim has been completed; none if the record does not have that claim, or has it
/// completed already.
pub fn complete(record: &Record, claim: Claim) -> Option<Record> {
    let slot = record.uncompleted().filter(|slot| *slot == claim)?;
    Some(Record {
        slot: Some(Claim { done: true, ..slot }),
        ..record.clone()
    })
}
