//! What a host believes of its lease: what Soloist does, or something broken, which the model must find out.

use std::time::Duration;

use soloist_core::clock::Moment;
use soloist_core::lease::Lease;

/// How a host goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What Soloist does.
    Proved,
    /// Broken: the last answer of any kind, plus the session timeout.
    LastAnswer,
    /// Broken: the last committed write, plus the session timeout.
    LastWrite,
    /// Broken: no tick between the first and the second heartbeat.
    NoTick,
    /// Broken: no heartbeat between the first and the last.
    NoMiddle,
    /// Broken: nothing is given up for clocks that run at another rate.
    NoMargin,
    /// Broken: a server that agrees to a shorter session timeout is not heeded.
    DeafToShorter,
    /// Broken in another place: a leader does not look after its own candidate.
    BlindToCandidate,
    /// Broken there as well: a leader whose reading of the master node has failed does not try again.
    ReadsOnce,
    /// Broken where the task is taken away: the host does not wait until the plugin has stopped.
    WithdrawsAtOnce,
    /// Broken there as well: the host gives nothing back.
    KeepsWhatItHas,
    /// Broken where a guardian gives back: it takes a process that is stopped for one that is dead.
    GuardianFreesTheStopped,
    /// Broken there as well: it goes by what it has read, and nothing is checked when it writes.
    GuardianChecksNothing,
    /// Broken where a host is drained: it resigns, and stands again.
    DrainResigns,
    /// Broken where a host has no room: it takes no notice of that.
    RoomForAll,
    /// Broken where a leader names who follows: whoever was named once is for good.
    AppointedForGood,
    /// Broken there as well: whoever is elected out of turn stays where it stands in the queue.
    LeadsFromBehind,
}

/// The lease of one session.
#[derive(Debug)]
pub struct Belief {
    rule: Rule,
    lease: Lease,
    timeout: Duration,
    tick: Duration,
    /// All heartbeats, as sent and as known to be committed.
    beats: Vec<(Moment, Moment)>,
    simple: Moment,
}

impl Belief {
    pub fn new(rule: Rule, asked: Moment, timeout: Duration, tick: Duration) -> Self {
        let lease = match rule {
            Rule::NoTick => Lease::new(asked, timeout, Duration::ZERO),
            Rule::NoMargin => Lease::new(asked, timeout + timeout / 99, tick),
            _ => Lease::new(asked, timeout, tick),
        };
        let simple = lease.deadline();
        Self {
            rule,
            lease,
            timeout,
            tick,
            beats: Vec::new(),
            simple,
        }
    }

    pub fn deadline(&self) -> Moment {
        match self.rule {
            Rule::LastAnswer | Rule::LastWrite | Rule::NoMiddle => self.simple,
            _ => self.lease.deadline(),
        }
    }

    pub fn shorten(&mut self, timeout: Duration) {
        if self.rule != Rule::DeafToShorter {
            self.lease.shorten(timeout);
            self.timeout = timeout;
        }
    }

    pub fn committed(&mut self, sent: Moment, committed: Moment) {
        match self.rule {
            Rule::LastAnswer | Rule::LastWrite => self.rest_on(sent),
            Rule::NoMiddle => {
                let proved = self
                    .beats
                    .iter()
                    .rfind(|(_, committed)| *committed + self.tick <= sent)
                    .copied();
                if let Some((proved, _)) = proved {
                    self.rest_on(proved);
                }
                self.beats.push((sent, committed));
            }
            _ => self.lease.committed(sent, committed),
        }
    }

    pub fn answered(&mut self, sent: Moment) {
        if self.rule == Rule::LastAnswer {
            self.rest_on(sent);
        }
    }

    fn rest_on(&mut self, stamp: Moment) {
        self.simple = self.simple.max(stamp + self.timeout - self.timeout / 100);
    }
}
