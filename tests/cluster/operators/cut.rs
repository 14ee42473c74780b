//! Operators who order at once, and connections that break while an order is given.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_tests::client;
use soloist_tests::cluster::{Answer, Cluster, TASK};
use soloist_tests::proxy::{Loss, Op, Proxy, Request, Traffic};
use soloist_tests::zookeeper::Settings;

use super::case::{RECORD, deploy, envelope, has_failed, plugin, record};

fn is_order(request: Request<'_>) -> bool {
    request.op == Op::Multi && request.contains(RECORD.as_bytes())
}

/// Deploys through a proxy, in a session of that timeout: its connection counts as lost when no answer comes for 0.4 of it.
async fn deploy_through(
    cluster: &Cluster,
    proxy: &Proxy,
    session: &str,
    flags: &[&str],
) -> Result<Answer> {
    let (servers, plugin) = (proxy.connect_string(), plugin()?);
    let variables = [
        ("SOLOIST_ZOOKEEPER", &*servers),
        ("USER", "ann"),
        ("SOLOIST_SESSION_TIMEOUT", session),
        ("SOLOIST_CONNECT_TIMEOUT", "5s"),
    ];
    let args = ["deploy", &plugin, "--task", TASK, "--no-wait"];
    cluster.operator(&variables, &[&args, flags].concat()).await
}

/// An ensemble that gives sessions in which somebody may wait for an answer.
async fn patient() -> Result<Cluster> {
    let settings = Settings::standalone().tick(Duration::from_secs(2));
    Cluster::with(settings, Duration::from_secs(40)).await
}

/// Holds the next order of a deployment at the proxy until `meanwhile` is done. Gives the answer to that deployment.
async fn held(
    cluster: &Cluster,
    proxy: &Proxy,
    flags: &[&str],
    meanwhile: impl AsyncFnOnce() -> Result<()>,
) -> Result<Answer> {
    let (tell, told) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let mut tell = Some(tell);
    proxy.lose(Loss::Request, move |request| {
        if is_order(request)
            && let Some(tell) = tell.take()
        {
            let _ = tell.send(());
            let _ = goes.recv_timeout(Duration::from_mins(1));
        }
        false
    });
    let first = async {
        tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_mins(1))).await??;
        meanwhile().await?;
        go.send(())?;
        anyhow::Ok(())
    };
    let (second, first) = tokio::join!(deploy_through(cluster, proxy, "40s", flags), first);
    first?;
    second
}

/// Two deploy at once: the one whose transaction comes second is told who was faster, and nothing of it is written.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_deploy_at_once_one_is_told_of_the_other() -> Result<()> {
    let cluster = patient().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let second = held(&cluster, &proxy, &[], async || {
        let plugin = plugin()?;
        let args = [
            "deploy",
            &plugin,
            "--task",
            TASK,
            "--no-wait",
            "--config",
            "who=bob",
        ];
        let first = cluster.operator(&[("USER", "bob")], &args).await?;
        ensure!(first.code == Some(0), "{first:?}");
        Ok(())
    });
    let words = [
        "nothing was changed",
        "bob@",
        "has changed the rollout meanwhile, at 20",
    ];
    has_failed(&second.await?, 1, &words)?;
    let client = cluster.client().await?;
    ensure!(record(&client).await?.newest == 1);
    ensure!(
        envelope(&client, 1)
            .await?
            .text
            .contains("\"who\": \"bob\"")
    );
    client::close(client).await;
    Ok(())
}

