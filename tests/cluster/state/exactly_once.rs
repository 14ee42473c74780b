//! Each write is done once, whatever is lost, cut or killed in between.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_core::state::State;
use soloist_tests::cluster::Cluster;
use soloist_tests::proxy::{Op, Proxy, Traffic};
use soloist_tests::zookeeper::Settings;

use super::counter::{are_consecutive, counter, counts, until_counted};
use super::leader::{Leader, node, number};
use super::operations::{check, delete, set};

/// A leader asked to stop, and the next one killed: each time the count goes on, and no number is ever told twice.
#[tokio::test]
async fn the_count_goes_on_across_failovers() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let mut hosts = Vec::new();
    for id in ["a", "b", "c"] {
        let mut host = counter(&cluster, id)?.start(&cluster.history)?;
        host.event(if id == "a" { "activated" } else { "standby" })
            .await?;
        hosts.push(host);
    }
    until_counted(&mut hosts[0], 5).await?;
    ensure!(
        hosts[0].terminate().await?.success(),
        "{}",
        hosts[0].errors()
    );
    until_counted(&mut hosts[1], 5).await?;
    hosts[1].kill()?;
    until_counted(&mut hosts[2], 5).await?;
    let told: Vec<Vec<u64>> = hosts.iter().map(counts).collect();
    ensure!(
        told[0][0] == 1 && told.iter().all(|told| are_consecutive(told)),
        "{told:?}"
    );
    for pair in told.windows(2) {
        let (last, next) = (pair[0].last().context("nothing told")?, pair[1][0]);
        // The end may have come between a write and the line about it.
        ensure!(
            (last + 1..=last + 2).contains(&next),
            "{next} follows {last}"
        );
    }
    cluster.verdict().check()
}

/// Replies that are lost: each write is done once, and what was acknowledged is there.
#[tokio::test]
async fn a_write_whose_reply_was_lost_is_done_once() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let observer = cluster.client().await?;
    let cluster = cluster.through(proxy.connect_string());
    let leader = Leader::elected(&cluster, "a").await?;
    let mut lost = 0;
    let mut lose_the_next = async |key: &str| {
        lost += 1;
        proxy.replies_lost(lost - 1).await?;
        let path = node(key);
        proxy.lose_reply_to(move |request| request.op == Op::Multi && request.mentions(&path));
        anyhow::Ok(())
    };
    let mut expected = None;
    for round in 1..=5 {
        lose_the_next("exchanged").await?;
        let version = leader
            .exchange("exchanged", expected, &round.to_string())
            .await?;
        let (value, stat) = observer.get_data(&node("exchanged")).await?;
        ensure!(
            number(&value) == round && stat.mzxid.unsigned_abs() == version,
            "{value:?} {stat:?}"
        );
        // The creation writes once as well.
        ensure!(
            u64::try_from(stat.version)? == round,
            "written {} times in {round} rounds",
            stat.version
        );
        expected = Some(version);

        lose_the_next("set").await?;
        let version = leader.set("set", &round.to_string()).await?;
        let (value, stat) = observer.get_data(&node("set")).await?;
        ensure!(
            number(&value) == round && stat.mzxid.unsigned_abs() == version,
            "{value:?} {stat:?}"
        );

        lose_the_next("count").await?;
        leader.increment("count").await?;
        let (value, _) = observer.get_data(&node("count")).await?;
        ensure!(number(&value) == round, "{value:?} in round {round}");
    }
    lose_the_next("set").await?;
    leader.state.delete("set".into()).await?;
    ensure!(observer.check_stat(&node("set")).await?.is_none());
    for round in 1..=5 {
        lose_the_next("together").await?;
        let operations = [
            check("exchanged", expected),
            set("exchanged", "x"),
            set("together", &round.to_string()),
        ];
        expected = leader.state.transact(operations.to_vec()).await?;
        let (value, stat) = observer.get_data(&node("together")).await?;
        ensure!(
            number(&value) == round && Some(stat.mzxid.unsigned_abs()) == expected,
            "{value:?} {stat:?}"
        );
        ensure!(
            u64::try_from(stat.version)? == round,
            "{stat:?} in round {round}"
        );
    }
    lose_the_next("together").await?;
    let operations = vec![delete("together"), check("exchanged", expected)];
    ensure!(leader.state.transact(operations).await? == None);
    ensure!(observer.check_stat(&node("together")).await?.is_none());
    proxy.replies_lost(lost).await?;
    Ok(())
}

/// A plugin counts while connections break and replies are lost: it never notices, and no count is lost or doubled.
#[tokio::test]
async fn a_plugin_counts_exactly_once_whatever_the_network_does() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let observer = cluster.client().await?;
    let cluster = cluster.through(proxy.connect_string());
    let mut host = counter(&cluster, "a")?.start(&cluster.history)?;
    for round in 1..=10 {
        until_counted(&mut host, 3).await?;
        if round % 2 == 0 {
            proxy.lose_reply_to(|request| {
                request.op == Op::Multi && request.mentions(&node("count"))
            });
            proxy.replies_lost(round / 2).await?;
        } else {
            let cut = cluster.history.len();
            proxy.set(Traffic::Cut);
            host.event_after(cut, "session-disconnected", |_| true)
                .await?;
            proxy.set(Traffic::Passes);
        }
        // All that was ever acknowledged is there, whole.
        let told = counts(&host);
        let (kept, _) = observer.get_data(&node("count")).await?;
        ensure!(
            number(&kept) >= *told.last().context("nothing told")?,
            "{kept:?} after {told:?}"
        );
    }
    until_counted(&mut host, 3).await?;
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    let told = counts(&host);
    ensure!(told[0] == 1 && are_consecutive(&told), "{told:?}");
    let last = *told.last().context("nothing told")?;
    let (kept, _) = observer.get_data(&node("count")).await?;
    ensure!(
        (last..=last + 1).contains(&number(&kept)),
        "{kept:?} after {last}"
    );
    ensure!(
        host.records()
            .iter()
            .filter(|record| record.is("elected"))
            .count()
            == 1,
        "the host was demoted"
    );
    cluster.verdict().check()
}
