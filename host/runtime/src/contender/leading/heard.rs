//! What the host has heard of the rollout, as its leader goes by it: what is newer than its own record, and how far the host is
//! with what that names.

use std::time::Duration;

use crate::rollout::{Heard, Known};
use soloist_coordination::rollout::RecordSnapshot;
use soloist_core::records::{Generation, Readiness, RolloutRecord};
use soloist_core::rollout::{Prepared, READY_TIMEOUT_DEFAULT};

/// What a host has heard, beside what its leader has read or written itself.
#[derive(Debug)]
pub(super) enum News {
    /// It is the same.
    Same,
    /// It is newer.
    Newer(RecordSnapshot),
    /// What is newer has to be read.
    Unclear,
}

/// Compares what the host has heard with the leader's own record. Of what is older than `least` nothing is known.
pub(super) fn news(heard: &Heard, own: Option<&RecordSnapshot>, least: i32) -> News {
    let Heard::Record(record, version) = heard else {
        return News::Unclear;
    };
    let newer = || News::Newer(RecordSnapshot::Record(record.clone(), *version));
    match own {
        Some(RecordSnapshot::Record(_, own)) if version == own => News::Same,
        Some(RecordSnapshot::Record(_, own) | RecordSnapshot::Unreadable(own)) if version > own => {
            newer()
        }
        None if *version >= least => newer(),
        _ => News::Unclear,
    }
}

/// How far this host is with what the record names. The host may have heard of another record last.
pub(super) fn prepared(record: Option<&RolloutRecord>, known: &Known) -> Prepared {
    let Heard::Record(heard, _) = &known.record else {
        return Prepared::default();
    };
    let of = |generation: Option<Generation>| {
        let known = [
            (heard.current, &known.prepared.current),
            (heard.wanted, &known.prepared.wanted),
            (heard.back, &known.prepared.back),
        ];
        let readiness = known
            .into_iter()
            .find(|(it, _)| it.is_some() && *it == generation);
        readiness.map_or_else(Readiness::default, |(_, readiness)| readiness.clone())
    };
    record.map_or_else(Prepared::default, |record| Prepared {
        current: of(record.current),
        wanted: of(record.wanted),
        back: of(record.back),
    })
}

/// The `ready_timeout` of what the record wants.
pub(super) fn ready_timeout(record: Option<&RolloutRecord>, known: &Known) -> Duration {
    let wanted = record.and_then(|record| record.wanted);
    match &known.record {
        Heard::Record(heard, _) if heard.wanted == wanted => known.ready_timeout,
        _ => READY_TIMEOUT_DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use soloist_core::digest::Digest;
    use soloist_core::records::{Changed, Stage};

    fn generation(number: u64) -> Generation {
        Generation {
            number,
            sha256: Digest::of(&number.to_be_bytes()),
        }
    }

    fn record(current: u64, wanted: Option<u64>) -> RolloutRecord {
        let mut record = RolloutRecord::before_the_first(Changed::new("a", ""));
        record.current = Some(generation(current));
        record.wanted = wanted.map(generation);
        record.stage = Stage::Healthy;
        record
    }

    fn heard(version: i32) -> Heard {
        Heard::Record(Box::new(record(1, None)), version)
    }

    #[test]
    fn a_leader_goes_by_the_newest_record_that_it_knows_of() {
        let own = |version| RecordSnapshot::Record(Box::new(record(1, None)), version);
        let is_newer = |news| matches!(news, News::Newer(RecordSnapshot::Record(_, 7)));
        assert!(matches!(news(&heard(7), Some(&own(7)), 0), News::Same));
        assert!(is_newer(news(&heard(7), Some(&own(6)), 0)));
        assert!(is_newer(news(
            &heard(7),
            Some(&RecordSnapshot::Unreadable(6)),
            0
        )));
        // After an election, or after somebody else was quicker.
        assert!(is_newer(news(&heard(7), None, 7)));
        for unclear in [
            news(&heard(7), None, 8),
            // It may have been deleted and made anew.
            news(&heard(7), Some(&own(8)), 0),
            news(&heard(7), Some(&RecordSnapshot::Unreadable(7)), 0),
            news(&heard(7), Some(&RecordSnapshot::Nothing), 0),
            news(&Heard::Nothing, Some(&own(7)), 0),
            news(&Heard::Unreadable, Some(&own(7)), 0),
        ] {
            assert!(matches!(unclear, News::Unclear), "{unclear:?}");
        }
    }

    #[test]
    fn what_a_host_has_prepared_is_of_the_generations_that_it_has_heard_of() {
        let known = Known {
            record: Heard::Record(Box::new(record(1, Some(2))), 7),
            prepared: Prepared {
                current: Readiness::Ready,
                wanted: Readiness::Ready,
                back: Readiness::Ready,
            },
            ready_timeout: Duration::from_secs(5),
        };
        let of = |record: &RolloutRecord| {
            let prepared = prepared(Some(record), &known);
            let ready_timeout = ready_timeout(Some(record), &known);
            (
                prepared.current,
                prepared.wanted,
                prepared.back,
                ready_timeout,
            )
        };
        let (ready, unknown) = (Readiness::Ready, Readiness::Preparing);
        let short = Duration::from_secs(5);
        assert_eq!(
            of(&record(1, Some(2))),
            (ready.clone(), ready.clone(), unknown.clone(), short)
        );
        // An operator has deployed another one, of which this host has not heard.
        assert_eq!(
            of(&record(1, Some(3))),
            (
                ready.clone(),
                unknown.clone(),
                unknown.clone(),
                READY_TIMEOUT_DEFAULT
            )
        );
        assert_eq!(
            of(&record(2, None)),
            (ready, unknown.clone(), unknown, READY_TIMEOUT_DEFAULT)
        );
    }
}
