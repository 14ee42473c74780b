//! A scenario: a fault, how the plugin acts meanwhile, and what is to come of it.

mod all;

pub use all::ALL;

use std::time::Duration;

use anyhow::Result;

use crate::fault::Fault;
use crate::lab::{Lab, Reach, Run, SESSION_TIMEOUT};

/// What is to come of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Another term follows while the fault lasts.
    Handover,
    /// Another term follows, and nothing can hold it back until the last has ended: how far they overlap is measured.
    /// Marked with a star.
    Unprotected,
    /// The leader is not demoted.
    SameTerm,
    /// Either, as it happens; whatever happens, no two act.
    Either,
}

#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub fault: Fault,
    /// In which way the plugin acts.
    pub by: &'static str,
    /// Which servers the hosts are told of, the leader first.
    pub reach: [Reach; 3],
    pub outcome: Outcome,
    /// Whether the short form of the suite has it.
    pub short: bool,
}

const fn scenario(name: &'static str, fault: Fault, outcome: Outcome) -> Scenario {
    Scenario {
        name,
        fault,
        by: "waiting",
        reach: [Reach::All; 3],
        outcome,
        short: true,
    }
}

impl Scenario {
    const fn by(self, by: &'static str) -> Self {
        Self { by, ..self }
    }

    const fn leader_on(self, reach: Reach) -> Self {
        Self {
            reach: [reach, Reach::All, Reach::All],
            ..self
        }
    }

    const fn all_on(self, reach: Reach) -> Self {
        Self {
            reach: [reach; 3],
            ..self
        }
    }

    const fn second_on(self, reach: Reach) -> Self {
        Self {
            reach: [Reach::All, reach, Reach::All],
            ..self
        }
    }

    const fn long(self) -> Self {
        Self {
            short: false,
            ..self
        }
    }

    /// Whether the proxy, which knows messages by what is in them, stands between hosts and servers: then TLS cannot.
    pub fn needs_plain(&self) -> bool {
        self.reach.contains(&Reach::Proxy)
    }

    /// Runs it once.
    pub async fn run(&self, lab: &mut Lab) -> Result<Run> {
        self.fault.prepare(lab).await?;
        lab.begin(self.by, self.reach).await?;
        let token = lab.token();
        self.fault.inflict(lab).await?;
        if matches!(self.outcome, Outcome::Handover | Outcome::Unprotected) {
            lab.successor(token).await?;
        }
        self.fault.heal(lab).await?;
        lab.finish(self.outcome).await
    }
}

/// Two faults at a time, the second some time after the first, while that lasts.
pub async fn two_faults(
    lab: &mut Lab,
    faults: [Fault; 2],
    apart: Duration,
    by: &'static str,
) -> Result<Run> {
    // The follower that a fault may cut off is the leader's.
    lab.begin(by, [Reach::OneFollower, Reach::All, Reach::All])
        .await?;
    faults[0].inflict(lab).await?;
    tokio::time::sleep(apart).await;
    faults[1].inflict(lab).await?;
    // Long enough for the session of a leader that is cut off or stopped.
    tokio::time::sleep(SESSION_TIMEOUT + Duration::from_secs(2)).await;
    faults[0].heal(lab).await?;
    faults[1].heal(lab).await?;
    lab.finish(Outcome::Either).await
}
