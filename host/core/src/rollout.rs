//! The rollout of one task: which generation terms run, and when that changes. Pure, time is a parameter.
//!
//! ```text
//!            deploy                 enough hosts are ready          healthy_after
//!  (nothing) ------> Preparing --------------------------> Probation -----------> Healthy
//!                        ^        (the old one runs on)      |    |                  |
//!                        |                                   |    | failed, none     | an operator's rollback
//!                        | deploy                     failed |    v before it        v
//!                        +----------------------- RolledBack |  Failed           RolledBack
//!                                                      ^     |
//!                                                      +-----+
//! ```
//!
//! | who | decides | by |
//! |---|---|---|
//! | a host | what it prepares, whether it stands, and what its election writes | [`prepares`], [`stand`], [`elected`] |
//! | a leader | what it does next, and how the record changes | [`Leader::next`] |
//! | an operator | what the record becomes, or why not | [`deploy`], [`rollback`], [`pause`], [`resume`], [`undeploy`], [`purge`] |
//!
//! The term is the lock: a term runs the generation that was the current one when its leader was elected, and no other. So
//! whoever changes the current generation changes nothing that runs; the leader sees the change and gives the term back.
//!
//! A generation may be wanted in any stage but `Undeployed`. A generation that is on probation meanwhile can fail, and is then
//! taken back, but it is not found healthy any more: the one to go back to stays what the wanted manifest says it replaces.

mod change;
mod host;
mod leader;
mod operator;

use std::time::Duration;

pub use host::{Idle, Prepared, Purpose, elected, prepares, says, stand};
pub use leader::{GiveBack, Leader, Next, Participant, Plugin, Progress, Seen, View};
pub use operator::{
    Draft, GENERATIONS_KEPT, Refused, Undone, deploy, draft, expendable, pause, purge, purged,
    resume, rollback, undeploy,
};

/// How long a leader waits for hosts to be ready, and a host for others to stand, where no manifest says.
pub const READY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// After so many terms that showed nothing, because the plugin resigned or its host could not run it, a generation on probation
/// has failed.
pub const INCONCLUSIVE_MAX: u32 = 5;

/// What becomes of the state when a generation is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRollback {
    /// It is again what it was before the generation first ran.
    #[default]
    Restore,
    /// It stays.
    Keep,
}

/// What the manifest of a generation says about its rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A run of so long shows that the generation is healthy.
    pub healthy_after: Duration,
    /// What becomes of the state when it is taken back.
    pub on_rollback: OnRollback,
    /// Whether its plugin may change the state so that the one before cannot read it: then the state is copied first.
    pub migrates: bool,
    /// More failures than that in one term are a failure of the generation, however long the plugin ran in between.
    pub max_restarts: u32,
}

#[cfg(test)]
mod tests;
