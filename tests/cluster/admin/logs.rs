//! The latest lines about a task, as its host keeps them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::pages::Answer;
use soloist_tests::{PATIENCE, eventually};

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
