//! What becomes of an election when others create, delete or replace its nodes: nothing waits for what never goes, and
//! everything that was deleted comes back.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::Host;
use soloist_tests::{PATIENCE, client, eventually};
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions};

const CANDIDATES: &str = "/soloist/tasks/beat/candidates";
const HOST_A: &str = "/soloist/hosts/a";

fn persistent() -> CreateOptions<'static> {
    CreateMode::Persistent.with_acls(Acls::anyone_all())
}

/// Puts a persistent node in the place of one that is there, in one step.
async fn replace(operator: &Client, path: &str) -> Result<()> {
    let mut multi = operator.new_multi_writer();
    multi.add_delete(path, None)?;
    multi.add_create(path, b"a squatter", &persistent())?;
    multi
        .commit()
        .await
        .map_err(zookeeper_client::Error::from)
        .with_context(|| format!("cannot replace {path}"))?;
    Ok(())
}

async fn status(cluster: &Cluster) -> Result<Value> {
    cluster.operator(&[], &["status", "--json"]).await?.json()
}

/// Waits until a host has said that a node is in its way.
async fn names(host: &mut Host, from: usize, event: &str, path: &str) -> Result<()> {
    host.event_after(from, event, |event| event.message.contains(path))
        .await?;
    Ok(())
}

/// Nodes with the names of candidates, persistent or of another session: nobody waits behind them, and no host is in them.
#[tokio::test]
async fn what_is_no_candidate_is_passed_over_and_named() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    client::make_path(&operator, CANDIDATES).await?;
    let ghost = format!("{CANDIDATES}/c-00000000000000ff-ghost-");
    let first = format!("{ghost}0000000000");
    operator.create(&first, b"", &persistent()).await?;
    let mut leader = cluster.host("a")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    names(&mut leader, 0, "election-error", &first).await?;
    // Behind the leader as well.
    let sequential = CreateMode::PersistentSequential.with_acls(Acls::anyone_all());
    let (_, second) = operator.create(&ghost, b"", &sequential).await?;
    let second = format!("{ghost}{second}");
    let ephemeral = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    operator
        .create(&ghost.replace("ghost", "other"), b"", &ephemeral)
        .await?;
    let mut standby = cluster.host("b")?.start(&cluster.history)?;
    standby.event("standby").await?;
    names(&mut standby, 0, "election-error", &second).await?;
    let seen = status(&cluster).await?;
    ensure!(
        seen["tasks"][0]["standbys"] == serde_json::json!(["b"]),
        "{seen}"
    );
    ensure!(leader.terminate().await?.success());
    standby.event("plugin-log").await?;
    ensure!(standby.terminate().await?.success());
    // Whoever is named as the successor, but has no candidate, makes nobody step back.
    let record = br#"{"number":2,"host":"b","since":"2026-01-01T00:00:00Z","state":"released","successor":"ghost"}"#;
    operator
        .set_data("/soloist/tasks/beat/term", record, None)
        .await?;
    let mut third = cluster.host("c")?.start(&cluster.history)?;
    third.event("plugin-log").await?;
    client::close(operator).await;
    cluster.verdict().check()
}

/// A node that looks like a candidate of the host's own session, but is not: it neither stands for the host nor holds up
/// its release.
#[tokio::test]
async fn a_candidate_in_a_hosts_name_is_not_its_own() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let mut leader = cluster.host("a")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let session = client::owner(&operator, &Cluster::master(TASK))
        .await?
        .context("nobody leads")?;
    let false_own = format!("{CANDIDATES}/c-{session:016x}-a-0000000000");
    replace(&operator, &false_own).await?;
    leader
        .event_where("draining", |event| {
            event.text("reason") == Some("node-lost")
        })
        .await?;
    operator
        .create(&format!("{false_own}/child"), b"", &persistent())
        .await?;
    leader
        .event_where("plugin-log", |event| event.term == Some(2))
        .await?;
    ensure!(leader.terminate().await?.success(), "{}", leader.errors());
    leader
        .event_where("released", |event| event.term == Some(2))
        .await?;
    client::close(operator).await;
    cluster.verdict().check()
}

/// A persistent node at the place of a host's: no session is waited for, none is renewed, and it is named.
#[tokio::test]
async fn a_persistent_node_in_the_place_of_a_hosts_is_named() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    client::make_path(&operator, "/soloist/hosts").await?;
    operator
        .create(HOST_A, b"a squatter", &persistent())
        .await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    names(&mut host, 0, "session-error", HOST_A).await?;
    let seen = status(&cluster).await?;
    ensure!(seen["hosts"] == serde_json::json!([]), "{seen}");
    operator.delete(HOST_A, None).await?;
    host.event("plugin-log").await?;
    // And while it leads.
    let mark = cluster.history.len();
    replace(&operator, HOST_A).await?;
    names(&mut host, mark, "session-error", HOST_A).await?;
    operator.delete(HOST_A, None).await?;
    host.event_where("plugin-log", |event| event.term == Some(2))
        .await?;
    let told = host.records().iter().any(|record| {
        record
            .event()
            .is_some_and(|event| event.message.contains("0x0 "))
    });
    ensure!(!told, "no session has the id 0x0");
    client::close(operator).await;
    cluster.verdict().check()
}

/// A persistent node at the place of the master node: it leads nobody, it is named again and again, and when it is gone
/// a host leads.
#[tokio::test]
async fn a_persistent_master_node_is_named_and_leads_nobody() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let master = Cluster::master(TASK);
    client::make_path(&operator, "/soloist/tasks/beat").await?;
    operator
        .create(&master, b"a squatter", &persistent())
        .await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    names(&mut host, 0, "election-error", &master).await?;
    let seen = status(&cluster).await?;
    ensure!(seen["tasks"][0]["leader"] == Value::Null, "{seen}");
    operator.delete(&master, None).await?;
    host.event("plugin-log").await?;
    let mark = cluster.history.len();
    replace(&operator, &master).await?;
    host.event_where("draining", |event| {
        event.text("reason") == Some("node-lost")
    })
    .await?;
    names(&mut host, mark, "election-error", &master).await?;
    let again = cluster.history.len();
    names(&mut host, again, "election-error", &master).await?;
    operator.delete(&master, None).await?;
    host.event_where("plugin-log", |event| event.term == Some(2))
        .await?;
    client::close(operator).await;
    cluster.verdict().check()
}

/// Everything is deleted, the chroot and what is above it included: all of it comes back, and somebody leads.
#[tokio::test]
async fn a_chroot_that_is_deleted_comes_back() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let servers = format!("{}/tenants/one", cluster.zookeeper.connect_string());
    let cluster = cluster.through(servers);
    let mut leader = cluster.host("a")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = cluster.host("b")?.start(&cluster.history)?;
    standby.event("standby").await?;
    client::delete_all(&operator, "/tenants").await?;
    let mark = cluster.history.len();
    cluster
        .history
        .wait_for(mark, "a new term", PATIENCE, |record| {
            record.is("activated")
        })
        .await?;
    let back = eventually("both hosts to be back", PATIENCE, async || {
        let seen = status(&cluster).await.ok()?;
        (seen["hosts"].as_array()?.len() == 2
            && seen["tasks"][0]["standbys"].as_array()?.len() == 1)
            .then_some(())
    });
    back.await?;
    for host in [&mut leader, &mut standby] {
        ensure!(host.terminate().await?.success(), "{}", host.errors());
    }
    client::close(operator).await;
    Ok(())
}
