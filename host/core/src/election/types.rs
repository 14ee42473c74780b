//! What the election is told, and what it asks for.

use std::time::Duration;

use crate::clock::Moment;
use crate::term::{Demotion, Term};

/// The task's queue of candidates and its term record, as read from the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many candidates stand before this host; `None` when it is not in the queue.
    pub ahead: Option<usize>,
    /// The candidate right before this host. The host watches no other.
    pub predecessor: Option<String>,
    /// Whom the previous leader gave its term back in favour of, if that host stands.
    pub appointed: Appointed,
    /// What the term record says.
    pub record: Record,
}

impl Queue {
    /// Whether an election of this host over `over` takes it to the head of the queue, past those who stand before it.
    ///
    /// Only the host that the record names may do that, and only over that very version of the record. The version says that
    /// the term before was released: its leader has stopped, and its candidate went with the same transaction. Nobody was
    /// elected since, because every election writes the record.
    pub fn takes_the_head(&self, over: &Record) -> bool {
        let stands_behind = self.ahead.is_some_and(|ahead| ahead > 0);
        self.appointed == Appointed::ThisHost && stands_behind && self.record == *over
    }
}

/// In whose favour a term was given back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Appointed {
    /// Nobody's who stands.
    #[default]
    Nobody,
    /// This host's: it does not wait for those who stand before it.
    ThisHost,
    /// Another host's.
    Another {
        /// The name of its candidate.
        candidate: String,
        /// Whether it may be elected where it stands. If not, it has to come to the head of the queue first, because it is of
        /// an earlier release.
        out_of_turn: bool,
    },
}

/// The task's term record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The number of the latest term, 0 before the first.
    pub number: u64,
    /// The data version of the record.
    pub version: i32,
    /// The data version of the history.
    pub history: i32,
    /// The host that leads, or led, that term.
    pub host: Option<String>,
    /// The term was released in order: the plugin of its leader has stopped.
    pub released: bool,
}

/// How often a release writes the history. A release that names a successor, or says that the task has been done, writes it
/// once more for each: the next host then finds other versions than it foresaw, and reads first. An election writes the
/// history once, if the term before was lost.
pub const RELEASE_WRITES: i32 = 2;

impl Record {
    /// The record as a release of this term leaves it, if the release names no successor.
    ///
    /// No other writes lead to these two versions while the only candidate ahead is there. That candidate may be elected,
    /// even several times if it never hears of its election, each time over a term that was lost: then both versions grow
    /// by the same number. Its release is the last thing it does, and that alone makes the versions grow apart.
    #[must_use]
    pub fn given_back(self) -> Self {
        Self {
            version: self.version.saturating_add(1),
            history: self.history.saturating_add(RELEASE_WRITES),
            released: true,
            ..self
        }
    }

    /// Whether an election over `over` may rest on this record, which the host has read. The record is `over`, or becomes
    /// `over` by its release.
    pub fn leads_to(&self, over: &Self) -> bool {
        self == over || self.clone().given_back() == *over
    }
}

