//! Where one host is in the election of one task.

use crate::clock::Moment;
use crate::term::Term;

use super::Record;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The host is not in the queue, and stays out of it until `until`. No request is under way.
    Away { until: Moment },
    /// Looking at, or joining, the queue.
    Looking,
    /// Standing by; a watch tells when to look again.
    Waiting,
    /// At the head of the queue. The host gives effects of the term before time to end, counted from the moment at which it
    /// knows that the master node is gone. Without `until` it is still reading that node.
    Delaying { until: Option<Moment>, over: Record },
    /// The election, or the reading of the master node after it, is under way.
    Electing,
    /// A step failed; look again at `at`.
    Retrying { at: Moment },
    /// The plugin runs. `reading`: a read of the master node is under way. `again`: another read must follow.
    Leading {
        term: Term,
        reading: bool,
        again: bool,
        retry_at: Option<Moment>,
    },
    /// The plugin is being stopped; this host does not stand again before `until`.
    Stopping { term: Term, until: Moment },
    /// The host gives everything back. After a failed attempt it tries again at `retry_at`.
    Releasing {
        term: Option<Term>,
        until: Moment,
        retry_at: Option<Moment>,
    },
    /// The end.
    Finished,
}

/// Why a host stands no more; what counts more comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// The task is no longer this host's. Its session goes on.
    Withdrawal,
    /// The host ends, and its session with it.
    Shutdown,
}

/// What this session may hold in the task besides a term.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holdings {
    /// A place in the queue.
    pub(super) place: bool,
    /// The master node, because an election was never answered, or without its term or its place.
    pub(super) master: bool,
}
