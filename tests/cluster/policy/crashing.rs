//! A plugin that fails soon after each start, and what an operator sees of it while it is led.

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::{PATIENCE, build, eventually};

/// The task is led all the time. Its status says that it fails, how often, of what and when.
#[tokio::test]
async fn a_plugin_that_is_restarted_again_and_again_does_not_look_healthy() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let restart =
        r#"{ initial = "10ms", max = "300ms", healthy_after = "1h", max_restarts = 10000 }"#;
    let task = format!("[[task]]\nname = \"{TASK}\"\nplugin = {plugin:?}\nrestart = {restart}\n");
    let more = "config = { do = \"error\" }\nallow = { state = true, tcp = [] }\n";
    let file = cluster.file("crashes.toml", task + more)?;
    let mut host = cluster.host_of("a", &file)?.start(&cluster.history)?;
    let seen = eventually("the restarts", PATIENCE, async || {
        let status = cluster.status().await.ok()?;
        (status["restarts"].as_u64() >= Some(3)).then_some(status)
    });
    let seen = seen.await?;
    ensure!(
        seen["state"] == "led" && seen["health"] == "failing" && seen["leader"]["host"] == "a",
        "{seen}"
    );
    let failure = &seen["last_failure"];
    ensure!(
        failure["cause"] == "error" && failure["host"] == "a" && failure["term"] == 1,
        "{seen}"
    );
    let token = &seen["leader"]["fencing_token"];
    ensure!(failure["fencing_token"] == *token, "{seen}");
    humantime::parse_rfc3339(failure["at"].as_str().context("no time")?)?;

    let text = cluster.operator(&[], &["status", TASK]).await?.stdout;
    ensure!(
        text.contains("RESTARTS") && text.contains("failing") && text.contains("ago, error"),
        "{text}"
    );
    ensure!(host.terminate().await?.success());
    cluster.verdict().check()
}
