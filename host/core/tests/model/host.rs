//! A host: the real election and the real lease, with a clock that runs a little wrong, and a plugin that tries to
//! have effects all the time.

use std::time::Duration;

use soloist_core::clock::Moment;
use soloist_core::election::{Action, Election, Input, Now, Settings};
use soloist_core::lease::Lease;
use soloist_core::term::Term;

use crate::ensemble::{Nanos, Session};

/// What a host believes its lease to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What Soloist does.
    Proved,
    /// Broken: the last answer of any kind, plus the session timeout.
    LastAnswer,
    /// Broken: the last committed write, plus the session timeout.
    LastWrite,
    /// Broken in another place: a leader does not look after its own candidate.
    BlindToCandidate,
}

/// A plugin at work.
#[derive(Clone, Debug)]
pub struct Activation {
    pub term: Term,
    pub session: Session,
    /// Distinguishes this activation's timers from those of another.
    pub id: u64,
    pub stopping: bool,
}

/// What a host watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The candidate before it, and its own.
    Candidates { predecessor: u64, own: Session },
    /// The master node that another holds.
    Master,
    /// Its own master node and candidate.
    Leadership(Session),
}

#[derive(Debug)]
pub struct Host {
    pub rule: Rule,
    /// Local nanoseconds per real second, as an error in parts per million.
    pub clock_error_ppm: i64,
    pub timing: (Duration, Duration),
    pub session: Option<Session>,
    pub deadline: Moment,
    pub lease: Lease,
    pub election: Election,
    pub activation: Option<Activation>,
    pub activations: u64,
    pub actions: Vec<Action>,
    /// Nothing happens on a host that is stopped until then.
    pub stopped_until: Nanos,
    /// Nothing it sends arrives, and nothing reaches it.
    pub isolated_until: Nanos,
    /// The server it is connected to, and the number of that connection.
    pub server: Option<usize>,
    pub connection: u64,
    pub ready: bool,
    pub last_heard: Nanos,
    pub to_server: Nanos,
    pub from_server: Nanos,
    /// The request of the election under way, and when it was made; those made without a connection wait for one.
    pub request: Option<(u64, Action)>,
    pub unsent: bool,
    pub heartbeat: Option<(u64, Moment)>,
    pub ping: Option<(u64, Moment)>,
    pub watch: Option<Watch>,
    pub asked: Moment,
    pub started: bool,
}

impl Host {
    pub fn new(rule: Rule, clock_error_ppm: i64, timing: (Duration, Duration), budget: Duration) -> Self {
        let settings = Settings { demote_budget: budget, successor_delay: Duration::ZERO };
        Self {
            rule,
            clock_error_ppm,
            timing,
            session: None,
            deadline: Moment::default(),
            lease: Lease::new(Moment::default(), timing.0, timing.1),
            election: Election::new(settings),
            activation: None,
            activations: 0,
            actions: Vec::new(),
            stopped_until: 0,
            isolated_until: 0,
            server: None,
            connection: 0,
            ready: false,
            last_heard: 0,
            to_server: 0,
            from_server: 0,
            request: None,
            unsent: false,
            heartbeat: None,
            ping: None,
            watch: None,
            asked: Moment::default(),
            started: false,
        }
    }

    /// What the host's clock shows at a real time.
    pub fn clock(&self, real: Nanos) -> Moment {
        let wrong = i128::from(real) * i128::from(1_000_000 + self.clock_error_ppm) / 1_000_000;
        Moment::from_nanos(u64::try_from(wrong).expect("time is positive"))
    }

    /// When, in real time, the host's clock shows a moment.
    pub fn real(&self, moment: Moment) -> Nanos {
        let real = i128::from(moment.as_nanos()) * 1_000_000 / i128::from(1_000_000 + self.clock_error_ppm);
        u64::try_from(real).expect("time is positive") + 1
    }

    pub fn now(&self, real: Nanos) -> Now {
        Now { time: self.clock(real), deadline: if self.session.is_some() { self.deadline } else { Moment::default() } }
    }

    /// Whether the plugin may have an effect at a real time: what every import asks.
    pub fn permitted(&self, real: Nanos) -> Option<&Activation> {
        let activation = self.activation.as_ref().filter(|activation| self.session == Some(activation.session))?;
        (self.clock(real) < self.deadline).then_some(activation)
    }

    pub fn feed(&mut self, real: Nanos, input: Input) {
        let actions = self.election.handle(self.now(real), input);
        self.actions.extend(actions);
    }

    /// A session is there: its lease begins.
    pub fn begin(&mut self, session: Session) {
        self.session = Some(session);
        self.lease = Lease::new(self.asked, self.timing.0, self.timing.1);
        self.deadline = self.lease.deadline();
    }

    /// Whether this is the first session of all.
    pub fn timing_started(&mut self) -> bool {
        !std::mem::replace(&mut self.started, true)
    }

    fn simple_deadline(&self, sent: Moment) -> Moment {
        self.deadline.max(sent + self.timing.0 - self.timing.0 / 100)
    }

    pub fn heartbeat_committed(&mut self, sent: Moment, real: Nanos) {
        self.deadline = match self.rule {
            Rule::Proved | Rule::BlindToCandidate => {
                self.lease.committed(sent, self.clock(real));
                self.lease.deadline()
            }
            Rule::LastAnswer | Rule::LastWrite => self.simple_deadline(sent),
        };
    }

    pub fn ping_answered(&mut self, sent: Moment) {
        if self.rule == Rule::LastAnswer {
            self.deadline = self.simple_deadline(sent);
        }
    }
}
