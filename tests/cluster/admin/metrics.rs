//! `/metrics`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use soloist_tests::cluster::Cluster;
use soloist_tests::pages::{Metrics, Pages};
use soloist_tests::tools::or_skipped;
use soloist_tests::zookeeper::Settings;
use soloist_tests::{build, cluster};

use super::listening;

/// What `promtool check metrics` has to say of it.
pub(super) fn check(metrics: &Metrics) -> Result<()> {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("promtool");
    let Some(mut promtool) = or_skipped(promtool, "promtool")? else {
        return Ok(());
    };
    let mut stdin = promtool.stdin.take().context("no stdin")?;
    stdin.write_all(metrics.text.as_bytes())?;
    drop(stdin);
    let output = promtool.wait_with_output()?;
    let silent = output.stdout.is_empty() && output.stderr.is_empty();
    ensure!(
        output.status.success() && silent,
        "{output:?}\n{}",
        metrics.text
    );
    Ok(())
}

#[tokio::test]
async fn a_failover_is_seen_in_the_metrics_of_both_hosts() -> Result<()> {
    ensure!(cluster::TASK == "beat");
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let (mut leader, first) = listening(&cluster, "leader", "plugin-log").await?;
    let (mut standby, second) = listening(&cluster, "standby", "standby").await?;
    let task = "task=\"beat\"";
    let told = first.metrics().await?;
    check(&told)?;
    for (series, is_due) in [
        (format!("soloist_leader{{{task}}}"), 1.0),
        (
            format!("soloist_task_stage{{{task},stage=\"leading\"}}"),
            1.0,
        ),
        (format!("soloist_term{{{task}}}"), 1.0),
        (format!("soloist_terms_total{{{task},after=\"none\"}}"), 1.0),
        (
            "soloist_session_state{shard=\"1\",state=\"connected\"}".into(),
            1.0,
        ),
        ("soloist_host_info{host=\"leader\"}".into(), 1.0),
        ("soloist_tasks".into(), 1.0),
        ("soloist_host_drained".into(), 0.0),
    ] {
        let value = told.value(&series);
        ensure!(
            value == Some(is_due),
            "{series} is {value:?}\n{}",
            told.text
        );
    }
    // What grows while a plugin runs.
    let lease = format!("soloist_lease_seconds{{{task}}}");
    for series in [
        &lease,
        &format!("soloist_lease_margin_seconds_count{{{task}}}"),
        &format!("soloist_plugin_cpu_seconds_total{{{task}}}"),
        &format!("soloist_plugin_memory_bytes{{{task}}}"),
        &format!("soloist_log_lines_total{{{task}}}"),
        &format!("soloist_term_seconds{{{task}}}"),
        "soloist_heartbeat_seconds_count",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
    ] {
        first.series(series, |value| value > 0.0).await?;
    }
    ensure!(told.value(&lease) < Some(4.0), "{}", told.text);
    let told = second.metrics().await?;
    check(&told)?;
    ensure!(told.value(&format!("soloist_leader{{{task}}}")) == Some(0.0));
    ensure!(told.value(&format!("soloist_queue_ahead{{{task}}}")) == Some(1.0));
    ensure!(told.value(&lease).is_none(), "{}", told.text);
    let leaderless = format!("soloist_leaderless_seconds_total{{{task}}}");
    ensure!(told.value(&leaderless) == Some(0.0), "{}", told.text);
    leader.kill()?;
    standby.event("plugin-log").await?;
    let told = second.metrics().await?;
    check(&told)?;
    for series in [
        format!("soloist_leader{{{task}}}"),
        format!("soloist_terms_total{{{task},after=\"lost\"}}"),
    ] {
        ensure!(told.value(&series) == Some(1.0), "{series}\n{}", told.text);
    }
    ensure!(told.value(&leaderless) > Some(0.0), "{}", told.text);
    cluster.verdict().check()
}

/// What the guest `misbehave` imports, whatever it does.
const MISBEHAVES: &str = "allow = { state = true, tcp = [] }";

/// A task with a guest of the tests.
fn task(name: &str, guest: &str, what: &str, more: &str) -> Result<String> {
    let plugin = build::artifacts()?.guest(guest).display().to_string();
    Ok(format!(
        "[[task]]\nname = {name:?}\nplugin = {plugin:?}\nconfig = {what}\n{more}\n"
    ))
}

