//! Writes that depend on what is there, and several writes at once.

use anyhow::{Context, Result, bail, ensure};
use futures::future::join_all;
use soloist_core::state::{KEYS_MAX, Operation, Refusal, State, StateError, VALUE_MAX_BYTES};
use soloist_tests::cluster::Cluster;

use super::leader::Leader;
use super::operations::{check, delete, set};

/// Of many who expect the same, one writes; and a version is never seen again, whatever was deleted in between.
#[tokio::test]
async fn compare_and_set_lets_one_of_many_through() -> Result<()> {
    let cluster = Cluster::start().await?;
    let leader = Leader::elected(&cluster, "a").await?;
    let mut expected = None;
    for round in 0..10 {
        let values: Vec<String> = (0..16).map(|racer| format!("{round}-{racer}")).collect();
        let outcomes = join_all(
            values
                .iter()
                .map(|value| leader.exchange("race", expected, value)),
        )
        .await;
        let winners: Vec<_> = outcomes
            .iter()
            .zip(&values)
            .filter_map(|(it, value)| Some((it.as_ref().ok()?, value)))
            .collect();
        let [(version, value)] = winners.as_slice() else {
            bail!("{} have won", winners.len())
        };
        let others = outcomes
            .iter()
            .filter(|it| **it == Err(StateError::Changed(Some(**version))))
            .count();
        ensure!(others == 15, "{outcomes:?}");
        let entry = leader
            .state
            .get("race".into())
            .await?
            .context("it is gone")?;
        ensure!(
            (&entry.version, entry.value.as_slice()) == (*version, value.as_bytes()),
            "{entry:?}"
        );
        expected = Some(entry.version);
    }
    let tasks = (0..8).map(async |_| {
        for _ in 0..20 {
            leader.increment("count").await?;
        }
        Ok::<_, StateError>(())
    });
    join_all(tasks)
        .await
        .into_iter()
        .collect::<Result<(), _>>()?;
    ensure!(
        leader
            .state
            .get("count".into())
            .await?
            .context("no count")?
            .value
            == b"160"
    );

    let first = leader.set("again", "1").await?;
    leader.state.delete("again".into()).await?;
    ensure!(leader.exchange("again", Some(first), "2").await == Err(StateError::Changed(None)));
    let second = leader.set("again", "1").await?;
    ensure!(
        second > first
            && leader.exchange("again", Some(first), "2").await
                == Err(StateError::Changed(Some(second)))
    );
    Ok(())
}

/// Several entries are written together or not at all, with one version for all of them.
#[tokio::test]
async fn a_transaction_is_done_whole_or_not_at_all() -> Result<()> {
    let cluster = Cluster::start().await?;
    let leader = Leader::elected(&cluster, "a").await?;
    let transact = async |operations: Vec<Operation>| leader.state.transact(operations).await;
    let refused = |at, error| Err(Refusal { at, error });
    // The parent of the entries comes with the first of them; a check of what is not there leaves nothing behind.
    let first = transact(vec![check("not-there", None), set("a", "1"), set("b", "1")]).await?;
    ensure!(leader.state.list(String::new()).await? == ["a", "b"]);
    for key in ["a", "b"] {
        let entry = leader.state.get(key.into()).await?.context("not there")?;
        ensure!(
            Some(entry.version) == first && entry.value == b"1",
            "{entry:?}"
        );
    }
    let changed = Err(Refusal {
        at: Some(2),
        error: StateError::Changed(first),
    });
    for (expected, outcome) in [(None, changed.clone()), (Some(1), changed)] {
        let operations = vec![set("c", "2"), delete("a"), check("b", expected)];
        ensure!(transact(operations).await == outcome);
    }
    ensure!(
        transact(vec![set("c", "2"), check("d", first)]).await
            == refused(Some(1), StateError::Changed(None))
    );
    ensure!(transact(vec![check("a", first), check("c", None)]).await == Ok(None));
    ensure!(
        leader.state.list(String::new()).await? == ["a", "b"],
        "some of it was done"
    );
    // What is checked can be written as well, and deleted.
    let second = transact(vec![
        check("a", first),
        set("a", "2"),
        check("b", first),
        delete("b"),
    ]);
    let second = second.await?;
    ensure!(second > first && leader.state.list(String::new()).await? == ["a"]);
    ensure!(transact(vec![delete("a"), delete("not-there")]).await? == None);
    ensure!(leader.state.list(String::new()).await?.is_empty());

    let fills = |from: usize, to: usize| {
        let keys = (from..to).map(|number| set(&format!("key-{number:04}"), ""));
        keys.collect::<Vec<_>>()
    };
    for from in (0..KEYS_MAX - 8).step_by(32) {
        transact(fills(from, (from + 32).min(KEYS_MAX - 8))).await?;
    }
    ensure!(
        transact(fills(KEYS_MAX - 8, KEYS_MAX + 1)).await == refused(None, StateError::TooMany)
    );
    ensure!(leader.state.list(String::new()).await?.len() == KEYS_MAX - 8);
    let mut exchanged = fills(KEYS_MAX - 8, KEYS_MAX + 1);
    exchanged.push(delete("key-0000"));
    transact(exchanged).await?;
    let listed = leader.state.list("key-09".into()).await?;
    ensure!(listed.len() == 100 && listed.iter().all(|key| key.starts_with("key-09")));
    // The largest that there can be fits into one message.
    let half = "x".repeat(VALUE_MAX_BYTES / 2);
    transact(vec![set("key-0001", &half), set("key-0002", &half)]).await?;
    Ok(())
}
