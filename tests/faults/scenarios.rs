//! The faults, and what is to come of each.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use soloist_tests::clock::{self, Clock};
use soloist_tests::load::Load;
use soloist_tests::proxy::{Loss, Op, Traffic};
use soloist_tests::{PATIENCE, client, history};

use crate::lab::{Lab, Reach, Run, SESSION_TIMEOUT};

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
    async fn prepare(self, lab: &mut Lab) -> Result<()> {
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

    #[expect(clippy::too_many_lines, reason = "one arm for each fault")]
    async fn inflict(self, lab: &mut Lab) -> Result<()> {
        let (follower, leader) = (lab.follower, lab.leader);
        let servers = lab.servers.clone();
        let others = || {
            servers
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != follower)
                .map(|(_, node)| node)
        };
        let (own, site) = (&servers[follower], lab.sites[0].clone());
        match self {
            Self::FollowerCut => others().try_for_each(|other| lab.network.cut(own, other)),
            Self::FollowerMute => {
                others().try_for_each(|other| lab.network.cut_one_way(own, other))
            }
            Self::FollowerDeaf => {
                others().try_for_each(|other| lab.network.cut_one_way(other, own))
            }
            Self::HostCut => servers
                .iter()
                .try_for_each(|server| lab.network.cut(&site, server)),
            Self::HostMute => servers
                .iter()
                .try_for_each(|server| lab.network.cut_one_way(&site, server)),
            Self::HostDeaf => servers
                .iter()
                .try_for_each(|server| lab.network.cut_one_way(server, &site)),
            Self::HostCutShortly => {
                servers
                    .iter()
                    .try_for_each(|server| lab.network.cut(&site, server))?;
                tokio::time::sleep(Duration::from_millis(500)).await;
                lab.network.heal()
            }
            Self::ConnectionCutShortly => {
                let proxy = lab
                    .proxy
                    .as_ref()
                    .context("the leader is not behind the proxy")?;
                let mark = lab.cluster.history.len();
                proxy.set(Traffic::Cut);
                lab.hosts[0]
                    .event_after(mark, "session-disconnected", |_| true)
                    .await?;
                tokio::time::sleep(Duration::from_millis(500)).await;
                proxy.set(Traffic::Passes);
                lab.hosts[0]
                    .event_after(mark, "session-connected", |_| true)
                    .await?;
                Ok(())
            }
            Self::HostKilled => lab.hosts[0].kill(),
            Self::HostPaused => lab.hosts[0].pause().await,
            Self::ServerKilled => lab.cluster.zookeeper.kill(leader),
            Self::ServerPaused => {
                lab.cluster.zookeeper.pause(leader).await?;
                tokio::time::sleep(Duration::from_secs(14)).await;
                lab.cluster.zookeeper.resume(leader)
            }
            Self::RollingRestart => {
                for index in 0..servers.len() {
                    lab.cluster.zookeeper.kill(index)?;
                    lab.cluster.zookeeper.start_all().await?;
                }
                Ok(())
            }
            Self::QuorumLost => {
                let mark = lab.cluster.history.len();
                lab.cluster.zookeeper.kill(leader)?;
                lab.cluster.zookeeper.kill(follower)?;
                let stopped =
                    |record: &history::Record| record.is("demoted") || record.is("revoked");
                let history = lab.cluster.history.clone();
                history
                    .wait_for(
                        mark,
                        "the leader to stop without a quorum",
                        PATIENCE,
                        stopped,
                    )
                    .await?;
                tokio::time::sleep(SESSION_TIMEOUT).await;
                lab.cluster.zookeeper.start_all().await
            }
            Self::MasterDeleted => {
                let operator = lab.operator().await?;
                // Another fault may have taken it already.
                let _ = operator.delete(&lab.master(), None).await;
                client::close(operator).await;
                Ok(())
            }
            Self::TermDeleted => self.delete(lab, &format!("{}/term", lab.task())).await,
            Self::CandidatesDeleted => {
                self.delete(lab, &format!("{}/candidates", lab.task()))
                    .await
            }
            Self::CandidatesAndMasterDeleted => {
                self.delete(lab, &format!("{}/candidates", lab.task()))
                    .await?;
                self.delete(lab, &lab.master()).await
            }
            Self::TaskDeleted => self.delete(lab, &lab.task()).await,
            Self::RootDeleted => {
                let root = lab.root().to_owned();
                self.delete(lab, &root).await
            }
            Self::ElectionReplyLost => {
                let (master, proxy) = (
                    lab.master(),
                    lab.proxy.as_ref().context("nobody is behind the proxy")?,
                );
                proxy.lose_reply_to(move |request| {
                    matches!(request.op, Op::Create | Op::Multi) && request.mentions(&master)
                });
                lab.hosts[0].kill()?;
                lab.proxy
                    .as_ref()
                    .context("nobody is behind the proxy")?
                    .replies_lost(1)
                    .await
            }
            Self::EachMessageLost => lose_each_message(lab).await,
            Self::TimeoutShortened => shorten_timeout(lab).await,
            Self::HostClock => set_clock_of_host(lab).await,
            Self::ServerClock => set_clock_of_server(lab, leader).await,
            Self::SessionClosed => {
                let connected = lab.hosts[0].event("session-connected").await?;
                let session = connected
                    .event()
                    .and_then(|event| event.text("session")?.strip_prefix("0x"));
                let session = i64::from_str_radix(
                    session.context("the host does not name its session")?,
                    16,
                )?;
                lab.proxy
                    .as_ref()
                    .context("the leader is not behind the proxy")?
                    .close_session(session)
                    .await
            }
            Self::Overload => {
                lab.load = Some(Load::all_processors()?);
                tokio::time::sleep(2 * SESSION_TIMEOUT).await;
                lab.load = None;
                Ok(())
            }
        }
    }

    async fn delete(self, lab: &mut Lab, path: &str) -> Result<()> {
        let operator = lab.operator().await?;
        let rounds = client::delete_all(&operator, path).await?;
        lab.deleted = Some((SystemTime::now(), rounds));
        client::close(operator).await;
        Ok(())
    }

    async fn heal(self, lab: &mut Lab) -> Result<()> {
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
                lab.proxy
                    .as_ref()
                    .context("nobody is behind the proxy")?
                    .set(Traffic::Passes);
                lab.restart(third(lab), None).await
            }
            _ => lab.network.heal(),
        }
    }
}