#[tokio::test]
async fn what_plugins_do_and_what_they_are_refused_is_counted() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let restart = r#"restart = { initial = "10ms", max = "1m", max_restarts = 1 }"#;
    let state = "allow = { state = true }";
    let fails = format!("{MISBEHAVES}\n{restart}");
    let floods = format!("{MISBEHAVES}\nlimits = {{ log_rate = 2000, log_burst = 10 }}");
    let tasks = [
        task("fails", "misbehave", "{ do = \"panic\" }", &fails)?,
        task("counts", "counter", "{ interval = \"20ms\" }", state)?,
        task(
            "wants",
            "network",
            "{ do = \"connect\", to = \"127.0.0.1:1\" }",
            "allow = { state = true, tcp = [\"db.example:5432\"], http = [\"http://db.example\"] }",
        )?,
        task("floods", "misbehave", "{ do = \"flood\" }", &floods)?,
        task("computes", "misbehave", "{ do = \"loop\" }", MISBEHAVES)?,
        task(
            "an \"odd\" \\ name",
            "misbehave",
            "{ do = \"wait\" }",
            MISBEHAVES,
        )?,
    ];
    let config = cluster.file("tasks.toml", tasks.concat())?;
    let mut host = cluster
        .host_of("host", &config)?
        .flag("--listen", "127.0.0.1:0")
        .start(&cluster.history)?;
    let pages = Pages::of(&mut host).await?;
    for (series, least) in [
        (
            "soloist_plugin_failures_total{task=\"fails\",cause=\"panic\"}",
            2.0,
        ),
        (
            "soloist_plugin_restarts_total{task=\"fails\",after=\"failure\"}",
            1.0,
        ),
        (
            "soloist_plugin_given_up_total{task=\"fails\",cause=\"panic\"}",
            1.0,
        ),
        // This host rests, and nobody else stands: it looks, and finds nobody.
        ("soloist_leaderless_seconds_total{task=\"fails\"}", 1.0),
        (
            "soloist_effects_total{task=\"counts\",effect=\"state\",outcome=\"done\"}",
            2.0,
        ),
        ("soloist_state_written_bytes_total{task=\"counts\"}", 1.0),
        (
            "soloist_effects_total{task=\"wants\",effect=\"tcp\",outcome=\"grant\"}",
            1.0,
        ),
        ("soloist_log_lines_dropped_total{task=\"floods\"}", 1.0),
        ("soloist_plugin_interruptions_total{task=\"computes\"}", 2.0),
        ("soloist_plugin_cpu_seconds_total{task=\"computes\"}", 0.01),
        ("soloist_leader{task=\"an \\\"odd\\\" \\\\ name\"}", 1.0),
    ] {
        let found = pages.series(series, |value| value >= least).await;
        found.with_context(|| format!("{:#?}", host.records()))?;
    }
    let told = pages.metrics().await?;
    check(&told)?;
    ensure!(told.value("soloist_tasks") == Some(6.0), "{}", told.text);
    // What plugins wrote is in no label.
    ensure!(!told.text.contains("line 1"), "{}", told.text);
    Ok(())
}

/// A task that is taken out of the configuration has no series any more.
#[tokio::test]
async fn the_series_of_a_task_go_with_it() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let both = [
        task("stays", "misbehave", "{ do = \"wait\" }", MISBEHAVES)?,
        task("goes", "misbehave", "{ do = \"wait\" }", MISBEHAVES)?,
    ];
    let config = cluster.file("tasks.toml", both.concat())?;
    let mut host = cluster
        .host_of("host", &config)?
        .flag("--listen", "127.0.0.1:0")
        .start(&cluster.history)?;
    let pages = Pages::of(&mut host).await?;
    for task in ["stays", "goes"] {
        let series = format!("soloist_leader{{task=\"{task}\"}}");
        pages.series(&series, |value| value > 0.0).await?;
    }
    cluster.file("tasks.toml", &both[0])?;
    host.signal(rustix::process::Signal::HUP)?;
    pages.series("soloist_tasks", |value| value < 2.0).await?;
    let told = pages.metrics().await?;
    ensure!(!told.text.contains("goes"), "{}", told.text);
    ensure!(told.text.contains("stays"), "{}", told.text);
    ensure!(pages.get("/leader/goes").await?.status == 404);
    Ok(())
}
