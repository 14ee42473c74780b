//! A host: the real election and the real lease, a clock that runs a little wrong, and a plugin that tries to have
//! effects all the time.

use std::collections::VecDeque;
use std::time::Duration;

use soloist_core::clock::Moment;
use soloist_core::election::{Action, Election, Input, Now, Queue, Record, Settings};
use soloist_core::term::Term;

use crate::belief::{Belief, Rule};
use crate::change::Release;
use crate::plan::{HostId, Nanos, Plan, Session, time};

/// A plugin at work.
#[derive(Clone, Debug)]
pub struct Activation {
    pub term: Term,
    pub session: Session,
    /// The candidate that fences its writes.
    pub candidate: u64,
    /// Distinguishes this activation's timers from those of another.
    pub id: u64,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub enum Ask {
    Attach(Option<Session>),
    Close(Session),
    Ping,
    Heartbeat,
    Look,
    Join,
    StepBack(Vec<u64>),
    Await {
        other: u64,
        own: Option<u64>,
    },
    Wake {
        other: u64,
        own: u64,
    },
    Elect {
        over: Record,
        candidate: u64,
        place: Option<u64>,
    },
    ReadMaster {
        own: Option<u64>,
    },
    Release(Release),
    Store {
        term: Term,
        candidate: u64,
    },
}

/// What a host watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The candidate before it, and its own, as often as each was written.
    Candidates { other: (u64, u64), own: (u64, u64) },
    /// The master node, as created by this transaction.
    Master(u64),
    /// The same, the term record of that transaction, and its own candidate.
    Leadership { zxid: u64, own: u64 },
}

/// What was read of the queue, for the requests that follow.
#[derive(Clone, Debug)]
pub struct Seen {
    pub own: Vec<u64>,
    pub queue: Queue,
    /// Where it stands if it is elected out of turn.
    pub place: Option<u64>,
}

/// Whether a process stands for the task, and whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It stands for the task.
    Stands,
    /// The task is taken away from it, and it gives back what it holds there.
    Withdraws,
    /// It has given all of that back, and goes on without the task.
    WithoutTask,
    /// It was told to end.
    ShutsDown,
}

/// Whether a host that is drained keeps a term that it has.
pub type Keeps = bool;

/// A request of the election.
#[derive(Clone, Debug)]
pub struct Request {
    pub id: u64,
    pub ask: Ask,
    /// It waits for a connection.
    pub unsent: bool,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is true or not whatever the others are"
)]
#[derive(Debug)]
pub struct Host {
    pub id: HostId,
    pub rule: Rule,
    /// Local nanoseconds per real second, as an error in parts per million.
    clock_error_ppm: i64,
    tick: Duration,
    pub running: bool,
    /// Distinguishes this process from those before it.
    pub process: u64,
    /// Nothing happens on a host that is stopped until then.
    pub stopped_until: Nanos,
    /// Nothing it sends arrives, and nothing reaches it.
    pub isolated_until: Nanos,

    pub session: Option<Session>,
    /// The shortest session timeout that any server is known to agree to.
    pub timeout: Nanos,
    pub asked: Moment,
    pub belief: Belief,
    /// The server it is connected to, and the number of that connection.
    pub server: Option<usize>,
    pub connection: u64,
    pub ready: bool,
    pub last_heard: Nanos,
    pub connecting_since: Nanos,
    pub to_server: Nanos,
    pub from_server: Nanos,
    /// How much of the ensemble's log it has seen the effects of.
    pub applied: usize,
    pub heartbeat: Option<(u64, Moment)>,
    pub ping: Option<(u64, Moment)>,

    pub election: Election,
    /// What has happened and was not handed to the election yet; whether it is being handed something.
    pub inputs: VecDeque<Input>,
    pub handling: bool,
    pub request: Option<Request>,
    pub watch: Option<Watch>,
    pub seen: Option<Seen>,
    /// The version of the history, as read in the present term.
    pub history: Option<i32>,
    /// The only timer that counts.
    pub timer: u64,
    pub activation: Option<Activation>,
    pub activations: u64,
    /// How often it was named as the one that follows.
    pub named: u64,
    /// Whom the present term is to be given up for.
    pub successor: Option<HostId>,
    pub stay: Stay,
    /// It has no room for the task, until it has.
    pub full: bool,
    /// The record over which it has given way.
    pub given_way: Option<Record>,
    /// Whether an operator has drained it, and whether it keeps a term that it has. That outlives the process.
    pub drained: Option<Keeps>,
}

