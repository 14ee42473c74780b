//! Which term is which when records are deleted, lowered or made anew: numbers go up, and what is said of one term never
//! means another.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::Host;
use soloist_tests::{PATIENCE, client, eventually};
use zookeeper_client::{Acls, Client, CreateMode};

const TERM: &str = "/soloist/tasks/beat/term";
const HISTORY: &str = "/soloist/tasks/beat/history";
const RESIGN: &str = "/soloist/tasks/beat/resign";

async fn leading(host: &mut Host, term: u64) -> Result<()> {
    host.event_where("plugin-log", |event| event.term == Some(term))
        .await?;
    Ok(())
}

/// A host that leads alone, in the term given, after resigning from all before.
async fn leader(cluster: &Cluster, term: u64) -> Result<Host> {
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    for term in 1..term {
        leading(&mut host, term).await?;
        let answer = cluster.operator(&[], &["resign", TASK]).await?;
        ensure!(answer.code == Some(0), "{answer:?}");
    }
    leading(&mut host, term).await?;
    Ok(host)
}

async fn create(operator: &Client, path: &str, value: &Value) -> Result<()> {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    operator
        .create(path, value.to_string().as_bytes(), &options)
        .await?;
    Ok(())
}

async fn read(operator: &Client, path: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&operator.get_data(path).await?.0)?)
}

async fn write(operator: &Client, path: &str, value: &Value) -> Result<()> {
    operator
        .set_data(path, value.to_string().as_bytes(), None)
        .await?;
    Ok(())
}

/// The record is deleted, and another time lowered: the next term has a new number, and every term is in the history.
#[tokio::test]
async fn no_number_is_used_twice_when_the_record_is_lost() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let mut host = leader(&cluster, 4).await?;
    operator.delete(TERM, None).await?;
    leading(&mut host, 5).await?;
    let mut record = read(&operator, TERM).await?;
    ensure!(record["number"] == 5, "{record}");
    record["number"] = json!(2);
    write(&operator, TERM, &record).await?;
    leading(&mut host, 6).await?;
    operator.set_data(TERM, b"{\"number\":", None).await?;
    leading(&mut host, 7).await?;
    let terms = cluster.terms().await?;
    let seen: Vec<_> = terms
        .iter()
        .map(|term| (term["number"].as_u64(), term["end"]["reason"].as_str()))
        .collect();
    let (lost, resigned) = (Some("node-lost"), Some("resigned"));
    let ends = [None, lost, lost, lost, resigned, resigned, resigned];
    let expected: Vec<_> = (1..=7).rev().map(Some).zip(ends).collect();
    ensure!(seen == expected, "{terms:#?}");
    let tokens: Vec<_> = terms
        .iter()
        .filter_map(|term| term["fencing_token"].as_u64())
        .collect();
    let held: Vec<_> = cluster
        .verdict()
        .activities
        .iter()
        .rev()
        .map(|activity| activity.fencing_token)
        .collect();
    ensure!(
        tokens == held,
        "{tokens:?} in the history, {held:?} in the events"
    );
    ensure!(host.terminate().await?.success());
    client::close(operator).await;
    cluster.verdict().check()
}

/// An order that was left behind for a term of that number is removed when another term of it begins. One from an operator
/// of an earlier version, which names the number alone, is followed if it was given in the term.
#[tokio::test]
async fn an_order_that_was_left_behind_means_nothing() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let mut host = leader(&cluster, 1).await?;
    ensure!(host.terminate().await?.success());
    create(
        &operator,
        RESIGN,
        &json!({"term": 2, "reason": "left behind"}),
    )
    .await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    leading(&mut host, 2).await?;
    let removed = eventually("the order to be removed", PATIENCE, async || {
        operator
            .check_stat(RESIGN)
            .await
            .ok()?
            .is_none()
            .then_some(())
    });
    removed.await?;
    // Orders to another term of that number, and to one of another number.
    create(
        &operator,
        RESIGN,
        &json!({"term": 2, "fencing_token": 1, "reason": "another"}),
    )
    .await?;
    write(&operator, RESIGN, &json!({"term": 3, "reason": "early"})).await?;
    write(
        &operator,
        RESIGN,
        &json!({"term": 2, "reason": "of an earlier version"}),
    )
    .await?;
    leading(&mut host, 3).await?;
    let terms = cluster.terms().await?;
    ensure!(
        terms[1]["number"] == 2 && terms[1]["end"]["detail"] == "of an earlier version",
        "{terms:#?}"
    );
    client::close(operator).await;
    cluster.verdict().check()
}

/// A term that has ended and bears the number of the one under way: `history` shows both, and `resign` tells them apart.
#[tokio::test]
async fn a_term_of_the_same_number_is_not_mistaken_for_the_one_under_way() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let mut host = leader(&cluster, 1).await?;
    let end = json!({"at": "2026-01-01T00:00:01Z", "reason": "resigned"});
    let older = json!({"number": 1, "host": "z", "since": "2026-01-01T00:00:00Z", "fencing_token": 1, "end": end});
    write(&operator, HISTORY, &json!([older])).await?;
    let seen = cluster.terms().await?;
    let hosts: Vec<_> = seen
        .iter()
        .filter_map(|term| term["host"].as_str())
        .collect();
    ensure!(hosts == ["a", "z"] && seen[0]["end"].is_null(), "{seen:#?}");
    host.pause().await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--timeout", "200ms"])
        .await?;
    ensure!(
        answer.code == Some(1) && answer.stderr.contains("the order stands"),
        "{answer:?}"
    );
    host.resume()?;
    leading(&mut host, 2).await?;
    let mut history = read(&operator, HISTORY).await?;
    let mut another = older.clone();
    another["number"] = json!(2);
    history
        .as_array_mut()
        .context("no history")?
        .insert(0, another);
    write(&operator, HISTORY, &history).await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--reason", "now"])
        .await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("term 2 of a has ended: resigned"),
        "{answer:?}"
    );
    ensure!(
        answer.stdout.contains("a leads beat now in term 3"),
        "{answer:?}"
    );
    client::close(operator).await;
    cluster.verdict().check()
}

/// All of a task is deleted while its leader is stopped, and made anew by the next one: what the old leader gives back
/// when it goes on is not the new one's.
#[tokio::test]
async fn a_late_release_does_not_end_a_term_of_a_task_made_anew() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let mut late = leader(&cluster, 1).await?;
    late.pause().await?;
    client::delete_all(&operator, "/soloist/tasks/beat").await?;
    let mut next = cluster.host("b")?.start(&cluster.history)?;
    next.event("plugin-log").await?;
    let master = operator
        .check_stat(&Cluster::master(TASK))
        .await?
        .context("nobody leads")?;
    let mark = cluster.history.len();
    late.resume()?;
    late.event_after(mark, "standby", |_| true).await?;
    let record = operator.check_stat(TERM).await?.context("no record")?;
    ensure!(
        record.mzxid == master.czxid,
        "the record of the new term was written over"
    );
    let again = cluster.history.len();
    next.event_after(again, "plugin-log", |event| {
        event.fencing_token == Some(master.czxid.unsigned_abs())
    })
    .await?;
    ensure!(
        next.records().iter().all(|record| !record.is("draining")),
        "the new term has ended"
    );
    client::close(operator).await;
    Ok(())
}
