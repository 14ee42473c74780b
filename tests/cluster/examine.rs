//! `soloist check --connect`: what is said of an ensemble.

use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::certificates::Certificates;
use soloist_tests::cluster::{Answer, Cluster};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, eventually};

use crate::tls::secure;

/// Looks at the ensemble as a host that takes its tick for `tick_time`.
async fn examine(cluster: &Cluster, tick_time: &str, variables: &[(&str, &str)]) -> Result<Answer> {
    let plugin = build::artifacts()?.guest("hello").display().to_string();
    let args = ["check", &plugin, "--connect", "--tick-time", tick_time];
    cluster.operator(variables, &args).await
}

fn says(answer: &Answer, code: i32, lines: &[&str]) -> Result<()> {
    ensure!(answer.code == Some(code), "{answer:?}");
    for line in lines {
        ensure!(answer.stdout.contains(line), "no {line:?}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_ensemble_is_looked_at_and_nothing_is_written() -> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = secure(&certificates).await?;
    let answer = examine(&cluster, "500ms", &[]).await?;
    #[rustfmt::skip]
    says(&answer, 0, &[
        "  ok           gives sessions of 10s\n",
        "  warning      is ZooKeeper 3.",
        "  ok           its tickTime is 500ms\n",
        "  ok           connections are encrypted, and servers verified with their names\n",
        "  not checked  who may do what: /soloist is not there",
    ])?;
    // A server of a busy machine is too slow for that, until there is a quiet moment.
    eventually("the rate of a clock to be told", PATIENCE * 5, async || {
        let answer = examine(&cluster, "500ms", &[]).await.ok()?;
        says(&answer, 0, &["  ok           its clock runs "]).ok()
    })
    .await?;
    let client = cluster.client().await?;
    ensure!(client.check_stat("/soloist").await?.is_none());
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("activated").await?;
    let answer = examine(&cluster, "500ms", &[]).await?;
    says(
        &answer,
        0,
        &["  warning      everybody who reaches the ensemble may change /soloist"],
    )?;
    ensure!(host.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn what_the_lease_does_not_allow_is_an_error_and_what_is_hidden_is_said() -> Result<()> {
    let settings = Settings::standalone().property("4lw.commands.whitelist", "srvr");
    let cluster = Cluster::with(settings, Duration::from_secs(10)).await?;
    let answer = examine(&cluster, "100ms", &[("SOLOIST_SESSION_TIMEOUT", "30s")]).await?;
    #[rustfmt::skip]
    says(&answer, 1, &[
        "  warning      agrees to a session timeout of 10s only, not 30s",
        "  error        its tickTime seems to be 500ms, more than twice tick_time = 100ms",
        "  not checked  the rate of its clock",
        "  warning      connections are not encrypted",
    ])?;
    ensure!(
        answer.stderr.contains("not as the lease needs it"),
        "{answer:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_servers_of_an_ensemble_are_looked_at_one_by_one_also_those_that_are_down() -> Result<()>
{
    let mut cluster = Cluster::with(Settings::ensemble(), Duration::from_secs(4)).await?;
    let down = (cluster.zookeeper.leader().await? + 1) % 3;
    cluster.zookeeper.kill(down)?;
    let up: Vec<_> = (0..3).filter(|index| *index != down).collect();
    let answer = examine(&cluster, "500ms", &[]).await?;
    #[rustfmt::skip]
    says(&answer, 1, &[
        "Connection refused",
        "  not checked  whether the servers speak TLS with each other",
        "leader.closeSocketAsync=true",
    ])?;
    for index in up {
        let server = format!("server {}\n  ok ", cluster.zookeeper.server(index));
        says(&answer, 1, &[&server])?;
        cluster.zookeeper.kill(index)?;
    }
    let answer = examine(&cluster, "500ms", &[("SOLOIST_CONNECT_TIMEOUT", "1s")]).await?;
    ensure!(answer.code == Some(3), "{answer:?}");
    Ok(())
}
