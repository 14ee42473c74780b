//! The lease: how a host knows, without asking anybody, that no other host can have been elected yet.
//!
//! Pure arithmetic over stamps of the host's own clock. Neither "connected" nor "answered a moment ago" is a lease:
//! a server that is cut off from its peers answers pings and reads for seconds after the ensemble has given the node
//! away, and a write that a server forwards need not reach the table in which the ensemble's leader keeps the session
//! alive. What does reach it is told by the rule below (PROTOCOL.md gives the argument).
//!
//! The rule: let heartbeat `i`, a committed write, be sent at `s_i` and known to be committed at `r_i`. The lease rests
//! on `s_j` once heartbeats `n` and `m` are complete with `s_n >= r_j + tick` and `s_m >= r_n`. Effects are allowed
//! before `s_j + T (1 - 1/100)`, where `T` is the smallest session timeout ever asked for, or that any server is known to
//! agree to.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// How many heartbeats are sent in one session timeout.
const HEARTBEATS_PER_TIMEOUT: u32 = 10;

/// The part of the session timeout given up for clocks that do not run at the same rate: one in so many.
const CLOCK_RATE_ERROR: u32 = 100;

/// A heartbeat more than this is not remembered; far above what one tick can hold.
const BEATS_MAX: usize = 4096;

/// The times that decide how a lease behaves, known to leave room for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    session_timeout: Duration,
    tick_time: Duration,
    demote_timeout: Duration,
}

/// The settings leave a lease no time in which a leader could act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no room for a lease: session timeout {session_timeout:?} - 1% clock error {clock_error:?} \
     - renewal lag {lag:?} (one tick of {tick_time:?} + three heartbeats of {heartbeat:?}) \
     - demotion {demote_timeout:?} is not more than zero; \
     raise the session timeout, or lower the demote timeout or (if the ensemble's own is lower) the tick time"
)]
pub struct NoRoom {
    session_timeout: Duration,
    clock_error: Duration,
    lag: Duration,
    tick_time: Duration,
    heartbeat: Duration,
    demote_timeout: Duration,
}

impl Timing {
    /// Puts the settings together: the session timeout, the ensemble's tick, and the time kept for a demotion.
    ///
    /// # Errors
    /// [`NoRoom`] when a lease that is renewed as fast as it can be would still begin demotion at once.
    pub fn new(
        session_timeout: Duration,
        tick_time: Duration,
        demote_timeout: Duration,
    ) -> Result<Self, NoRoom> {
        let timing = Self {
            session_timeout,
            tick_time,
            demote_timeout,
        };
        if timing.span() <= timing.lag_worst().saturating_add(demote_timeout) {
            return Err(NoRoom {
                session_timeout,
                clock_error: session_timeout / CLOCK_RATE_ERROR,
                lag: timing.lag_worst(),
                tick_time,
                heartbeat: timing.heartbeat(),
                demote_timeout,
            });
        }
        Ok(timing)
    }

    /// The session timeout that all rests on.
    pub fn session_timeout(&self) -> Duration {
        self.session_timeout
    }

    /// The time between two heartbeats.
    pub fn heartbeat(&self) -> Duration {
        self.session_timeout / HEARTBEATS_PER_TIMEOUT
    }

    /// How long a lease lasts from the stamp it rests on.
    pub fn span(&self) -> Duration {
        span(self.session_timeout)
    }

    /// How far that stamp trails behind at worst while all is well: one tick and three heartbeats.
    pub fn lag_worst(&self) -> Duration {
        self.tick_time.saturating_add(self.heartbeat() * 3)
    }

    /// When, after the ensemble was last heard, effects stop: at the earliest.
    pub fn effects_stop_after(&self) -> Duration {
        self.span().saturating_sub(self.lag_worst())
    }

    /// How long a disconnection is ridden out without demotion: at the least.
    pub fn ridden_out(&self) -> Duration {
        self.effects_stop_after()
            .saturating_sub(self.demote_timeout)
    }

    /// The time kept for a demotion inside the lease.
    pub fn demote_timeout(&self) -> Duration {
        self.demote_timeout
    }

