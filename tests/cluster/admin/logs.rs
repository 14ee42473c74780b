//! The latest lines about a task, as its host keeps them.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::{History, Record};
use soloist_tests::host::Command;
use soloist_tests::pages::Answer;
use soloist_tests::{PATIENCE, build, eventually};

use super::listening;

fn lines(answer: &Answer) -> Result<Vec<Value>> {
    let lines = answer.body.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

fn header<'a>(answer: &'a Answer, name: &str) -> Result<&'a str> {
    let line = answer.head.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.context("no such header")?.trim_start_matches(": "))
}

/// Whoever asks again with the place of the answer before gets each line once; the record of the host says where to ask.
#[tokio::test]
async fn the_lines_of_a_task_are_told_once_to_who_follows_them() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let (mut host, pages) = listening(&cluster, "a", "plugin-log").await?;
    // What is kept may come a moment later than what is on stdout.
    let first = eventually("a line of the plugin", PATIENCE, async || {
        let answer = pages.get(&format!("/logs/{TASK}")).await.ok()?;
        answer.body.contains("plugin-log").then_some(answer)
    });
    let first = first.await?;
    let events: Vec<_> = lines(&first)?
        .into_iter()
        .map(|line| line["event"].as_str().unwrap_or_default().to_owned())
        .collect();
    ensure!(first.status == 200, "{first:?}");
    for event in ["elected", "activated", "plugin-log"] {
        ensure!(events.iter().any(|it| it == event), "{events:?}");
    }
    let next = header(&first, "soloist-log-next")?.to_owned();
    let more = eventually("more lines", PATIENCE, async || {
        let asked = format!("/logs/{TASK}?after={next}");
        let answer = pages.get(&asked).await.ok()?;
        (!answer.body.is_empty()).then_some(answer)
    });
    let more = more.await?;
    ensure!(header(&more, "soloist-log-missed")? == "0", "{more:?}");
    let last = |answer: &Answer| anyhow::Ok(lines(answer)?.last().cloned().unwrap_or_default());
    let begins = lines(&more)?[0]["timestamp"].as_str().map(str::to_owned);
    let ended = last(&first)?["timestamp"].as_str().map(str::to_owned);
    ensure!(begins > ended, "{begins:?} after {ended:?}");
    let tail = pages.get(&format!("/logs/{TASK}?tail=1")).await?;
    ensure!(lines(&tail)?.len() == 1, "{tail:?}");
    ensure!(pages.get("/logs/nobody").await?.status == 404);
    ensure!(pages.get(&format!("/logs/{TASK}?tail=x")).await?.status == 400);

    let address = format!("http://{}", pages.address);
    let told = eventually("the address in the record", PATIENCE, async || {
        let status = cluster.operator(&[], &["status", "--json"]).await.ok()?;
        let status = status.json().ok()?;
        (status["hosts"][0]["listen"] == address).then_some(())
    });
    told.await?;
    ensure!(host.terminate().await?.success());
    Ok(())
}

/// Expects `soloist logs` to fail at run time, with this in the message.
async fn logs_fail(cluster: &Cluster, more: &[&str], word: &str) -> Result<()> {
    let answer = cluster
        .operator(&[], &[&["logs", TASK], more].concat())
        .await?;
    ensure!(
        answer.code == Some(1) && answer.stderr.contains(word),
        "no {word:?}: {answer:?}"
    );
    Ok(())
}

/// From any machine, over a failover too: whoever leads tells its lines, the next leader from the beginning of its term.
#[tokio::test]
async fn an_operator_follows_the_lines_of_whoever_leads() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let (mut first, _) = listening(&cluster, "a", "plugin-log").await?;
    let (mut second, _) = listening(&cluster, "b", "standby").await?;
    let shown = eventually("lines of the leader", PATIENCE, async || {
        // Its record says where it answers once the first heartbeat has told that.
        let args = ["logs", TASK, "--tail", "2"];
        let answer = cluster.operator(&[], &args).await.ok()?;
        (answer.code == Some(0)).then_some(answer.stdout)
    });
    let shown = shown.await?;
    ensure!(
        shown.lines().count() == 2 && shown.contains("INFO  a term 1"),
        "{shown}"
    );
    let seen = History::default();
    let command = Command::new("logs", &build::artifacts()?.soloist)
        .arg("logs")
        .arg(TASK)
        .arg("--follow")
        .arg("--json");
    let mut follower = command
        .flag("--zookeeper", cluster.servers())
        .start(&seen)?;
    let from = |host: &'static str, event: &'static str| {
        move |record: &Record| {
            let said = record
                .event()
                .is_some_and(|it| it.text("host") == Some(host));
            record.is(event) && said
        }
    };
    seen.wait_for(0, "a's lines", PATIENCE, from("a", "plugin-log"))
        .await?;
    ensure!(first.terminate().await?.success());
    for event in ["elected", "activated", "plugin-log"] {
        seen.wait_for(0, "b's lines", PATIENCE, from("b", event))
            .await?;
    }
    // What the leader said before its term is of no interest.
    let standby = from("b", "standby");
    ensure!(!seen.since(0).iter().any(standby));
    follower.signal(Signal::TERM)?;
    ensure!(follower.ended().await?.success(), "{}", follower.errors());
    let of_other = ["logs", TASK, "--host", "b", "--since", "1h"];
    let answer = cluster.operator(&[], &of_other).await?;
    ensure!(answer.stdout.contains("b standby:"), "{answer:?}");
    ensure!(second.terminate().await?.success());
    logs_fail(&cluster, &[], "nobody leads task beat").await?;
    logs_fail(&cluster, &["--host", "b"], "no host b runs").await
}

/// Whoever does not listen, wants a token or is nowhere is said to, with what to do.
#[tokio::test]
async fn a_leader_that_does_not_tell_its_lines_is_named() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    logs_fail(&cluster, &[], "no task beat").await?;
    let mut silent = cluster.queue(&["a"]).await?;
    logs_fail(
        &cluster,
        &[],
        "host a answers nowhere: start it with --listen",
    )
    .await?;
    ensure!(silent[0].terminate().await?.success());
    let token = cluster.file("token", "0123456789abcdef\n")?;
    let wrong = cluster.file("wrong", "fedcba9876543210\n")?;
    let command = cluster
        .host("b")?
        .flag("--listen", "127.0.0.1:0")
        .flag("--listen-token-file", &token);
    let mut guarded = command.start(&cluster.history)?;
    guarded.event("plugin-log").await?;
    let refused = eventually("the address in the record", PATIENCE, async || {
        logs_fail(&cluster, &[], "--token-file").await.ok()
    });
    refused.await?;
    let (token, wrong) = (token.display().to_string(), wrong.display().to_string());
    let told = "not the one of --token-file";
    logs_fail(&cluster, &["--token-file", &wrong], told).await?;
    logs_fail(&cluster, &["--token-file", &wrong, "-f"], told).await?;
    let args = ["logs", TASK, "--token-file", &token];
    let answer = cluster.operator(&[], &args).await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("b term 2"),
        "{answer:?}"
    );
    let missing = ["logs", TASK, "--token-file", "/nowhere"];
    ensure!(cluster.operator(&[], &missing).await?.code == Some(2));
    ensure!(guarded.terminate().await?.success());
    Ok(())
}