/// How many messages about a task pass when it is handed over, at least.
const MESSAGES: u32 = 14;

/// The server that neither leads the ensemble nor is the follower that the proxy leads to.
fn third(lab: &Lab) -> usize {
    (0..lab.servers.len())
        .find(|server| *server != lab.leader && *server != lab.follower)
        .unwrap_or_default()
}

async fn lose_each_message(lab: &mut Lab) -> Result<()> {
    let task = lab.task();
    for number in 1..=MESSAGES {
        let (task, mut passed) = (task.clone(), 0);
        let loss = if number % 2 == 0 {
            Loss::Request
        } else {
            Loss::Reply
        };
        let proxy = lab.proxy.as_ref().context("nobody is behind the proxy")?;
        proxy.lose(loss, move |request| {
            passed += u32::from(request.contains(task.as_bytes()));
            passed == number
        });
        let (token, leader) = (lab.token(), lab.acting()?);
        let status = lab.hosts[leader].terminate().await?;
        ensure!(
            status.success(),
            "with message {number} lost the leader ended with {status}"
        );
        lab.successor(token)
            .await
            .with_context(|| format!("message {number} ({loss:?}) was lost"))?;
        let mut host = lab.host(leader, Reach::Proxy).await?;
        host.event("standby").await?;
        lab.hosts[leader] = host;
    }
    Ok(())
}

async fn shorten_timeout(lab: &mut Lab) -> Result<()> {
    let server = third(lab);
    let half = (SESSION_TIMEOUT / 2).as_millis().to_string();
    lab.restart(server, Some(("maxSessionTimeout", &half)))
        .await?;
    let mark = lab.cluster.history.len();
    let proxy = lab
        .proxy
        .as_ref()
        .context("the leader is not behind the proxy")?;
    proxy.lead_to(lab.cluster.zookeeper.address(server));
    proxy.set(Traffic::Cut);
    lab.hosts[0]
        .event_after(mark, "session-disconnected", |_| true)
        .await?;
    proxy.set(Traffic::Passes);
    lab.hosts[0]
        .event_after(mark, "session-shortened", |_| true)
        .await?;
    proxy.set(Traffic::Lost);
    Ok(())
}

/// Until when, in hours, a clock is set, one after the other.
const HOURS: [i64; 3] = [1, -1, 0];

async fn set_clock_of_host(lab: &mut Lab) -> Result<()> {
    let pid = lab.hosts[0].pid();
    for hours in HOURS {
        let mark = lab.cluster.history.len();
        lab.clock
            .as_ref()
            .context("the leader has no clock of its own")?
            .set_wrong_by(hours)?;
        // That it is so shows in the stamps of what the plugin does.
        let shows = |record: &history::Record| {
            record.pid == pid && record.is("plugin-log") && record.hours_wrong() == hours
        };
        lab.cluster
            .history
            .wait_for(mark, "the leader's clock to be set", PATIENCE, shows)
            .await?;
        tokio::time::sleep(SESSION_TIMEOUT / 2).await;
    }
    Ok(())
}

async fn set_clock_of_server(lab: &mut Lab, server: usize) -> Result<()> {
    let operator = lab.operator().await?;
    for hours in HOURS {
        lab.cluster
            .zookeeper
            .clock(server)
            .context("the server has no clock of its own")?
            .set_wrong_by(hours)?;
        // That it is so shows in the stamps of nodes: the ensemble's leader gives them.
        let path = format!("{}/hours{hours}", lab.root());
        client::make_path(&operator, &path).await?;
        let stat = operator
            .check_stat(&path)
            .await?
            .context("a node that was just created is gone")?;
        let created = SystemTime::UNIX_EPOCH + Duration::from_millis(stat.ctime.unsigned_abs());
        let shown = clock::hours_wrong(created, SystemTime::now());
        ensure!(
            shown == hours,
            "the server's clock is wrong by {shown} hours, not {hours}"
        );
        tokio::time::sleep(SESSION_TIMEOUT / 2).await;
    }
    client::close(operator).await;
    Ok(())
}

/// What is to come of it.
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
}

use Fault::*;
use Outcome::*;

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

impl Scenario {
    /// Runs it once.
    pub async fn run(&self, lab: &mut Lab) -> Result<Run> {
        self.fault.prepare(lab).await?;
        lab.begin(self.by, self.reach).await?;
        let token = lab.token();
        self.fault.inflict(lab).await?;
        if matches!(self.outcome, Handover | Unprotected) {
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
    lab.finish(Either).await
}
