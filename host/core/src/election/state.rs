//! Where one host is in the election of one task.

use crate::clock::Moment;
use crate::term::Term;

use super::Record;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not in the queue, nothing under way; `until` keeps this host out of it for a while.
    Away { until: Moment },
    /// Looking at, or joining, the queue.
    Looking,
    /// Standing by; a watch tells when to look again.
    Waiting,
    /// At the head of the queue, giving effects of the term before time to end: from when its master node is known to be
    /// gone, which is being read as long as there is no `until`.
    Delaying { until: Option<Moment>, over: Record },
    /// The election, or the reading of the master node after it, is under way.
    Electing,
    /// A step failed; look again at `at`.
    Retrying { at: Moment },
    /// The plugin runs. `reading` is a read of the master node under way, `again` says that another must follow.
    Leading {
        term: Term,
        reading: bool,
        again: bool,
        retry_at: Option<Moment>,
    },
    /// The plugin is being stopped; this host does not stand again before `until`.
    Stopping { term: Term, until: Moment },
    /// All is being given back; a failed attempt is made again at `retry_at`.
    Releasing {
        term: Option<Term>,
        until: Moment,
        retry_at: Option<Moment>,
    },
    /// The end.
    Finished,
}

/// What this session may hold in the task besides a term.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holdings {
    /// A place in the queue.
    pub(super) place: bool,
    /// The master node: an election was never answered.
    pub(super) master: bool,
}
