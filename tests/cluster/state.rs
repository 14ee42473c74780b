//! The fenced state: it outlives failovers, and nothing of it is lost, torn, doubled, or written by a leader of the past.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::join_all;
use soloist_coordination::fence::Fence;
use soloist_coordination::state::TaskState;
use soloist_coordination::task::ElectOutcome;
use soloist_core::state::{KEYS_MAX, Operation, Refusal, State, StateError, VALUE_MAX_BYTES};
use soloist_core::term::Term;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::{Command, Host};
use soloist_tests::proxy::{Op, Proxy, Traffic};
use soloist_tests::session::OwnSession;
use soloist_tests::zookeeper::Settings;
use soloist_tests::{build, client};
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Error, Permission};

const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const STATE: &str = "/soloist/tasks/beat/state";

fn node(key: &str) -> String {
    format!("{STATE}/{key}")
}

/// A host that counts in the task's state, every few milliseconds.
fn counter(cluster: &Cluster, id: &str) -> Result<Command> {
    let plugin = build::artifacts()?.guest("counter");
    // No more lines than a plugin may write.
    Ok(cluster
        .host_of(id, &plugin)?
        .arg("--allow-state")
        .flag("--task", TASK)
        .flag("--config", "interval=10ms"))
}

/// The counts that a host has told so far.
fn counts(host: &Host) -> Vec<u64> {
    let records = host.records();
    let lines = records
        .iter()
        .filter_map(|record| record.event())
        .filter(|event| event.name == "plugin-log");
    lines
        .filter_map(|event| event.line["fields"]["count"].as_str()?.parse().ok())
        .collect()
}

async fn until_counted(host: &mut Host, more: usize) -> Result<()> {
    let enough = counts(host).len() + more;
    let mut told = 0;
    host.event_where("plugin-log", |_| {
        told += 1;
        told >= enough
    })
    .await?;
    Ok(())
}

fn are_consecutive(counts: &[u64]) -> bool {
    counts.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// A leader of [`TASK`] without a plugin, that the host's own code has elected.
struct Leader {
    state: TaskState,
    term: Term,
    candidate: String,
    own: OwnSession,
}

impl Leader {
    async fn elected(cluster: &Cluster, id: &str) -> Result<Self> {
        let own = OwnSession::begin(cluster, id).await?;
        loop {
            let seen = own.nodes().look().await?;
            let Some(candidate) = seen.candidate.clone() else {
                own.nodes().join().await?;
                continue;
            };
            let over = seen.queue.record.clone();
            match own.nodes().elect(Some(seen), over).await? {
                ElectOutcome::Won(term, _) => {
                    let fence = Fence::new(&own.paths, &term, &candidate);
                    let state = TaskState::new(own.session.clone(), own.paths.clone(), fence);
                    return Ok(Self {
                        state,
                        term,
                        candidate,
                        own,
                    });
                }
                ElectOutcome::Outdated => {}
                ElectOutcome::Held => bail!("somebody else leads"),
            }
        }
    }

    async fn set(&self, key: &str, value: &str) -> Result<u64, StateError> {
        self.state.set(key.into(), value.into()).await
    }

    async fn exchange(
        &self,
        key: &str,
        expected: Option<u64>,
        value: &str,
    ) -> Result<u64, StateError> {
        self.state
            .compare_and_set(key.into(), expected, value.into())
            .await
    }

    /// One more, as a plugin would count.
    async fn increment(&self, key: &str) -> Result<(), StateError> {
        loop {
            let entry = self.state.get(key.into()).await?;
            let (count, version) = entry.map_or((0, None), |entry| {
                (number(&entry.value), Some(entry.version))
            });
            match self.exchange(key, version, &(count + 1).to_string()).await {
                Err(StateError::Changed(_)) => {}
                outcome => return outcome.map(drop),
            }
        }
    }
}

fn set(key: &str, value: &str) -> Operation {
    Operation::Set {
        key: key.into(),
        value: value.into(),
    }
}

fn check(key: &str, expected: Option<u64>) -> Operation {
    Operation::Check {
        key: key.into(),
        expected,
    }
}

fn delete(key: &str) -> Operation {
    Operation::Delete { key: key.into() }
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("only numbers are written")
}

/// Deletes what makes a leader the leader, as only somebody with every right can.
async fn depose(operator: &Client) -> Result<()> {
    operator.delete(&Cluster::master(TASK), None).await?;
    for candidate in operator
        .list_children("/soloist/tasks/beat/candidates")
        .await?
    {
        operator
            .delete(&format!("/soloist/tasks/beat/candidates/{candidate}"), None)
            .await?;
    }
    Ok(())
}

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

/// A leader that somebody has deposed, with a session that lives and a belief that it leads: the ensemble refuses it all.
#[tokio::test]
async fn a_leader_of_the_past_writes_nothing() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let idle = Leader::elected(&cluster, "idle").await?;
    depose(&operator).await?;
    let past = Leader::elected(&cluster, "past").await?;
    // Not even the parent of its entries.
    ensure!(idle.set("new", "idle").await == Err(StateError::Fenced));
    ensure!(
        operator.check_stat(STATE).await?.is_none(),
        "a leader of the past has created {STATE}"
    );
    let version = past.set("who", "past").await?;
    depose(&operator).await?;
    let present = Leader::elected(&cluster, "present").await?;
    for leader in [&idle, &past] {
        let outcomes = [
            leader.set("who", "nobody").await.map(drop),
            leader.set("new", "nobody").await.map(drop),
            leader
                .exchange("who", Some(version), "nobody")
                .await
                .map(drop),
            leader.exchange("new", None, "nobody").await.map(drop),
            leader.state.delete("who".into()).await,
        ];
        ensure!(
            outcomes
                .iter()
                .all(|outcome| *outcome == Err(StateError::Fenced)),
            "{outcomes:?}"
        );
        let together = leader
            .state
            .transact(vec![set("new", "nobody"), delete("who")]);
        ensure!(together.await == Err(StateError::Fenced.into()));
    }
    let entry = present
        .state
        .get("who".into())
        .await?
        .context("it is gone")?;
    ensure!(
        (entry.value.as_slice(), entry.version) == (b"past".as_slice(), version),
        "{entry:?}"
    );
    ensure!(present.state.list(String::new()).await? == ["who"]);
    ensure!(present.exchange("who", Some(version), "present").await? > version);
    // The record of the term deleted is the end of every term.
    operator.delete("/soloist/tasks/beat/term", None).await?;
    ensure!(present.set("who", "present").await == Err(StateError::Fenced));
    Ok(())
}