/// What a generation may more is shown of what was deployed then: if that is given up meanwhile, nobody has seen it.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_compared_with_what_is_there_when_it_is_written() -> Result<()> {
    let cluster = patient().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    let state = &["--allow-state"][..];
    let second = deploy(&cluster, &[state, &["--accept-grants"]].concat()).await?;
    ensure!(second.code == Some(0), "{second:?}");
    let third = held(&cluster, &proxy, state, async || {
        let back = cluster
            .operator(&[("USER", "bob")], &["rollback", TASK])
            .await?;
        ensure!(back.code == Some(0), "{back:?}");
        Ok(())
    });
    has_failed(
        &third.await?,
        1,
        &["bob@", "has changed the rollout meanwhile"],
    )?;
    let client = cluster.client().await?;
    ensure!(record(&client).await?.wanted.is_none());
    client::close(client).await;
    Ok(())
}

/// The order or its answer is lost on the way: the command finds out, and it is done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_whose_answer_is_lost_is_done_once() -> Result<()> {
    for loss in [Loss::Request, Loss::Reply] {
        let cluster = Cluster::start().await?;
        let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
        proxy.lose(loss, is_order);
        let answer = deploy_through(&cluster, &proxy, "10s", &[]).await?;
        ensure!(answer.code == Some(0), "{loss:?}: {answer:?}");
        let client = cluster.client().await?;
        let (_, stat) = client.get_data(RECORD).await?;
        ensure!(stat.version == 0, "{loss:?}: it was written twice");
        ensure!(record(&client).await?.newest == 1);
        envelope(&client, 1).await?;
        client::close(client).await;
    }
    Ok(())
}

/// The answer is lost, and a leader has changed the record before the command can look: the generation tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_known_by_its_generation_whoever_changed_the_record_since() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    proxy.lose(Loss::Reply, is_order);
    let deploying = deploy_through(&cluster, &proxy, "10s", &[]);
    let changing = async {
        proxy.replies_lost(1).await?;
        proxy.set(Traffic::Cut);
        let client = cluster.client().await?;
        let mut changed = record(&client).await?;
        changed.changed.by = "host-a".to_owned();
        client.set_data(RECORD, &changed.encode()?, None).await?;
        client::close(client).await;
        proxy.set(Traffic::Passes);
        anyhow::Ok(())
    };
    let (answer, changed) = tokio::join!(deploying, changing);
    changed?;
    let answer = answer?;
    ensure!(answer.code == Some(0), "{answer:?}");
    Ok(())
}

/// The ensemble is gone for good while the order is given: the command says that it does not know, and it is all or nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_cut_off_is_said_to_be_unknown() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    proxy.lose(Loss::Reply, is_order);
    let deploying = deploy_through(&cluster, &proxy, "4s", &[]);
    let cutting = async {
        proxy.replies_lost(1).await?;
        proxy.set(Traffic::Cut);
        anyhow::Ok(())
    };
    let (answer, cut) = tokio::join!(deploying, cutting);
    cut?;
    has_failed(
        &answer?,
        3,
        &[
            "it is not known whether the order was done",
            "soloist tasks show beat",
        ],
    )?;
    let client = cluster.client().await?;
    ensure!(record(&client).await?.newest == 1);
    envelope(&client, 1).await?;
    client::close(client).await;
    Ok(())
}

/// The ensemble is gone before the order is given, while the artefact is put there: nothing is deployed.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_cut_off_before_its_order_is_nothing() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    // The first chunk of the artefact.
    proxy.lose(Loss::Reply, |request| {
        request.op == Op::Create && request.contains(b"-0000")
    });
    let deploying = deploy_through(&cluster, &proxy, "4s", &[]);
    let cutting = async {
        proxy.replies_lost(1).await?;
        proxy.set(Traffic::Cut);
        anyhow::Ok(())
    };
    let (answer, cut) = tokio::join!(deploying, cutting);
    cut?;
    let answer = answer?;
    ensure!(matches!(answer.code, Some(1 | 3)), "{answer:?}");
    has_failed(
        &answer,
        answer.code.unwrap_or_default(),
        &["nothing was changed"],
    )?;
    let client = cluster.client().await?;
    ensure!(client.check_stat(RECORD).await?.is_none());
    client::close(client).await;
    // Whoever deploys again is not in the way of what was left.
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    Ok(())
}
