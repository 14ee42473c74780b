//! How much the state takes, and how much of it the ensemble has to bear.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use soloist_core::state::{KEYS_MAX, State, StateError, VALUE_MAX_BYTES};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;
use soloist_tests::zookeeper::Settings;

use super::leader::{Leader, node};

const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// What is too large, too many or badly named is refused, and what just fits is kept.
#[tokio::test]
async fn limits_hold() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let leader = Leader::elected(&cluster, "a").await?;
    for key in [
        "",
        ".",
        "..",
        "a/b",
        "a\0b",
        "\u{85}",
        "\u{f8ff}",
        "\u{1f511}",
        &"x".repeat(129),
    ] {
        ensure!(
            matches!(leader.set(key, "1").await, Err(StateError::BadKey(_))),
            "{key:?}"
        );
        ensure!(
            matches!(
                leader.exchange(key, None, "1").await,
                Err(StateError::BadKey(_))
            ),
            "{key:?}"
        );
        ensure!(
            matches!(
                leader.state.get(key.into()).await,
                Err(StateError::BadKey(_))
            ),
            "{key:?}"
        );
        ensure!(
            matches!(
                leader.state.delete(key.into()).await,
                Err(StateError::BadKey(_))
            ),
            "{key:?}"
        );
    }
    // Nothing that the host lets through may be a name that ZooKeeper refuses.
    for key in [
        "...",
        "ein Schlüssel",
        "\u{d7ff}\u{f900}\u{ffef}",
        "zookeeper",
        &"\u{e9}".repeat(64),
    ] {
        leader
            .set(key, key)
            .await
            .with_context(|| format!("{key:?}"))?;
        ensure!(
            leader
                .state
                .get(key.into())
                .await?
                .is_some_and(|entry| entry.value == key.as_bytes())
        );
    }
    let large = "x".repeat(VALUE_MAX_BYTES);
    leader.set("large", &large).await?;
    ensure!(
        leader
            .state
            .get("large".into())
            .await?
            .is_some_and(|entry| entry.value == large.as_bytes())
    );
    let bytes = VALUE_MAX_BYTES + 1;
    ensure!(leader.set("large", &format!("{large}x")).await == Err(StateError::TooLarge { bytes }));

    let room = KEYS_MAX - leader.state.list(String::new()).await?.len();
    let filled =
        join_all((0..room).map(async |index| leader.set(&format!("key-{index:04}"), "").await))
            .await;
    filled.into_iter().collect::<Result<Vec<_>, _>>()?;
    ensure!(leader.set("one-more", "").await == Err(StateError::TooMany));
    ensure!(leader.exchange("one-more", None, "").await == Err(StateError::TooMany));
    leader.set("key-0001", "again").await?;
    leader.state.delete("key-0000".into()).await?;
    leader.set("one-more", "").await?;
    let keys = leader.state.list(String::new()).await?;
    ensure!(keys.len() == KEYS_MAX && keys.is_sorted());
    Ok(())
}

/// Every server keeps the latest writes in memory. These have little of it, which large values without a pause would fill.
#[tokio::test]
async fn a_plugin_that_writes_without_a_pause_leaves_the_ensemble_alive() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), SESSION_TIMEOUT).await?;
    let plugin = build::artifacts()?.guest("misbehave");
    let host = cluster
        .host_of("a", &plugin)?
        .arg("--allow-state")
        .arg("--allow-tcp=");
    let mut host = host
        .flag("--config", "do=state-storm")
        .start(&cluster.history)?;
    // More bytes than all the memory of the server, if each value had as many as it can have at most.
    host.event_where("plugin-log", |event| {
        event.line["message"] == "stored 80 of 65536 bytes"
    })
    .await?;
    let records = host.records();
    let mut names = records
        .iter()
        .filter_map(|record| record.event())
        .map(|event| event.name.as_str());
    let lost = names.find(|name| ["session-disconnected", "session-expired"].contains(name));
    ensure!(lost.is_none(), "{lost:?}: {}", cluster.zookeeper.log(0));
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    Ok(())
}

/// An ensemble that breaks the connection over a value: the write is given up, and the session goes on.
#[tokio::test]
async fn a_value_that_the_ensemble_does_not_take_is_given_up() -> Result<()> {
    let settings = Settings::standalone().system_property("jute.maxbuffer", "100000");
    let cluster = Cluster::with(settings, SESSION_TIMEOUT).await?;
    let leader = Leader::elected(&cluster, "a").await?;
    let outcome = leader.set("large", &"x".repeat(200_000)).await;
    ensure!(
        matches!(&outcome, Err(StateError::Unavailable(reason))
            if reason.contains(&node("large")) && reason.contains("`jute.maxbuffer`")),
        "{outcome:?}"
    );
    leader.set("small", "x").await?;
    ensure!(leader.state.list(String::new()).await? == ["small"]);
    Ok(())
}
