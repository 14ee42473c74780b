//! `/livez`, `/readyz` and `/leader/TASK`.

use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::pages::Pages;
use soloist_tests::zookeeper::Settings;

use super::listening;

#[tokio::test]
async fn one_host_says_that_it_leads_and_after_its_death_the_other_does() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let (mut leader, first) = listening(&cluster, "leader", "plugin-log").await?;
    let (mut standby, second) = listening(&cluster, "standby", "standby").await?;
    let (status, told) = first.leads(TASK).await?;
    ensure!(status == 200 && told["leads"] == true, "{told}");
    ensure!(told["term"] == 1 && told["host"] == "leader", "{told}");
    ensure!(told["lease_seconds"].as_f64() > Some(0.0), "{told}");
    let (status, told) = second.leads(TASK).await?;
    ensure!(status == 503 && told["stage"] == "standby", "{told}");
    ensure!(told.get("term").is_none(), "{told}");
    for pages in [&first, &second] {
        for path in ["/livez", "/readyz"] {
            let answer = pages.get(path).await?;
            ensure!(answer.status == 200, "{path}: {answer:?}");
        }
    }
    leader.kill()?;
    standby.event("elected").await?;
    let told = second.status(&format!("/leader/{TASK}"), 200).await?;
    ensure!(told.contains("\"term\":2"), "{told}");
    cluster.verdict().check()
}

/// Who asks learns of the end of the lease at once: there is nobody who could be late to say so.
#[tokio::test]
async fn a_leader_that_hears_nobody_any_more_does_not_lead_and_is_not_ready() -> Result<()> {
    let settings = Settings::standalone().real();
    let mut cluster = Cluster::with(settings, Duration::from_secs(4)).await?;
    let (_leader, pages) = listening(&cluster, "leader", "plugin-log").await?;
    cluster.zookeeper.kill(0)?;
    pages.status(&format!("/leader/{TASK}"), 503).await?;
    let told = pages.status("/readyz", 503).await?;
    ensure!(told.contains("session"), "{told}");
    let alive = pages.get("/livez").await?;
    ensure!(alive.status == 200, "{alive:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_nothing_can_be_done_there() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let (_host, pages) = listening(&cluster, "alone", "plugin-log").await?;
    for path in [
        "/nothing",
        "/leader/nobody",
        "/leader/",
        "/metric",
        "//metrics",
        "/../etc/passwd",
    ] {
        let answer = pages.get(path).await?;
        ensure!(answer.status == 404, "{path}: {answer:?}");
    }
    let address = pages.address;
    let posted = pages
        .send(&format!(
            "POST /metrics HTTP/1.1\r\nHost: {address}\r\nContent-Length: 4\r\n\r\nabcdGET /livez HTTP/1.1\r\n\r\n"
        ))
        .await?;
    ensure!(posted.status == 405, "{posted:?}");
    ensure!(
        !posted.body.contains("live"),
        "what follows a body: {posted:?}"
    );
    let by_name = "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let by_name = pages.send(by_name).await?;
    ensure!(by_name.status == 421, "{by_name:?}");
    Ok(())
}

/// A probe has no token.
#[tokio::test]
async fn a_token_is_asked_for_where_there_is_one() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let token = "a token would have no spaces".replace(' ', "-");
    let file = cluster.file("token", format!("{token}\n"))?;
    let mut host = cluster
        .host("alone")?
        .flag("--listen", "0.0.0.0:0")
        .flag("--listen-token-file", file)
        .start(&cluster.history)?;
    let mut pages = Pages::of(&mut host).await?;
    pages.address.set_ip([127, 0, 0, 1].into());
    host.event("plugin-log").await?;
    let path = format!("/leader/{TASK}");
    for path in ["/metrics", &path] {
        let refused = pages.get(path).await?;
        ensure!(refused.status == 401, "{refused:?}");
        ensure!(
            refused.head.contains("www-authenticate: Bearer"),
            "{refused:?}"
        );
        let wrong = pages.clone().with_token("a-token-that-is-wrong");
        ensure!(wrong.get(path).await?.status == 401);
        let right = pages.clone().with_token(&token).get(path).await?;
        ensure!(right.status == 200, "{right:?}");
        ensure!(!right.body.contains(&token), "{right:?}");
    }
    ensure!(pages.get("/readyz").await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn a_host_that_is_drained_or_ends_is_not_ready() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let (mut host, pages) = listening(&cluster, "alone", "plugin-log").await?;
    let drained = cluster.operator(&[], &["drain", "alone"]).await?;
    ensure!(drained.code == Some(0), "{drained:?}");
    let told = pages.status("/readyz", 503).await?;
    ensure!(told.contains("drained"), "{told}");
    let undrained = cluster.operator(&[], &["undrain", "alone"]).await?;
    ensure!(undrained.code == Some(0), "{undrained:?}");
    pages.status("/readyz", 200).await?;
    let status = host.terminate().await?;
    ensure!(status.code() == Some(0), "{status}");
    ensure!(
        pages.get("/livez").await.is_err(),
        "nobody answers any more"
    );
    Ok(())
}
