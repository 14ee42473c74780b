//! The faults: what must be so before one, and what heals it.

mod clocks;
mod inflict;
mod messages;

use std::time::Duration;

use anyhow::Result;
use soloist_tests::clock::Clock;
use soloist_tests::proxy::Traffic;

use crate::lab::{Lab, Reach};

/// What goes wrong. The *leader* is the host that leads, the *ensemble's leader* the server that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The follower that the leader hangs on loses both other servers; its link to the leader stays up.
    FollowerCut,
    /// What that follower sends to the other servers is lost.
    FollowerMute,
    /// What the other servers send to that follower is lost.
    FollowerDeaf,
    /// The leader loses all servers.
    HostCut,
    /// What the leader sends is lost.
    HostMute,
    /// What is sent to the leader is lost.
    HostDeaf,
    /// The leader loses all servers for half a second.
    HostCutShortly,
    /// The leader's connection is closed, and another is accepted only half a second later.
    ConnectionCutShortly,
    /// SIGKILL to the leader.
    HostKilled,
    /// SIGSTOP to the leader until another leads, then SIGCONT.
    HostPaused,
    /// SIGKILL to the ensemble's leader.
    ServerKilled,
    /// SIGSTOP to the ensemble's leader, 14 s.
    ServerPaused,
    /// Each server is killed and started again, the next one when all serve.
    RollingRestart,
    /// Two of three servers are killed, and started again when the session could have expired.
    QuorumLost,
    /// Somebody deletes the master node.
    MasterDeleted,
    /// Somebody deletes the term record.
    TermDeleted,
    /// Somebody deletes all candidates.
    CandidatesDeleted,
    /// Somebody deletes all candidates, and then the master node.
    CandidatesAndMasterDeleted,
    /// Somebody deletes the task with all below it.
    TaskDeleted,
    /// Somebody deletes all that Soloist keeps, hosts and parents included.
    RootDeleted,
    /// The leader dies, and the reply to the election of the next is lost.
    ElectionReplyLost,
    /// One handover after another, each with another message about the task lost, now the request, now the reply.
    EachMessageLost,
    /// A server is restarted that agrees to half the session timeout, the leader's session moves there, and then the
    /// leader loses all servers.
    TimeoutShortened,
    /// The wall clock of the leader is set forth an hour, back two hours, and right again.
    HostClock,
    /// The same with that of the ensemble's leader.
    ServerClock,
    /// Somebody who knows its password closes the leader's session.
    SessionClosed,
    /// Two busy loops for every processor, for the time of two sessions.
    Overload,
}

impl Fault {
    /// Faults that can come together with another of these.
    pub const TO_COMBINE: [Self; 9] = [
        Self::FollowerCut,
        Self::HostCut,
        Self::HostDeaf,
        Self::HostKilled,
        Self::HostPaused,
        Self::ServerKilled,
        Self::MasterDeleted,
        Self::Overload,
        Self::QuorumLost,
    ];

    /// What must be so before the scenario begins.
    pub(crate) async fn prepare(self, lab: &mut Lab) -> Result<()> {
        match self {
            // With half the session timeout the lease has no room for more.
            Self::TimeoutShortened => lab.demote_timeout = Duration::from_millis(300),
            Self::HostClock => lab.clock = Some(Clock::new()?),
            Self::ServerClock => {
                lab.cluster.zookeeper.start_all().await?;
                for server in 0..lab.servers.len() {
                    if lab.cluster.zookeeper.clock(server).is_none() {
                        lab.cluster.zookeeper.set_clock(server, Clock::new()?);
                        lab.restart(server, None).await?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends what still goes on, and starts anew what was killed.
    pub(crate) async fn heal(self, lab: &mut Lab) -> Result<()> {
        match self {
            Self::HostKilled | Self::ElectionReplyLost => {
                let host = lab.host(0, Reach::All).await?;
                lab.hosts[0] = host;
                Ok(())
            }
            // Its successor has been acting for a while.
            Self::HostPaused => lab.hosts[0].resume(),
            Self::ServerKilled => lab.cluster.zookeeper.start_all().await,
            Self::TimeoutShortened => {
                lab.proxy()?.set(Traffic::Passes);
                lab.restart(third(lab), None).await
            }
            _ => lab.network.heal(),
        }
    }
}

/// The server that neither leads the ensemble nor is the follower that the proxy leads to.
fn third(lab: &Lab) -> usize {
    (0..lab.servers.len())
        .find(|server| *server != lab.leader && *server != lab.follower)
        .unwrap_or_default()
}
