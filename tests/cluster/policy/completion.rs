//! The record that a task is done, when the message with it is lost.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::client;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;
use soloist_tests::proxy::{Loss, Op, Proxy, Request, Traffic};
use soloist_tests::zookeeper::Settings;

use super::case::{activations, config, done, done_by, host, once};

/// Whether the host writes down with this request that the task is done.
fn is_completion(request: &Request) -> bool {
    request.op == Op::Multi && request.contains(b"\"completed\":[")
}

/// Starts a host that reaches the servers through the proxy, and does the task once.
fn once_through(cluster: &Cluster, proxy: &Proxy) -> Result<Host> {
    let config = config(cluster, "complete")?;
    let command = cluster.host_at(&proxy.connect_string(), "a", &config)?;
    command.arg("--once").start(&cluster.history)
}

/// The message that the task is done never arrives, or its reply is lost: the task is done once all the same.
#[tokio::test]
async fn a_completion_whose_message_is_lost_is_written_down_once() -> Result<()> {
    for loss in [Loss::Request, Loss::Reply] {
        let cluster = Cluster::embedded().await?;
        let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
        // The first request that writes the completion.
        proxy.lose(loss, |request| is_completion(&request));
        let mut host = once_through(&cluster, &proxy)?;
        done(&mut host).await.with_context(|| format!("{loss:?}"))?;
        let mut late = once(&cluster, "late", "complete")?.start(&cluster.history)?;
        done(&mut late).await?;
        ensure!(
            done_by(&late).as_deref() == Some("a") && activations(&cluster) == 1,
            "{loss:?}"
        );
        cluster.verdict().check()?;
    }
    Ok(())
}

/// The reply is lost, and the host is asked to stop before it hears that the task is done: the task is done all the same.
#[tokio::test]
async fn a_completion_whose_answer_is_lost_counts_at_a_shutdown() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let proxy = Arc::new(Proxy::start(cluster.zookeeper.address(0)).await?);
    let silent = Arc::downgrade(&proxy);
    proxy.lose(Loss::Reply, move |request| {
        let writes = is_completion(&request);
        if let Some(proxy) = silent.upgrade().filter(|_| writes) {
            proxy.set(Traffic::LostToClient);
        }
        writes
    });
    let mut host = once_through(&cluster, &proxy)?;
    proxy.replies_lost(1).await?;
    host.signal(Signal::TERM)?;
    host.event("draining").await?;
    proxy.set(Traffic::Passes);
    done(&mut host).await?;
    ensure!(
        done_by(&host).is_none() && activations(&cluster) == 1,
        "{:?}",
        host.records()
    );
    cluster.verdict().check()
}

/// Somebody deletes the term record while the plugin completes: the host writes the completion down as soon as it leads
/// again, and does not do the task again.
#[tokio::test]
async fn a_completion_in_a_term_that_was_taken_away_is_written_down_in_the_next() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    proxy.lose(Loss::Request, |request| is_completion(&request));
    let mut host = once_through(&cluster, &proxy)?;
    host.event("session-disconnected").await?;
    let client = cluster.client().await?;
    // The host may have come back already.
    let _ = client.delete("/soloist/tasks/beat/term", None).await;
    done(&mut host).await?;
    let elected = host
        .records()
        .iter()
        .filter(|record| record.is("elected"))
        .count();
    ensure!(
        activations(&cluster) == 1,
        "done again after {elected} elections"
    );
    let mut late = once(&cluster, "late", "complete")?.start(&cluster.history)?;
    done(&mut late).await?;
    // A completion that was written down before somebody deleted the record is gone with it.
    ensure!(
        elected == 1 || done_by(&late).as_deref() == Some("a"),
        "{:?}",
        late.records()
    );
    client::close(client).await;
    Ok(())
}

/// Another host that has led since has begun the work anew: the first host, which could not write its completion down, does
/// the task again.
#[tokio::test]
async fn a_completion_that_was_not_written_down_is_void_once_another_host_has_led() -> Result<()> {
    let cluster = Cluster::with(Settings::embedded(), Duration::from_secs(4)).await?;
    let proxy = Arc::new(Proxy::start(cluster.zookeeper.address(0)).await?);
    let link = Arc::clone(&proxy);
    proxy.lose(Loss::Request, move |request| {
        let writes = is_completion(&request);
        if writes {
            link.set(Traffic::Cut);
        }
        writes
    });
    let mut first = once_through(&cluster, &proxy)?;
    first.event("session-disconnected").await?;
    let mut other = host(&cluster, "b", "wait")?.start(&cluster.history)?;
    other.event("plugin-log").await?;
    proxy.set(Traffic::Passes);
    first.event("standby").await?;
    ensure!(other.terminate().await?.success());
    done(&mut first).await?;
    ensure!(
        activations(&cluster) == 3 && done_by(&first).is_none(),
        "{:?}",
        first.records()
    );
    cluster.verdict().check()
}
