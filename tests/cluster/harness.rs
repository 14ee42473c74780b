//! The harness itself: what the other tests stand on holds.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_tests::client::{self, Contender, Standing};
use soloist_tests::proxy::{Op, Proxy, Traffic};
use soloist_tests::zookeeper::{Mode, Settings, ZooKeeper};
use soloist_tests::{PATIENCE, eventually};
use zookeeper_client::{Acls, CreateMode};

const SESSION: Duration = Duration::from_secs(10);

/// A server keeps its data and its address through a restart, and leaves nothing behind.
#[tokio::test]
async fn a_server_can_be_restarted_and_leaves_nothing() -> Result<()> {
    let mut zookeeper = ZooKeeper::start(Settings::standalone().real()).await?;
    let servers = zookeeper.connect_string();
    let writer = client::connect(&servers, SESSION).await?;
    client::make_path(&writer, "/kept").await?;
    client::close(writer).await;
    let pids = zookeeper.pids();
    zookeeper.kill(0)?;
    ensure!(zookeeper.mode(0).await.is_err(), "a killed server serves");
    zookeeper.start_all().await?;
    let reader = client::connect(&servers, SESSION).await?;
    ensure!(
        reader.check_stat("/kept").await?.is_some(),
        "the data is lost"
    );
    client::close(reader).await;
    let directory = zookeeper.directory().to_owned();
    let pids = [pids, zookeeper.pids()].concat();
    drop(zookeeper);
    ensure!(!directory.exists(), "files are left");
    ensure!(
        pids.len() == 2
            && pids
                .iter()
                .all(|pid| !Path::new(&format!("/proc/{pid}")).exists()),
        "{pids:?} live"
    );
    Ok(())
}

/// An ensemble elects a leader, and another when that one is gone; without a quorum a server can serve reads only.
#[tokio::test]
async fn an_ensemble_outlives_its_leader_and_not_its_quorum() -> Result<()> {
    let settings = Settings::ensemble().tick(Duration::from_millis(200));
    let mut zookeeper =
        ZooKeeper::start(settings.system_property("readonlymode.enabled", "true")).await?;
    let first = zookeeper.leader().await?;
    zookeeper.kill(first)?;
    let second = zookeeper.leader().await?;
    ensure!(first != second);
    zookeeper.kill(second)?;
    let last = (0..3)
        .find(|index| ![first, second].contains(index))
        .expect("there are three");
    eventually("the last server to be read-only", PATIENCE, async || {
        (zookeeper.mode(last).await.ok()? == Mode::ReadOnly).then_some(())
    })
    .await
}

/// The proxy loses the one reply it is told to lose, and the server has done what was asked.
#[tokio::test]
async fn the_proxy_loses_a_chosen_reply() -> Result<()> {
    let zookeeper = ZooKeeper::start(Settings::standalone().real()).await?;
    let proxy = Proxy::start(zookeeper.address(0)).await?;
    let client = client::connect(&proxy.connect_string(), SESSION).await?;
    proxy.lose_reply_to(|request| request.op == Op::Create && request.mentions("/lost"));
    let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    client.create("/lost-not", b"", &options).await?;
    ensure!(client.create("/lost", b"", &options).await.is_err());
    proxy.replies_lost(1).await?;
    ensure!(
        client::owner(&client, "/lost").await? == Some(client.session_id().0),
        "not created by this session"
    );
    client::close(client).await;
    Ok(())
}

/// Traffic that is cut or swallowed does not arrive, and a healed connection works again.
#[tokio::test]
async fn the_proxy_cuts_and_swallows() -> Result<()> {
    let zookeeper = ZooKeeper::start(Settings::standalone().real()).await?;
    let proxy = Proxy::start(zookeeper.address(0)).await?;
    let client = client::connect(&proxy.connect_string(), SESSION).await?;
    let direct = client::connect(&zookeeper.connect_string(), SESSION).await?;
    for (traffic, arrives) in [
        (Traffic::Cut, false),
        (Traffic::Lost, false),
        (Traffic::LostToServer, false),
        (Traffic::LostToClient, true),
    ] {
        proxy.set(traffic);
        let path = format!("/{traffic:?}");
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let created = tokio::time::timeout(
            Duration::from_millis(300),
            client.create(&path, b"", &options),
        )
        .await;
        ensure!(
            !matches!(created, Ok(Ok(_))),
            "{traffic:?}: a reply arrived"
        );
        ensure!(
            direct.check_stat(&path).await?.is_some() == arrives,
            "{traffic:?}"
        );
        proxy.set(Traffic::Passes);
        eventually("the client to be connected again", PATIENCE, async || {
            client.check_stat("/").await.ok()
        })
        .await?;
    }
    Ok(())
}

/// Foreign contenders of the plain recipe lead one after the other.
#[tokio::test]
async fn foreign_contenders_follow_each_other() -> Result<()> {
    let zookeeper = ZooKeeper::start(Settings::standalone().real()).await?;
    let servers = zookeeper.connect_string();
    let mut first = Contender::stand(&servers, SESSION, "/some/node").await?;
    first.until(Standing::Leading).await?;
    let mut second = Contender::stand(&servers, SESSION, "/some/node").await?;
    second.until(Standing::Waiting).await?;
    first.leave().await;
    second.until(Standing::Leading).await?;
    let mut third = Contender::stand(&servers, SESSION, "/some/node").await?;
    third.until(Standing::Waiting).await?;
    second.resign().await?;
    third.until(Standing::Leading).await
}