/// Who holds the master node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This session, in the term given.
    Me(Term),
    /// This session, by an attempt whose term record is not there.
    MeWithoutTerm,
    /// This session, whose candidate is gone: if this node went as well, nothing would hold a successor back.
    MeWithoutPlace,
    /// Another session, by the name that the log shows.
    Other(String),
    /// Nobody: a node that no session owns stands in its place, and does not go by itself.
    Unowned,
    /// Nobody.
    Nobody,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A session that can write is there.
    SessionStarted,
    /// The session has ended. The ensemble deletes, or has deleted, what the session owned.
    SessionEnded,
    /// Answer to [`Action::Look`].
    Looked(Queue),
    /// Answer to [`Action::Join`] and to [`Action::StepBack`].
    Joined,
    /// Answer to [`Action::Elect`]: the election is committed.
    Elected(Term),
    /// Answer to [`Action::Elect`]: the ensemble wrote nothing, because the record that the election rests on has changed.
    Outdated,
    /// Answer to [`Action::Elect`] when the node is there already, and to [`Action::ReadMaster`]. The host watches the nodes
    /// that it has read.
    MasterSeen(Holder),
    /// Answer to [`Action::AwaitPredecessor`] and to [`Action::AwaitAppointed`]: the other candidate and this host's own are
    /// there, and watched.
    Awaiting,
    /// Answer to the same: one of the two is gone already.
    Gone,
    /// Answer to [`Action::Release`]: the host has nothing left in the task.
    Released,
    /// The request under way failed. It may or may not have had an effect.
    Failed,
    /// The ensemble refused the request under way, did nothing, and will refuse it again.
    Refused,
    /// A watch has fired.
    Changed,
    /// The connection was lost and is there again: something may have changed.
    Reconnected,
    /// The plugin or an operator asks the host to give leadership up, and to stay out of the queue for a while.
    Resign {
        /// How long this host does not stand again.
        stay_out: Duration,
    },
    /// This host does not take the task that it was about to be elected for, because it leads as many as it may. It leaves the
    /// queue, and stands again after [`Input::Room`].
    Full,
    /// This host leads fewer tasks than it may.
    Room,
    /// This host does not take the task that it was about to be elected for if another one does. It goes to the end of the
    /// queue.
    Yield,
    /// The plugin has stopped: its store is dropped, so it can have no effect any more.
    Stopped,
    /// The task is to be done in another way from the next term on, with these settings: a term under way ends, and nothing that
    /// kept this host out of the queue does any more.
    Renewed(Settings),
    /// An operator has the task tried again: what this host rests for is no reason to rest any more.
    Retry,
    /// An operator has drained this host: it gives back what it holds in the task, and stands again after [`Input::Undrain`].
    Drain {
        /// Whether a term of this host goes on, until it ends for another reason.
        keep: bool,
    },
    /// The host is drained no more.
    Undrain,
    /// This host no longer stands for the task. Its session goes on, so it first gives back all that it holds in the task.
    Withdraw,
    /// The host is shutting down, and its session ends.
    Shutdown,
    /// The moment asked for by [`Election::wake_at`](super::Election::wake_at) has come.
    Timer,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the queue and the term record.
    Look,
    /// Join the end of the queue.
    Join,
    /// Leave the queue and join its end.
    StepBack,
    /// Set a watch on the candidate of this name, and on this host's own.
    AwaitPredecessor(String),
    /// Wake the host whose candidate has this name, which is to be elected now, and set a watch on that and on this host's own.
    AwaitAppointed(String),
    /// Create the master node and write the term record over `over`, both or neither.
    Elect {
        /// The record as it was read, or as it is once its term is given back.
        over: Record,
    },
    /// Read and watch the three nodes that leadership needs: the master node, the term record, this host's own candidate.
    ReadMaster,
    /// Start the plugin.
    Activate(Term),
    /// Ask the plugin to stop.
    Demote(Demotion),
    /// Stop the plugin by force.
    Revoke,
    /// Give back all that this host holds in the task: the master node, the term, the place in the queue.
    Release {
        /// The term to be recorded as released.
        term: Option<Term>,
    },
    /// Let the session go, and with it all that this host holds: the ensemble refuses every release.
    LeaveSession,
    /// Say that this host leaves the queue for so long, because the ensemble refuses its requests.
    AnnounceRest(Duration),
    /// Say that this host stands by.
    AnnounceStandby {
        /// How many candidates stand before this host.
        ahead: usize,
        /// Who leads, where that is known.
        leader: Option<String>,
    },
    /// Say that the election was won.
    AnnounceElected(Term),
    /// Say that the term was given back.
    AnnounceReleased(Term),
    /// The machine has ended.
    Finish,
}

/// Where a host is in the election of one task, for whoever wants to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It does not stand: it has no session, or stays out of the queue for a while.
    #[default]
    Away,
    /// It does not stand, because the host leads as many tasks as it may.
    Full,
    /// It stands, or is about to. As far as it knows, it is not at the head of the queue.
    Standby,
    /// It is at the head of the queue, and is about to be elected.
    Electing,
    /// It leads.
    Leading,
    /// It has led, and its plugin is being stopped.
    Stopping,
    /// It gives back what it holds.
    Releasing,
    /// It stands no more.
    Finished,
}

/// What the machine knows besides its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time.
    pub time: Moment,
    /// Until when the present session's lease allows effects.
    pub deadline: Moment,
}

/// Settings of one task's election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long before the lease's deadline demotion begins.
    pub demote_timeout: Duration,
    /// How long a successor waits when the term before was not released in order.
    pub successor_delay: Duration,
}
