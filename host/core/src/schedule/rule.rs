//! When the slots of a schedule are.

use std::fmt;
use std::time::Duration;

use chrono::TimeZone;
use chrono_tz::Tz;
use croner::Cron;
use sha2::{Digest, Sha256};

use super::cron;
use super::horizon;
use super::time::Time;
use super::{Invalid, REMEMBERED_MAX};

/// The longest period of a fixed rate.
const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// The longest name of a time zone, in bytes.
const ZONE_MAX_BYTES: usize = 64;

/// When slots are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// As an expression of cron says, in a time zone. At changes of the clock it does as Vixie's cron: a slot at a fixed
    /// time that is left out comes right after the change, one at a time that comes twice is the first of the two, and one
    /// that comes every so often goes by the time that passes.
    Cron {
        /// Five fields, six with seconds in front, or a name like `@hourly`.
        expression: String,
        /// Its name in the IANA database, like `Europe/Berlin`, or `UTC`.
        zone: String,
    },
    /// Every so often, counted from the beginning of 1970 in UTC; whole seconds.
    Every(Duration),
}

impl Rule {
    /// Whether one of its texts is longer than any that can be used.
    pub(super) fn is_too_long(&self) -> bool {
        match self {
            Self::Cron { expression, zone } => {
                expression.len() > cron::EXPRESSION_MAX_BYTES || zone.len() > ZONE_MAX_BYTES
            }
            Self::Every(_) => false,
        }
    }
}

impl Rule {
    /// Reads a rule as it is displayed. None if it is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Some(period) = text.strip_prefix("every ") {
            let seconds = period.strip_suffix(" s")?.parse().ok()?;
            return Some(Self::Every(Duration::from_secs(seconds)));
        }
        let (expression, zone) = text.strip_prefix("cron ")?.rsplit_once(' ')?;
        let (expression, zone) = (expression.to_owned(), zone.to_owned());
        let rule = Self::Cron { expression, zone };
        (!rule.is_too_long()).then_some(rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron { expression, zone } => {
                let fields: Vec<&str> = expression.split_whitespace().collect();
                write!(f, "cron {} {zone}", fields.join(" "))
            }
            Self::Every(period) => write!(f, "every {} s", period.as_secs()),
        }
    }
}

/// The slots of a rule.
#[derive(Clone, Debug)]
pub(super) enum Slots {
    Cron(Box<Cron>, Tz),
    Every(u64),
}

impl Slots {
    pub(super) fn new(rule: &Rule) -> Result<Self, Invalid> {
        let slots = Self::read(rule)?;
        if let Rule::Cron { expression, .. } = rule
            && slots.next_after(Time::from_secs(0)).is_none()
        {
            let reason = format!("{expression:?} is never: no such day comes");
            return Err(Invalid::new("cron", reason));
        }
        Ok(slots)
    }

    /// The same, where no slot may ever come.
    pub(super) fn read(rule: &Rule) -> Result<Self, Invalid> {
        match rule {
            Rule::Cron { expression, zone } => {
                let cron = cron::parse(expression)?;
                Ok(Self::Cron(Box::new(cron), self::zone(zone)?))
            }
            Rule::Every(period) => {
                if period.subsec_nanos() != 0 || period.is_zero() || *period > PERIOD_MAX {
                    let reason = "write whole seconds, from 1 second to 366 days";
                    return Err(Invalid::new("every", reason));
                }
                Ok(Self::Every(period.as_secs()))
            }
        }
    }

    /// The first slot after `time`.
    pub(super) fn next_after(&self, time: Time) -> Option<Time> {
        let next = match self {
            Self::Every(period) => {
                Time::from_secs((time.as_secs() / period + 1).saturating_mul(*period))
            }
            Self::Cron(cron, zone) => {
                let from = zone.from_utc_datetime(&time.utc()?.naive_utc());
                let next = cron.find_next_occurrence(&from, false).ok()?;
                Time::from_secs(u64::try_from(next.timestamp()).ok()?)
            }
        };
        // Otherwise nobody would ever come past it.
        (next > time && next < Time::MAX).then_some(next)
    }

    /// The first slot after `time` and up to `end`, which is looked for no further than that.
    pub(super) fn next_within(&self, time: Time, end: Time) -> Option<Time> {
        let next = match self {
            Self::Every(_) => self.next_after(time),
            Self::Cron(cron, zone) => horizon::next_within(cron, *zone, time, end),
        };
        next.filter(|next| *next > time && *next <= end)
    }

    /// The slots after `after` and up to `now`, in their order: the last [`REMEMBERED_MAX`] of them; and if there are more,
    /// the first and the last of those before.
    pub(super) fn between(&self, after: Time, now: Time) -> (Vec<Time>, Option<(Time, Time)>) {
        last_between(after, now, |time| self.next_after(time))
    }
}

/// As [`Slots::between`], where `next` gives the first slot after a moment.
///
/// Nobody knows how dense the slots are, and they may be rare first and then come every second. So a window that ends now
/// grows until it has enough slots, and shrinks when it has too many: no more than some ten thousand slots are looked for.
pub(super) fn last_between(
    after: Time,
    now: Time,
    next: impl Fn(Time) -> Option<Time>,
) -> (Vec<Time>, Option<(Time, Time)>) {
    let Some(first) = next(after).filter(|slot| *slot <= now) else {
        return (Vec::new(), None);
    };
    let whole = now.saturating_since(after);
    let too_many = 2 * REMEMBERED_MAX + 1;
    // A window with too few slots, and one with too many. Slots are a second apart at least, so one between them is found.
    let (mut small, mut large) = (Duration::ZERO, None);
    let mut window = Duration::from_secs(REMEMBERED_MAX as u64 + 1);
    loop {
        let from = if window < whole { now - window } else { after };
        let all = std::iter::successors(next(from), |slot| next(*slot));
        let mut slots: Vec<Time> = all.take_while(|slot| *slot <= now).take(too_many).collect();
        if slots.len() == too_many {
            let cut = window.min(whole);
            large = Some(cut);
            window = small + cut.saturating_sub(small) / 2;
            continue;
        }
        if slots.len() > REMEMBERED_MAX {
            let surplus = slots.len() - REMEMBERED_MAX;
            let last = slots.drain(..surplus).next_back();
            return (slots, last.map(|last| (first, last)));
        }
        if from == after {
            return (slots, None);
        }
        small = window;
        window = match large {
            Some(large) => small + large.saturating_sub(small) / 2,
            None => window.saturating_mul(2),
        };
    }
}

fn zone(name: &str) -> Result<Tz, Invalid> {
    let shown: String = name.chars().take(ZONE_MAX_BYTES).collect();
    name.parse().map_err(|_| {
        let reason =
            format!("{shown:?} is no time zone: write UTC, or a name like \"Europe/Berlin\"");
        Invalid::new("zone", reason)
    })
}

/// How much later than its time a slot is due: less than `jitter`, and the same for a slot on every host.
pub(super) fn jitter(task: &str, name: &str, slot: Time, jitter: Duration) -> Duration {
    let millis = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return Duration::ZERO;
    }
    let digest = Sha256::digest(format!("{task}\0{name}\0{}", slot.as_millis()));
    let lot = digest
        .iter()
        .take(8)
        .fold(0, |lot, byte| (lot << 8) | u64::from(*byte));
    Duration::from_millis(lot % millis)
}