    /// When the ensemble lets go of the nodes of a host that died without a word: at the latest.
    ///
    /// It ends sessions at its ticks, so up to one later than the session timeout; and the server that the host hung on
    /// tells the ensemble's leader of the last message with its next answer, up to half a tick later. If the ensemble's
    /// leader dies as well, the next one counts anew, which this leaves out.
    pub fn given_up_within(&self) -> Duration {
        self.session_timeout
            .saturating_add(self.tick_time)
            .saturating_add(self.tick_time / 2)
    }
}

/// How long a lease on a session with that timeout lasts from the stamp it rests on.
pub fn span(session_timeout: Duration) -> Duration {
    session_timeout.saturating_sub(session_timeout / CLOCK_RATE_ERROR)
}

/// A heartbeat that was committed.
#[derive(Clone, Copy, Debug)]
struct Beat {
    sent: Moment,
    committed: Moment,
}

/// The lease of one session.
#[derive(Clone, Debug)]
pub struct Lease {
    base: Moment,
    session_timeout: Duration,
    tick_time: Duration,
    /// Committed heartbeats sent after `base`, oldest first.
    beats: VecDeque<Beat>,
}

impl Lease {
    /// A lease on a session that was asked for at `asked` or later. The session timeout is the smaller of what was
    /// asked for and what was agreed on.
    pub fn new(asked: Moment, session_timeout: Duration, tick_time: Duration) -> Self {
        Self {
            base: asked,
            session_timeout,
            tick_time,
            beats: VecDeque::new(),
        }
    }

    /// Takes note that a server agrees to no more than `session_timeout`: from here on the lease lasts no longer than that
    /// from the stamp it rests on. A longer one than is known already changes nothing: once a session has moved to such a
    /// server, the ensemble goes on with the shorter one.
    pub fn shorten(&mut self, session_timeout: Duration) {
        self.session_timeout = self.session_timeout.min(session_timeout);
    }

    /// Takes note that a heartbeat sent at `sent` was known to be committed at `committed`.
    ///
    /// Heartbeats come in the order in which they were sent. One that failed, or whose answer never came, is not
    /// reported here: it proves nothing.
    pub fn committed(&mut self, sent: Moment, committed: Moment) {
        debug_assert!(
            sent <= committed,
            "a heartbeat cannot be committed before it is sent"
        );
        if let Some(base) = self.base_proved_by(sent) {
            self.base = base;
            while self.beats.front().is_some_and(|beat| beat.sent <= base) {
                self.beats.pop_front();
            }
        }
        if self.beats.len() == BEATS_MAX {
            self.beats.pop_front();
        }
        self.beats.push_back(Beat { sent, committed });
    }

    /// What a heartbeat sent at `sent` proves: the latest `s_j` for which an `n` lies between the two.
    fn base_proved_by(&self, sent: Moment) -> Option<Moment> {
        // Stamps grow, so the last n that qualifies allows the last j.
        let between = self.beats.iter().rfind(|beat| beat.committed <= sent)?;
        let base = self
            .beats
            .iter()
            .rfind(|beat| beat.committed + self.tick_time <= between.sent)?;
        Some(base.sent)
    }