impl Host {
    pub fn new(id: HostId, rule: Rule, clock_error_ppm: i64, plan: &Plan) -> Self {
        let tick = time(plan.tick);
        Self {
            id,
            rule,
            clock_error_ppm,
            tick,
            running: true,
            process: 0,
            stopped_until: 0,
            isolated_until: 0,
            session: None,
            timeout: plan.session_timeout,
            asked: Moment::default(),
            belief: Belief::new(rule, Moment::default(), Duration::ZERO, tick),
            server: None,
            connection: 0,
            ready: false,
            last_heard: 0,
            connecting_since: 0,
            to_server: 0,
            from_server: 0,
            applied: 0,
            heartbeat: None,
            ping: None,
            election: election(plan),
            inputs: VecDeque::new(),
            handling: false,
            request: None,
            watch: None,
            seen: None,
            history: None,
            timer: 0,
            activation: None,
            activations: 0,
            named: 0,
            successor: None,
            stay: Stay::Stands,
            full: false,
            given_way: None,
            drained: None,
        }
    }

    /// The process ends, at once and with all that it had; what begins anew later is another one.
    pub fn end(&mut self, plan: &Plan) {
        let (stopped_until, isolated_until) = (self.stopped_until, self.isolated_until);
        let (connection, timer, activations) =
            (self.connection + 1, self.timer + 1, self.activations);
        let (process, drained) = (self.process + 1, self.drained);
        let new = Self::new(self.id, self.rule, self.clock_error_ppm, plan);
        *self = Self {
            running: false,
            process,
            stopped_until,
            isolated_until,
            connection,
            timer,
            activations,
            drained,
            ..new
        };
    }

    /// The host has given back all that it held in a task that was taken away. It waits for no answer any more.
    pub fn lose_task(&mut self) {
        self.stay = Stay::WithoutTask;
        (self.request, self.watch, self.seen) = (None, None, None);
        (self.successor, self.history) = (None, None);
    }

    /// The task is this host's again: its election begins anew.
    pub fn regain_task(&mut self, plan: &Plan) {
        self.stay = Stay::Stands;
        self.full = false;
        self.election = election(plan);
    }

    /// What the host's clock shows at a real time.
    pub fn clock(&self, real: Nanos) -> Moment {
        let wrong = i128::from(real) * i128::from(1_000_000 + self.clock_error_ppm) / 1_000_000;
        Moment::from_nanos(u64::try_from(wrong).expect("time is positive"))
    }

    /// When, in real time, the host's clock shows a moment.
    pub fn real(&self, moment: Moment) -> Nanos {
        let real = i128::from(moment.as_nanos()) * 1_000_000
            / i128::from(1_000_000 + self.clock_error_ppm);
        u64::try_from(real).expect("time is positive") + 1
    }

    pub fn deadline(&self) -> Moment {
        self.session
            .map_or(Moment::default(), |_| self.belief.deadline())
    }

    /// Whether the lease allows effects at a real time.
    pub fn has_lease(&self, real: Nanos) -> bool {
        self.clock(real) < self.deadline()
    }

    /// The plugin, if it may have an effect at a real time: what every import asks.
    pub fn permitted(&self, real: Nanos) -> Option<&Activation> {
        let activation = self
            .activation
            .as_ref()
            .filter(|activation| self.session == Some(activation.session))?;
        self.has_lease(real).then_some(activation)
    }

    pub fn handle(&mut self, real: Nanos, input: Input) -> Vec<Action> {
        let now = Now {
            time: self.clock(real),
            deadline: self.deadline(),
        };
        self.election.handle(now, input)
    }

    /// When, in real time, the election wants to be woken.
    pub fn wake_at(&self) -> Option<Nanos> {
        self.election
            .wake_at(self.deadline())
            .map(|wake| self.real(wake))
    }

    /// A session is there: its lease begins.
    pub fn begin(&mut self, session: Session) {
        self.session = Some(session);
        self.belief = Belief::new(self.rule, self.asked, time(self.timeout), self.tick);
    }
}

/// An election that begins.
fn election(plan: &Plan) -> Election {
    Election::new(settings(plan))
}

/// The settings of an election.
pub fn settings(plan: &Plan) -> Settings {
    Settings {
        demote_timeout: time(plan.demote_timeout),
        successor_delay: time(plan.successor_delay),
    }
}
