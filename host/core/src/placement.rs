//! Where tasks are led, if hosts may choose: which of its terms a leader hands to which standby, and when.
//!
//! There is no controller. Each leader decides about its own terms alone, by what hosts say of themselves beside their
//! heartbeats. These records are read at different times, so two leaders may see different loads. Four rules keep them from
//! answering the same want twice, or from undoing what the other has done:
//!
//! - **The plan is everybody's** (`share`). A leader works out who gives how much to whom as if it saw what all see, and does
//!   its own part of that only. Leaders that see about the same plan about the same.
//! - **A term rests.** It is moved no earlier than `cool_down` after it began, wherever it began, and only once it has run well.
//! - **Coming and going is waited out.** A host takes nothing before it has been there for `grace`, and whoever has gone away
//!   keeps its share for as long ([`Sightings`]). So a restart, or a host that comes and goes, moves nothing by itself.
//! - **A move is seen before the next.** A leader that has handed something over decides again only when the terms are others'
//!   and the hosts concerned have said since what they lead. Otherwise it would hand over the same load again.
//!
//! Nothing here reads a clock, and nothing is asked of the ensemble.

use std::time::Duration;

use serde::{Deserialize, Serialize};

mod decide;
mod label;
mod share;
mod sightings;

pub use decide::decide;
pub use label::{BadLabel, LABELS_MAX, Label};
pub use sightings::Sightings;

/// How much a host carries beside others, and a task beside others, unless told otherwise.
pub const WEIGHT_DEFAULT: u32 = 1;
/// The highest weight of a host or a task.
pub const WEIGHT_MAX: u32 = 1_000;
/// How many tasks a task may avoid.
pub const AVOIDED_MAX: usize = 16;
/// How many terms a leader hands over at once. Those that are left wait for the next look.
pub const MOVES_MAX: usize = 100;

/// Where a task is led best, as the configuration of one host, or a manifest, says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPlacement {
    /// The higher, the rather does this host lead the task. Hosts may have different ones.
    pub priority: i32,
    /// Whether a standby that should rather lead the task gets it while it is led elsewhere.
    pub preempt: bool,
    /// Labels of hosts that should rather lead it.
    pub prefer: Vec<Label>,
    /// Labels that a host has to have to stand for it.
    pub require: Vec<Label>,
    /// Tasks that should not be led by the same host.
    pub avoid: Vec<String>,
    /// How much of a host it takes.
    pub weight: u32,
    /// Whether it is moved to spread the load.
    pub spread: bool,
}

impl Default for TaskPlacement {
    fn default() -> Self {
        Self {
            priority: 0,
            preempt: false,
            prefer: Vec::new(),
            require: Vec::new(),
            avoid: Vec::new(),
            weight: WEIGHT_DEFAULT,
            spread: true,
        }
    }
}

impl TaskPlacement {
    /// The first label that a host has to have and lacks. None if it may stand.
    pub fn lacks(&self, labels: &[Label]) -> Option<&Label> {
        self.require.iter().find(|label| !labels.contains(label))
    }

    /// How much a host with these labels is to lead the task rather than others: compared within the task.
    fn rank(&self, priority: i32, labels: &[Label]) -> Rank {
        let preferred = self.prefer.iter().filter(|label| labels.contains(label));
        (priority, preferred.count())
    }
}

/// How much a host is to lead a task rather than others.
type Rank = (i32, usize);

/// What a host says of itself beside its heartbeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLoad {
    /// What it is known by to tasks that care where they are led.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// How much it carries beside others.
    pub weight: u32,
    /// How many tasks it leads at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active: Option<u32>,
    /// How many tasks it leads.
    pub active: u32,
    /// What these weigh together.
    pub load: u32,
    /// For how long its session has been there, in seconds.
    pub up: u64,
    /// Whether it takes part in spreading the load.
    pub spread: bool,
}

impl HostLoad {
    /// How much it carries beside others. Anybody may have written the record.
    fn capacity(&self) -> u64 {
        self.weight.clamp(1, WEIGHT_MAX).into()
    }

    /// Whether it leads as many tasks as it may.
    pub fn is_full(&self) -> bool {
        self.max_active.is_some_and(|max| self.active >= max)
    }
}

/// One host, as a leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub host: String,
    /// What it said last.
    pub load: HostLoad,
    /// An operator has drained it.
    pub drained: bool,
    /// It is not there, and may be back in a moment.
    pub absent: bool,
    /// How often its record has been written: the version of the node.
    pub written: i32,
}

/// A host that stands for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// Its id.
    pub host: String,
    /// The priority that the task has there.
    pub priority: i32,
}

/// One term of the host that decides.
#[derive(Clone, Debug)]
pub struct Led<'a> {
    /// The task.
    pub task: &'a str,
    /// Where it is led best.
    pub placement: &'a TaskPlacement,
    /// For how long this term has lasted.
    pub led_for: Duration,
    /// Whether its plugin has run well, and no rollout is under way.
    pub steady: bool,
    /// Whether this host leads another task that this one avoids.
    pub crowded: bool,
    /// Who stands for it, if that is known.
    pub standbys: Option<&'a [Standby]>,
    /// Hosts that are not to have it for now: they did not take it, or lead a task that this one avoids.
    pub shunned: &'a [String],
}

/// The times of moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a host has to have been there before it takes a task, and how long one that has gone is waited for.
    pub grace: Duration,
    /// How long a term rests before it is moved.
    pub cool_down: Duration,
}

/// Why a term is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The standby should rather lead it.
    Preempted,
    /// This host leads a task that it avoids.
    Avoids,
    /// This host leads more than its share.
    Spread,
}

impl Why {
    /// What is told of a term that is handed over for this reason: in the log, and in the history.
    pub fn tell(self, to: &str) -> String {
        match self {
            Self::Preempted => format!("{to} should rather lead it, and takes over"),
            Self::Avoids => format!("{to} takes over: this host leads a task that it avoids"),
            Self::Spread => format!("{to} takes over: this host leads more than its share"),
        }
    }
}

/// A term to be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The task.
    pub task: String,
    /// Who is to lead it.
    pub to: String,
    /// Why.
    pub why: Why,
}

#[cfg(test)]
mod tests;
