//! A host that the ensemble lets do only a part of what it has to: it says so, and others lead.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{build, client};
use zookeeper_client::{Acl, AuthId, Client, Permission};

const IDENTITY: &str = "SOLOIST_ZOOKEEPER_AUTH";
const OURS: &str = "digest:soloist:secret";
const PARENT: &str = "/guarded/report";

async fn set_acl(operator: &Client, path: &str, acls: &[Acl]) -> Result<()> {
    operator
        .set_acl(path, acls, None)
        .await
        .with_context(|| format!("cannot set the ACL of {path}"))?;
    Ok(())
}

/// The head of the queue may not create the master node: it leaves the queue, rests, and says so; healthy hosts lead.
/// Once it may, it leads as well.
#[tokio::test]
async fn a_head_of_the_queue_that_cannot_elect_makes_way() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client_as("soloist:secret").await?;
    client::make_path(&operator, PARENT).await?;
    let ours = Acl::new(Permission::ALL, AuthId::authed());
    let all_read = Acl::new(Permission::READ, AuthId::anyone());
    set_acl(&operator, PARENT, &[ours, all_read]).await?;
    let host = |id: &str| {
        Ok::<_, anyhow::Error>(cluster.host(id)?.flag("--path", format!("{PARENT}/master")))
    };
    let mut stranger = host("stranger")?.start(&cluster.history)?;
    stranger
        .event_where("election-error", |event| {
            event.message.contains("/guarded/report/master")
        })
        .await?;
    let mut healthy = Vec::new();
    for id in ["b", "c"] {
        let mut host = host(id)?
            .env(IDENTITY, OURS)
            .flag("--acl", "world")
            .start(&cluster.history)?;
        host.event(if healthy.is_empty() {
            "plugin-log"
        } else {
            "standby"
        })
        .await?;
        healthy.push(host);
    }
    let rests = stranger
        .event_where("election-error", |event| event.line["retry_in"].is_number())
        .await?;
    let rests = rests.event().context("an event")?.message.clone();
    ensure!(rests.contains("leaves the queue"), "{rests}");
    // It comes back and makes way again, at every handover.
    stranger.event("standby").await?;
    ensure!(healthy[0].terminate().await?.success());
    healthy[1].event("plugin-log").await?;
    ensure!(healthy[1].terminate().await?.success());
    let mark = cluster.history.len();
    stranger
        .event_after(mark, "election-error", |event| {
            event.line["retry_in"].is_number()
        })
        .await?;
    set_acl(
        &operator,
        PARENT,
        &[Acl::new(Permission::ALL, AuthId::anyone())],
    )
    .await?;
    stranger.event("plugin-log").await?;
    ensure!(stranger.terminate().await?.success());
    client::close(operator).await;
    cluster.verdict().check()
}

/// A leader may not delete its master node: it says so and lets its session go. Its other task is demoted in good order.
#[tokio::test]
async fn a_release_that_is_refused_costs_the_session() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(30)).await?;
    let operator = cluster.client().await?;
    let plugin = build::artifacts()?.guest("heartbeat");
    let task = |name: &str| {
        format!(
            "[[task]]\nname = {name:?}\nplugin = {:?}\n",
            plugin.display().to_string()
        )
    };
    let both = cluster.file("both.toml", [TASK, "other"].map(task).concat())?;
    let mut leader = cluster.host_of("a", &both)?.start(&cluster.history)?;
    for name in [TASK, "other"] {
        leader
            .event_where("plugin-log", |event| event.task.as_deref() == Some(name))
            .await?;
    }
    let mut standby = cluster.host("b")?.start(&cluster.history)?;
    standby.event("standby").await?;
    let undeletable = Permission::READ | Permission::WRITE | Permission::CREATE | Permission::ADMIN;
    for parent in ["/soloist/tasks/beat", "/soloist/tasks/beat/candidates"] {
        set_acl(
            &operator,
            parent,
            &[Acl::new(undeletable, AuthId::anyone())],
        )
        .await?;
    }
    let resigned = cluster.operator(&[], &["resign", TASK]).await?;
    ensure!(
        resigned.code == Some(0) && resigned.stdout.contains("b leads beat now in term 2"),
        "{resigned:?}"
    );
    standby.event("plugin-log").await?;
    leader
        .event_where("election-error", |event| {
            event.message.contains("lets its session go")
        })
        .await?;
    let other = |record: &soloist_tests::history::Record, name| {
        record.is(name)
            && record
                .event()
                .is_some_and(|event| event.task.as_deref() == Some("other"))
    };
    let records = leader.records();
    ensure!(
        records.iter().any(|record| other(record, "demoted")),
        "the other task was not demoted"
    );
    ensure!(
        records.iter().all(|record| !other(record, "revoked")),
        "the other task was stopped by force"
    );
    // It is there again: what others may do is not its to say.
    leader
        .event_where("plugin-log", |event| {
            event.task.as_deref() == Some("other") && event.term == Some(2)
        })
        .await?;
    leader
        .event_where("standby", |event| event.task.as_deref() == Some(TASK))
        .await?;
    // The host has seen its session closed before it asked for the next one, so its id was free.
    let records = leader.records();
    let names = records
        .iter()
        .filter_map(|record| Some(record.event()?.name.as_str()));
    let sessions: Vec<_> = names.filter(|name| name.starts_with("session-")).collect();
    let closed_between = [
        "session-connecting",
        "session-connected",
        "session-closed",
        "session-connecting",
        "session-connected",
    ];
    ensure!(sessions == closed_between, "{sessions:?}");
    client::close(operator).await;
    cluster.verdict().check()
}
