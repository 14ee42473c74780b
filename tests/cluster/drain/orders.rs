//! Orders of several operators, orders for nobody, and commands that end before the order is carried out.

use anyhow::{Result, ensure};
use rustix::process::Signal;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::History;
use soloist_tests::host::Command;
use soloist_tests::{PATIENCE, build, eventually};

use super::{drain_of, has_stood, host, of_task, order, queue, stands, status};

/// Two operators give the same order: one order counts, both wait for it, and one of them ends it.
#[tokio::test]
async fn of_two_operators_who_drain_a_host_at_once_both_are_answered() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _hosts = queue(&cluster, &["a", "b"]).await?;
    let (one, other) = tokio::try_join!(
        cluster.operator(&[], &["drain", "a", "--reason", "one"]),
        cluster.operator(&[], &["drain", "a", "--reason", "other"]),
    )?;
    for answer in [&one, &other] {
        ensure!(
            answer.code == Some(0) && answer.stdout.contains("host a is empty"),
            "{answer:?}"
        );
    }
    let later = |answer: &str| answer.contains("has drained host a already");
    ensure!(
        later(&one.stdout) != later(&other.stdout),
        "{one:?} {other:?}"
    );
    ensure!(of_task(&status(&cluster).await?, "one").0 == Some("b"));
    let undrain = || cluster.operator(&[], &["undrain", "a"]);
    let (one, other) = tokio::try_join!(undrain(), undrain())?;
    let codes = [one.code, other.code];
    ensure!(codes.contains(&Some(0)), "{one:?} {other:?}");
    let late = cluster.operator(&[], &["undrain", "a"]).await?;
    ensure!(
        late.code == Some(1) && late.stderr.contains("host a is not drained"),
        "{late:?}"
    );
    stands(&cluster, "a", &["one"]).await?;
    cluster.verdict().check()
}

/// A name that nobody has is an error, and nothing is ordered; with `--absent` the order waits for the host.
#[tokio::test]
async fn an_order_for_a_host_that_does_not_run_is_refused_unless_it_is_meant() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _hosts = queue(&cluster, &["a"]).await?;
    let refused = cluster.operator(&[], &["drain", "z"]).await?;
    ensure!(refused.code == Some(1), "{refused:?}");
    for word in ["no host z runs", "these do: a", "--absent"] {
        ensure!(refused.stderr.contains(word), "{word}: {refused:?}");
    }
    ensure!(drain_of(&status(&cluster).await?, "z").is_none());
    let meant = order(&cluster, &["drain", "z", "--absent"]).await?;
    ensure!(
        meant.stderr.contains("warning: no host z runs"),
        "{meant:?}"
    );
    let mut late = host(&cluster, "z")?.start(&cluster.history)?;
    late.event("host-drained").await?;
    ensure!(!has_stood(&late), "{:?}", late.records());
    order(&cluster, &["undrain", "z"]).await?;
    stands(&cluster, "z", &["one", "two", "three"]).await?;
    let bad = cluster.operator(&[], &["drain", "a/b"]).await?;
    ensure!(
        bad.code == Some(2) && bad.stderr.contains("slash"),
        "{bad:?}"
    );
    cluster.verdict().check()
}

/// A host that does not hear the order: the command gives up with a code of its own, and the order is followed all the same.
#[tokio::test]
async fn an_order_stands_when_its_command_gives_up_or_is_interrupted() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = cluster.queue(&["a", "b"]).await?;
    hosts[0].pause().await?;
    let late = cluster
        .operator(&[], &["drain", "a", "--timeout", "300ms"])
        .await?;
    ensure!(late.code == Some(4), "{late:?}");
    for word in [
        "host a has not said that it has heard",
        "the order stands",
        "soloist undrain a",
    ] {
        ensure!(late.stderr.contains(word), "{word}: {late:?}");
    }
    // The same when somebody stops the command.
    let seen = History::default();
    let mut waiting = Command::new("drain", &build::artifacts()?.soloist)
        .arg("drain")
        .arg("a")
        .flag("--zookeeper", cluster.servers())
        .start(&seen)?;
    seen.wait_for(0, "the command to wait", PATIENCE, |record| {
        format!("{record}").contains("leads 1 task")
    })
    .await?;
    waiting.signal(Signal::INT)?;
    let status = waiting.ended().await?;
    let errors = waiting.errors();
    ensure!(status.code() == Some(1), "{status}: {errors}");
    ensure!(
        errors.contains("stopped before host a was empty; the order stands"),
        "{errors}"
    );
    hosts[0].resume()?;
    hosts[0].event("host-drained").await?;
    hosts[1].event("activated").await?;
    cluster.verdict().check()
}

/// Whoever waits for a host hears that somebody has ended its drain.
#[tokio::test]
async fn a_drain_that_somebody_ends_while_another_waits_for_it_is_not_carried_out() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = cluster.queue(&["a"]).await?;
    hosts[0].pause().await?;
    let undrain = async {
        eventually("the order", PATIENCE, async || {
            drain_of(&status(&cluster).await.ok()?, "a")
        })
        .await?;
        order(&cluster, &["undrain", "a"]).await
    };
    let (waited, _) = tokio::try_join!(cluster.operator(&[], &["drain", "a"]), undrain)?;
    hosts[0].resume()?;
    ensure!(
        waited.code == Some(1)
            && waited
                .stderr
                .contains("somebody has ended the drain of host a"),
        "{waited:?}"
    );
    eventually("the host to lead", PATIENCE, async || {
        let status = status(&cluster).await.ok()?;
        (of_task(&status, TASK).0 == Some("a")).then_some(())
    })
    .await?;
    cluster.verdict().check()
}
