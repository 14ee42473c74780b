//! The next slot of a cron expression that anybody may have written. `croner` looks for it until the year 5000, second by second
//! where the clock goes forward, so this says how far it may look.

use std::cmp::Ordering;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, NaiveTime, TimeZone as _};
use chrono_tz::Tz;
use croner::errors::CronError;
use croner::{CivilDateTime, Cron, CronDateTime, Resolution, Weekday};

use super::time::Time;

/// How far ahead slots are looked for. A 29th of February is less than that away, but for 2100 and its like.
pub(super) const HORIZON: Duration = Duration::from_secs(6 * 366 * 24 * 60 * 60);

/// The first slot after `time`, if it comes before the year after `end` is over.
pub(super) fn next_within(cron: &Cron, zone: Tz, time: Time, end: Time) -> Option<Time> {
    let local = |time: Time| Some(zone.from_utc_datetime(&time.utc()?.naive_utc()));
    let from = Bounded {
        time: local(time)?,
        last_year: local(end)?.year(),
    };
    if !from.has_day(cron) {
        return None;
    }
    let next = cron.find_next_occurrence(&from, false).ok()?;
    Some(Time::from_secs(u64::try_from(next.time.timestamp()).ok()?))
}

/// A moment from which a search leads no further than to the end of a year.
#[derive(Clone)]
struct Bounded {
    time: DateTime<Tz>,
    last_year: i32,
}

impl Bounded {
    /// Whether a day comes that the expression names, today included. A search for one is not bounded otherwise: it asks nothing here
    /// in between. After the last slot of today it may go to the end of what croner searches.
    fn has_day(&self, cron: &Cron) -> bool {
        let days = self.time.date_naive().iter_days();
        let mut days = days.take_while(|day| day.year() <= self.last_year);
        days.any(|day| {
            let weekday = day.and_time(NaiveTime::MIN).civil_weekday();
            let (year, month, number) = (day.year(), day.month(), day.day());
            let pattern = &cron.pattern;
            pattern.month_match(month).unwrap_or(false)
                && pattern
                    .day_match(year, month, number, weekday)
                    .unwrap_or(false)
        })
    }

    fn at(&self, time: DateTime<Tz>) -> Self {
        Self {
            time,
            last_year: self.last_year,
        }
    }
}

impl CronDateTime for Bounded {
    fn to_civil(&self) -> CivilDateTime {
        self.time.to_civil()
    }

    fn civil_weekday(&self) -> Weekday {
        self.time.civil_weekday()
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        if civil.year() > self.last_year {
            return Err(CronError::TimeSearchLimitExceeded);
        }
        Ok(match self.time.resolve_civil(civil)? {
            Resolution::Single(time) => Resolution::Single(self.at(time)),
            Resolution::Ambiguous(earlier, later) => {
                Resolution::Ambiguous(self.at(earlier), self.at(later))
            }
            Resolution::Gap => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        let time = CronDateTime::checked_add_seconds(&self.time, seconds)?;
        Some(self.at(time))
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.time.cmp_instant(&other.time)
    }
}