/// All of a task is deleted and made anew: the record of the new term has the version of the old one's, and what the old
/// leader writes is refused all the same.
#[tokio::test]
async fn a_leader_of_a_task_that_was_deleted_writes_nothing_to_the_one_made_anew() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let past = Leader::elected(&cluster, "past").await?;
    client::delete_all(&operator, "/soloist/tasks/beat").await?;
    let present = Leader::elected(&cluster, "present").await?;
    ensure!(
        past.term.record_version == present.term.record_version,
        "nothing would be shown"
    );
    let version = present.set("who", "present").await?;
    let outcomes = [
        past.set("who", "past").await.map(drop),
        past.set("new", "past").await.map(drop),
        past.exchange("who", Some(version), "past").await.map(drop),
        past.state.delete("who".into()).await,
    ];
    ensure!(
        outcomes
            .iter()
            .all(|outcome| *outcome == Err(StateError::Fenced)),
        "{outcomes:?}"
    );
    ensure!(present.state.list(String::new()).await? == ["who"]);
    // It is the candidate that tells the terms apart: with that of the present one, the version would let it through.
    let fence = Fence::new(&past.own.paths, &past.term, &present.candidate);
    let by_version = TaskState::new(past.own.session.clone(), past.own.paths.clone(), fence);
    ensure!(by_version.set("who".into(), b"past".to_vec()).await.is_ok());
    client::close(operator).await;
    Ok(())
}

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

/// What is too large, too many or badly named is refused, and what just fits is kept.
#[tokio::test]
async fn limits_hold() -> Result<()> {
    let cluster = Cluster::start().await?;
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
        matches!(&outcome, Err(StateError::Unavailable(reason)) if reason.contains(&node("large"))),
        "{outcome:?}"
    );
    leader.set("small", "x").await?;
    ensure!(leader.state.list(String::new()).await? == ["small"]);
    Ok(())
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

/// The nodes of the state have the ACL that is configured: others read, and only the configured identity writes.
#[tokio::test]
async fn the_state_belongs_to_the_configured_identity() -> Result<()> {
    let cluster = Cluster::start().await?;
    let identity = "soloist:secret";
    let command =
        counter(&cluster, "a")?.env("SOLOIST_ZOOKEEPER_AUTH", format!("digest:{identity}"));
    let mut host = command
        .flag("--acl", "creator-world-read")
        .start(&cluster.history)?;
    until_counted(&mut host, 1).await?;
    let stranger = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let owner = client::connect_as(cluster.servers(), SESSION_TIMEOUT, Some(identity)).await?;
    for path in [STATE.to_owned(), node("count")] {
        let (acl, _) = owner.get_acl(&path).await?;
        let world = acl
            .iter()
            .filter(|entry| *entry.auth_id() == AuthId::anyone());
        ensure!(
            world.map(Acl::permission).eq([Permission::READ]),
            "{path}: {acl:?}"
        );
        ensure!(
            acl.iter()
                .any(|entry| entry.scheme() == "digest" && entry.permission() == Permission::ALL),
            "{acl:?}"
        );
        ensure!(
            stranger.set_data(&path, b"0", None).await == Err(Error::NoAuth),
            "{path}"
        );
    }
    ensure!(stranger.create(&node("other"), b"", &options).await.err() == Some(Error::NoAuth));
    ensure!(stranger.delete(&node("count"), None).await == Err(Error::NoAuth));
    stranger.get_data(&node("count")).await?;
    Ok(())
}
