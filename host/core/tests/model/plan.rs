//! What is drawn for one world before it begins.

use std::time::Duration;

use soloist_core::lease::Timing;

use crate::random::Random;

pub type Nanos = u64;
pub type Session = u64;
pub type HostId = usize;

pub const MS: Nanos = 1_000_000;
pub const SECOND: Nanos = 1_000 * MS;
pub const SERVERS: usize = 3;

/// The settings of hosts and servers. Other times of a world (how long a fault lasts, how slow a message is) are in
/// proportion to them.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is drawn by itself, and any may meet any"
)]
pub struct Plan {
    pub hosts: usize,
    pub tick: Nanos,
    pub session_timeout: Nanos,
    /// What some servers agree to at most: less than is asked for, or the same.
    pub shorter_timeout: Nanos,
    /// How many heartbeats are sent in one session timeout: as many as real hosts send, or more.
    pub beats: u64,
    pub demote_timeout: Nanos,
    pub successor_delay: Nanos,
    /// The first host is refused something, for a while or from then on for good.
    pub refused: Option<Refusal>,
    /// One in so many requests fails though the connection stays.
    pub failing: u64,
    /// Operators take the task away from hosts, and give it back later, by reloads of their configuration.
    pub reloads: bool,
    /// Other generations of the task take over.
    pub renewals: bool,
    /// Operators drain hosts, and have them stand again.
    pub drains: bool,
    /// Hosts have no room for the task for a while, or have reason to be led elsewhere, and give way once.
    pub placement: bool,
    /// So many hosts, the first ones, are of the release before: they are not elected out of turn, and do not know that others
    /// are.
    pub older: usize,
    /// Each process has a guardian.
    pub guardians: bool,
}

/// What the ensemble refuses: nothing of it is done, and it will be refused again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// To be elected.
    Elections,
    /// All that changes something, even to give back what is held.
    All,
}

impl Plan {
    /// Every second world has reloads. The seed decides, so that worlds without them stay as they were.
    pub fn draw(seed: u64, random: &mut Random) -> Self {
        let tick = 200 * MS + random.below(1_800 * MS);
        let session_timeout = match random.below(6) {
            0 => 20 * tick + random.below(100 * tick),
            _ => 2 * tick + random.below(16 * tick),
        };
        let shorter_timeout = match random.below(3) {
            0 => session_timeout / 2 + random.below(session_timeout / 2),
            _ => session_timeout,
        };
        // A shorter timeout that leaves no room at all makes a host give up its session: that is not modelled. And some
        // room has to be there for a lease to be renewed while all is well.
        let fits = |timeout: Nanos, budget: Nanos| {
            Timing::new(time(timeout), time(tick), time(budget))
                .is_ok_and(|it| it.ridden_out() >= time(tick / 2))
        };
        let (session_timeout, shorter_timeout) =
            match (fits(shorter_timeout, MS), fits(session_timeout, MS)) {
                (true, _) => (session_timeout, shorter_timeout),
                (false, true) => (session_timeout, session_timeout),
                (false, false) => (4 * tick, 4 * tick),
            };
        let mut demote_timeout = random.below(session_timeout);
        while !fits(shorter_timeout, demote_timeout) {
            demote_timeout /= 2;
        }
        Self {
            hosts: 2 + usize::try_from(random.below(4)).expect("small"),
            tick,
            session_timeout,
            shorter_timeout,
            beats: if random.below(2) == 0 {
                10
            } else {
                10 + random.below(40)
            },
            demote_timeout,
            successor_delay: if random.below(2) == 0 {
                0
            } else {
                random.below(session_timeout)
            },
            refused: match random.below(6) {
                0 => Some(Refusal::Elections),
                1 => Some(Refusal::All),
                _ => None,
            },
            failing: 10 + random.below(200),
            reloads: seed % 2 == 1,
            renewals: seed % 8 == 5,
            drains: matches!(seed % 8, 3 | 6),
            placement: matches!(seed % 8, 0 | 4 | 7),
            older: if seed % 4 == 2 { 2 } else { 0 },
            guardians: matches!(seed % 8, 1 | 4 | 6 | 7),
        }
    }

    /// How long a server serves its clients without its leader: ZooKeeper's syncLimit.
    pub fn sync_limit(&self) -> Nanos {
        5 * self.tick
    }

    /// Once nothing goes wrong any more, somebody leads and everybody stands after this time at the latest. It is made of: a
    /// session that nobody renews, whose time a new leader of the ensemble has begun anew; the rest after a resignation;
    /// the delay of a successor, which two may wait for in turn; the longest pause before a step that has failed is tried again;
    /// and the time until a host that had no room has some.
    pub fn recovery(&self) -> Nanos {
        // Somebody whom the ensemble refuses is refused three times before it makes way, and when it gives back what it has.
        let refusals = if self.refused.is_some() {
            60 * SECOND
        } else {
            0
        };
        let session = self.session_timeout + 3 * self.tick;
        let room = if self.placement {
            self.session_timeout
        } else {
            0
        };
        2 * session
            + self.session_timeout
            + 2 * self.successor_delay
            + 11 * SECOND
            + refusals
            + room
    }
}

pub fn time(nanos: Nanos) -> Duration {
    Duration::from_nanos(nanos)
}