    /// Effects are allowed before this moment.
    pub fn deadline(&self) -> Moment {
        self.base + span(self.session_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);
    const TICK: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn lease() -> Lease {
        Lease::new(at(0), TIMEOUT, TICK)
    }

    /// The rule as it is written, without any cleverness.
    fn base_by_definition(asked: Moment, beats: &[(Moment, Moment)]) -> Moment {
        let mut base = asked;
        for &(sent_j, committed_j) in beats {
            for &(sent_n, committed_n) in beats {
                for &(sent_m, _) in beats {
                    if sent_n >= committed_j + TICK && sent_m >= committed_n {
                        base = base.max(sent_j);
                    }
                }
            }
        }
        base
    }

    #[test]
    fn a_new_lease_rests_on_the_request_for_the_session() {
        assert_eq!(lease().deadline(), at(9_900));
    }

    #[test]
    fn the_last_answer_alone_proves_nothing() {
        let mut lease = lease();
        lease.committed(at(1_000), at(1_001));
        lease.committed(at(2_000), at(2_001));
        assert_eq!(lease.deadline(), at(9_900));
    }

    #[test]
    fn two_later_heartbeats_a_tick_apart_prove_the_first() {
        let mut lease = lease();
        lease.committed(at(1_000), at(1_001));
        lease.committed(at(3_000), at(3_002)); // 1 ms short of a tick after the first was committed
        lease.committed(at(3_500), at(3_501));
        assert_eq!(lease.deadline(), at(9_900));
        lease.committed(at(4_000), at(4_001)); // now 3.5 s stands between
        assert_eq!(lease.deadline(), at(10_900));
    }

    #[test]
    fn a_heartbeat_sent_before_the_middle_one_committed_does_not_close_the_chain() {
        let mut lease = lease();
        lease.committed(at(1_000), at(1_001));
        lease.committed(at(4_000), at(4_500));
        lease.committed(at(4_400), at(4_600));
        assert_eq!(lease.deadline(), at(9_900));
        lease.committed(at(4_500), at(4_600));
        assert_eq!(lease.deadline(), at(10_900));
    }

    #[test]
    fn in_the_steady_state_the_lag_is_a_tick_and_two_to_three_heartbeats() {
        let timing = Timing::new(TIMEOUT, TICK, Duration::from_secs(2)).unwrap();
        let mut lease = lease();
        for beat in 1..1_000 {
            let sent = at(beat * 1_000);
            if beat > 10 {
                let lag = sent.saturating_since(lease.base);
                assert!(lag <= timing.lag_worst(), "{lag:?}");
            }
            lease.committed(sent, sent + Duration::from_millis(5));
            assert!(lease.beats.len() <= 5);
        }
    }

    #[test]
    fn a_shorter_session_timeout_counts_at_once_and_for_good() {
        let mut lease = lease();
        for beat in 1..=5 {
            lease.committed(at(beat * 1_000), at(beat * 1_000 + 1));
        }
        assert_eq!(
            lease.deadline(),
            at(10_900),
            "it rests on the first heartbeat"
        );
        lease.shorten(Duration::from_secs(6));
        assert_eq!(lease.deadline(), at(1_000 + 5_940));
        lease.shorten(TIMEOUT);
        lease.committed(at(6_000), at(6_001));
        assert_eq!(lease.deadline(), at(2_000 + 5_940));
    }

    #[test]
    fn random_heartbeats_give_what_the_rule_says() {
        let seed = soloist_seed::seed();
        let mut random = soloist_seed::Random::new(seed);
        for _ in 0..300 {
            let (mut lease, mut beats, mut time) = (lease(), Vec::new(), at(0));
            for _ in 0..30 {
                time = time + Duration::from_millis(random.below(1_500));
                let sent = time;
                time = time + Duration::from_millis(1 + random.below(800));
                if random.below(4) > 0 {
                    beats.push((sent, time));
                    lease.committed(sent, time);
                    assert_eq!(lease.base, base_by_definition(at(0), &beats), "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn settings_without_room_are_refused_with_the_arithmetic() {
        let refused = Timing::new(Duration::from_secs(4), TICK, Duration::from_secs(2))
            .unwrap_err()
            .to_string();
        for part in ["4s", "40ms", "3.2s", "400ms", "2s"] {
            assert!(refused.contains(part), "{part} is missing in: {refused}");
        }
        assert!(
            Timing::new(
                Duration::from_secs(4),
                Duration::from_millis(500),
                Duration::from_secs(2)
            )
            .is_ok()
        );
    }

    #[test]
    fn figures_add_up() {
        let timing = Timing::new(TIMEOUT, TICK, Duration::from_secs(2)).unwrap();
        assert_eq!(
            (timing.session_timeout(), timing.demote_timeout()),
            (TIMEOUT, Duration::from_secs(2))
        );
        assert_eq!(timing.effects_stop_after(), Duration::from_millis(4_900));
        assert_eq!(timing.ridden_out(), Duration::from_millis(2_900));
        assert_eq!(timing.given_up_within(), Duration::from_secs(13));
    }
}
