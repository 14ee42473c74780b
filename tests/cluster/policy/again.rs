//! Plugins that fail, complete, or give leadership up, and are run again.

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::Event;
use soloist_tests::{PATIENCE, eventually};

use super::case::{completing, host};

/// Hosts take turns with longer and longer rests in between; everybody can see that the task fails and of what; and when
/// it runs well again, nobody does any more.
#[tokio::test]
async fn a_task_that_fails_everywhere_is_seen_to_fail_until_it_is_healthy_again() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut first = host(&cluster, "a", "panic")?.start(&cluster.history)?;
    let failed = first.event("failed").await?;
    let event = failed.event().context("no event")?;
    ensure!(
        event.line["level"] == "error" && event.text("cause") == Some("panic"),
        "{event:?}"
    );
    ensure!(
        event.line["terms"] == 1 && event.line["restarts"] == 1 && event.term == Some(1),
        "{event:?}"
    );
    ensure!(event.line["retry_in"] == 0.2, "{event:?}");

    let mut second = host(&cluster, "b", "error")?.start(&cluster.history)?;
    for terms in 2..=4_u64 {
        let fits = |record: &soloist_tests::history::Record| {
            record.is("failed")
                && record
                    .event()
                    .is_some_and(|event| event.line["terms"] == terms)
        };
        let failed = cluster
            .history
            .wait_for(0, "a failed term", PATIENCE, fits)
            .await?;
        let event = failed.event().context("no event")?;
        let rest = std::time::Duration::from_millis(100 << terms);
        ensure!(event.duration("retry_in") == Some(rest), "{event:?}");
    }
    let seen = eventually("the mark", PATIENCE, async || {
        let status = cluster.status().await.ok()?;
        let awaited = status["failure"]["retry_at"].is_string();
        (status["failure"]["terms"].as_u64() >= Some(4) && awaited).then_some(status)
    });
    let seen = seen.await?;
    let failure = &seen["failure"];
    ensure!(
        seen["state"] == "failed" && ["a", "b"].contains(&failure["host"].as_str().unwrap_or("")),
        "{seen}"
    );
    let at = |name: &str| {
        humantime::parse_rfc3339(failure[name].as_str().unwrap_or("")).context(seen.to_string())
    };
    ensure!(at("retry_at")? > at("at")?, "{seen}");
    let cause = if failure["host"] == "a" {
        ("panic", "this is the reason")
    } else {
        ("error", "this went wrong")
    };
    ensure!(failure["cause"] == cause.0, "{seen}");
    ensure!(
        failure["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains(cause.1)),
        "{seen}"
    );
    let text = cluster.operator(&[], &["status"]).await?.stdout;
    ensure!(
        text.contains("failed") && (text.contains("panic") || text.contains("error")),
        "{text}"
    );

    ensure!(first.terminate().await?.success() && second.terminate().await?.success());
    let mut third = host(&cluster, "c", "wait")?.start(&cluster.history)?;
    third.event("activated").await?;
    let healed = eventually("the task to be healthy", PATIENCE, async || {
        let status = cluster.status().await.ok()?;
        (status["state"] == "led" && status["failure"].is_null() && status["leader"]["host"] == "c")
            .then_some(())
    });
    healed.await?;
    let terms = cluster.terms().await?;
    let (last, ended) = terms.split_last().context("no terms")?;
    ensure!(
        ended[0]["host"] == "c" && ended[0]["end"].is_null(),
        "{terms:#?}"
    );
    ensure!(
        last["end"]["reason"] == "failed" && last["end"]["cause"] == "panic",
        "{last}"
    );
    ensure!(
        last["end"]["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("this is the reason")),
        "{last}"
    );
    let text = cluster.operator(&[], &["history", TASK]).await?.stdout;
    ensure!(
        text.contains("failed: panic") && text.contains("failed: error"),
        "{text}"
    );
    cluster.verdict().check()
}

/// A term that was healthy before its plugin failed for good begins a new count.
#[tokio::test]
async fn failures_after_a_healthy_time_are_counted_anew() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut first = host(&cluster, "a", "panic")?.start(&cluster.history)?;
    first
        .event_where("failed", |event| event.line["terms"] == 2)
        .await?;
    ensure!(first.terminate().await?.success());
    let mut second = host(&cluster, "b", "recover")?.start(&cluster.history)?;
    let failed = second.event("failed").await?;
    ensure!(
        failed.event().is_some_and(|event| event.line["terms"] == 1),
        "{failed:?}"
    );
    cluster.verdict().check()
}

/// A host alone rests between its terms, ever longer, and says so; another host does not wait for that rest.
#[tokio::test]
async fn a_plugin_that_gives_leadership_up_at_once_makes_no_busy_loop() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut alone = completing(&cluster, "a", "resign")?.start(&cluster.history)?;
    for (number, pause) in [(1, 1.0), (2, 2.0)] {
        let rests =
            |event: &Event| event.term == Some(number) && event.line["stands_again_in"] == pause;
        alone.event_where("released", rests).await?;
    }
    let mut other = completing(&cluster, "b", "resign")?.start(&cluster.history)?;
    other
        .event_where("released", |event| event.line["stands_again_in"] == 1.0)
        .await?;
    ensure!(alone.terminate().await?.success() && other.terminate().await?.success());
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_that_completes_can_be_run_again() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut host = host(&cluster, "a", "complete")?
        .env("SOLOIST_ON_COMPLETE", "hold")
        .start(&cluster.history)?;
    let ended = host.ended().await?;
    ensure!(
        ended.code() == Some(2),
        "a setting of one task beside a file: {}",
        host.errors()
    );
    let mut host = completing(&cluster, "b", "restart")?.start(&cluster.history)?;
    for pause in [1.0, 2.0] {
        host.event_where("plugin-completed", |event| {
            event.line["restart_in"] == pause
        })
        .await?;
    }
    ensure!(host.terminate().await?.success());
    cluster.verdict().check()
}
