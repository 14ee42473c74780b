//! How each fault comes about.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use soloist_tests::load::Load;
use soloist_tests::proxy::{Op, Traffic};
use soloist_tests::{PATIENCE, client, history};

use super::Fault;
use super::clocks::{set_clock_of_host, set_clock_of_server};
use super::messages::{lose_each_message, shorten_timeout};
use crate::lab::{Lab, SESSION_TIMEOUT};

impl Fault {
    /// Lets it happen. Some faults last until they are healed.
    #[expect(clippy::too_many_lines, reason = "one arm for each fault")]
    pub(crate) async fn inflict(self, lab: &mut Lab) -> Result<()> {
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
                let mark = lab.cluster.history.len();
                lab.proxy()?.set(Traffic::Cut);
                lab.hosts[0]
                    .event_after(mark, "session-disconnected", |_| true)
                    .await?;
                tokio::time::sleep(Duration::from_millis(500)).await;
                lab.proxy()?.set(Traffic::Passes);
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
            Self::TermDeleted => delete(lab, &format!("{}/term", lab.task())).await,
            Self::CandidatesDeleted => delete(lab, &format!("{}/candidates", lab.task())).await,
            Self::CandidatesAndMasterDeleted => {
                delete(lab, &format!("{}/candidates", lab.task())).await?;
                delete(lab, &lab.master()).await
            }
            Self::TaskDeleted => delete(lab, &lab.task()).await,
            Self::RootDeleted => {
                let root = lab.root().to_owned();
                delete(lab, &root).await
            }
            Self::ElectionReplyLost => {
                let master = lab.master();
                lab.proxy()?.lose_reply_to(move |request| {
                    matches!(request.op, Op::Create | Op::Multi) && request.mentions(&master)
                });
                lab.hosts[0].kill()?;
                lab.proxy()?.replies_lost(1).await
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
                lab.proxy()?.close_session(session).await
            }
            Self::Overload => {
                lab.load = Some(Load::all_processors()?);
                tokio::time::sleep(2 * SESSION_TIMEOUT).await;
                lab.load = None;
                Ok(())
            }
        }
    }
}

/// Deletes `path` with all below it, as often as something is left.
async fn delete(lab: &mut Lab, path: &str) -> Result<()> {
    let operator = lab.operator().await?;
    let rounds = client::delete_all(&operator, path).await?;
    lab.deleted = Some((SystemTime::now(), rounds));
    client::close(operator).await;
    Ok(())
}
