//! The scenarios, in the order in which they are run.

use super::Outcome::*;
use super::{Scenario, scenario};
use crate::fault::Fault::*;
use crate::lab::Reach;

pub const ALL: [Scenario; 37] = [
    scenario(
        "leader on a follower that is cut from its peers",
        FollowerCut,
        Handover,
    )
    .leader_on(Reach::OneFollower),
    scenario(
        "the same, only what it sends is lost",
        FollowerMute,
        Handover,
    )
    .leader_on(Reach::OneFollower),
    scenario(
        "the same, only what it is sent is lost",
        FollowerDeaf,
        Handover,
    )
    .leader_on(Reach::OneFollower)
    .long(),
    scenario("leader cut from all servers", HostCut, Handover),
    scenario("leader cut, only what it sends is lost", HostMute, Handover),
    scenario(
        "leader cut, only what it is sent is lost",
        HostDeaf,
        Handover,
    )
    .long(),
    scenario("leader killed", HostKilled, Handover),
    scenario(
        "leader stopped and resumed, plugin waiting",
        HostPaused,
        Handover,
    ),
    scenario(
        "leader stopped and resumed, plugin computing",
        HostPaused,
        Handover,
    )
    .by("computing"),
    scenario(
        "leader stopped and resumed, plugin in host calls",
        HostPaused,
        Handover,
    )
    .by("calling"),
    scenario(
        "leader stopped and resumed, plugin blocking",
        HostPaused,
        Handover,
    )
    .by("blocking")
    .long(),
    scenario(
        "leader stopped and resumed, plugin storing",
        HostPaused,
        Handover,
    )
    .by("storing"),
    scenario("leader killed, plugin storing", HostKilled, Handover)
        .by("storing")
        .long(),
    scenario("ensemble's leader killed", ServerKilled, Either),
    scenario(
        "ensemble's leader stopped for 14 s, leader on it",
        ServerPaused,
        Handover,
    )
    .leader_on(Reach::EnsembleLeader),
    scenario("every server restarted in turn", RollingRestart, Either),
    scenario("majority of the servers lost and back", QuorumLost, Either),
    scenario(
        "session closed in the leader's name *",
        SessionClosed,
        Unprotected,
    )
    .leader_on(Reach::Proxy),
    scenario("master node deleted", MasterDeleted, Handover),
    scenario("term record deleted", TermDeleted, Handover),
    scenario("candidates deleted", CandidatesDeleted, Handover),
    scenario(
        "candidates, then master node deleted *",
        CandidatesAndMasterDeleted,
        Unprotected,
    ),
    scenario("task deleted *", TaskDeleted, Unprotected),
    scenario(
        "all nodes and their parents deleted *",
        RootDeleted,
        Unprotected,
    ),
    scenario(
        "leader killed, reply to the next election lost",
        ElectionReplyLost,
        Handover,
    )
    .second_on(Reach::Proxy),
    scenario(
        "14 handovers, in each another message lost",
        EachMessageLost,
        Either,
    )
    .all_on(Reach::Proxy),
    scenario(
        "session moved to a server that agrees to half the timeout, then cut",
        TimeoutShortened,
        Handover,
    )
    .by("computing")
    .leader_on(Reach::Proxy),
    scenario(
        "leader's wall clock set forth and back an hour",
        HostClock,
        SameTerm,
    ),
    scenario(
        "wall clock of the ensemble's leader set forth and back",
        ServerClock,
        SameTerm,
    ),
    scenario(
        "leader cut from all servers for 0.5 s",
        HostCutShortly,
        SameTerm,
    ),
    scenario(
        "leader's connection cut for 0.5 s",
        ConnectionCutShortly,
        SameTerm,
    )
    .leader_on(Reach::Proxy),
    scenario("machine overloaded for 8 s", Overload, Either),
    scenario(
        "leader cut, plugin computes and ignores it",
        HostCut,
        Handover,
    )
    .by("computing"),
    scenario(
        "leader cut, plugin calls the host and ignores it",
        HostCut,
        Handover,
    )
    .by("calling")
    .long(),
    scenario(
        "leader cut, plugin blocks and ignores it",
        HostCut,
        Handover,
    )
    .by("blocking")
    .long(),
    scenario("leader cut, plugin waits for its state", HostCut, Handover).by("storing"),
    scenario("leader cut, on_demoted never returns", HostCut, Handover).by("lingering"),
];
