//! The alerts and the dashboard in `host/operation` go by metrics that there are, and by rules that Prometheus takes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use soloist_admin::{Family, Kind, families};
use soloist_core::event::Event;
use soloist_tests::reference;
use soloist_tests::tools::{or_skipped, run};

fn operation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/operation")
}

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(operation().join(file)).with_context(|| file.to_owned())
}

/// The names of series that there can be.
fn series() -> BTreeSet<String> {
    let of = |family: &Family| match family.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .map(|suffix| format!("{}{suffix}", family.name))
            .to_vec(),
        Kind::Counter | Kind::Gauge => vec![family.name.to_owned()],
    };
    families().flat_map(of).collect()
}

/// The names of metrics that there are.
fn names() -> BTreeSet<String> {
    families().map(|family| family.name.to_owned()).collect()
}

/// The names of series that a text asks for.
fn asked(text: &str) -> BTreeSet<String> {
    let words =
        text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let is_series = |word: &&str| word.starts_with("soloist_") || word.starts_with("process_");
    words.filter(is_series).map(str::to_owned).collect()
}

/// The queries of the dashboard.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .filter_map(|target| target["expr"].as_str().map(str::to_owned))
        .collect()
}

fn promtool() -> Result<Option<()>> {
    let found = Command::new("promtool").arg("--version").output();
    or_skipped(found.map(drop).context("promtool"), "promtool")
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() -> Result<()> {
    let there = series();
    for file in ["alerts.yaml", "alerts.test.yaml", "dashboard.json"] {
        let asked = asked(&read(file)?);
        let unknown: Vec<_> = asked.difference(&there).collect();
        ensure!(asked.len() > 5 && unknown.is_empty(), "{file}: {unknown:?}");
    }
    // What nobody looks at could be left out.
    let shown = asked(&read("dashboard.json")?);
    let base = |name: &str| {
        ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name)
            .to_owned()
    };
    ensure!(
        shown
            .iter()
            .map(|name| base(name))
            .collect::<BTreeSet<_>>()
            .len()
            > 20
    );
    Ok(())
}

#[test]
fn prometheus_takes_the_rules_and_the_alerts_do_what_their_test_says() -> Result<()> {
    if promtool()?.is_none() {
        return Ok(());
    }
    run("promtool", &operation(), &["check", "rules", "alerts.yaml"])?;
    run(
        "promtool",
        &operation(),
        &["test", "rules", "alerts.test.yaml"],
    )
}

#[test]
fn prometheus_takes_every_query_of_the_dashboard() -> Result<()> {
    if promtool()?.is_none() {
        return Ok(());
    }
    let dashboard = serde_json::from_str(&read("dashboard.json")?)?;
    let queries = queries(&dashboard);
    ensure!(queries.len() > 20, "{queries:?}");
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    for (number, query) in queries.iter().enumerate() {
        let query = query.replace("$__rate_interval", "5m");
        let query = Value::from(query.replace("$job", ".*").replace("$task", ".*"));
        writeln!(
            rules,
            "  - record: dashboard:query{number}\n    expr: {query}"
        )?;
    }
    let directory = tempfile::tempdir()?;
    std::fs::write(directory.path().join("rules.yaml"), rules)?;
    run(
        "promtool",
        directory.path(),
        &["check", "rules", "rules.yaml"],
    )
}

#[test]
fn every_alert_is_in_the_guide_of_operators() -> Result<()> {
    let alerts = read("alerts.yaml")?;
    let there: BTreeSet<&str> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../OPERATING.md");
    let guide = std::fs::read_to_string(guide)?;
    let told: BTreeSet<&str> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `Soloist"))
        .filter_map(|rest| rest.split('`').next())
        .collect();
    let there: BTreeSet<&str> = there
        .iter()
        .filter_map(|name| name.strip_prefix("Soloist"))
        .collect();
    ensure!(there == told, "alerts {there:?}, in OPERATING.md {told:?}");
    Ok(())
}

#[test]
fn failures_are_told_by_events_and_metrics_that_there_are() -> Result<()> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../OPERATING.md");
    let guide = std::fs::read_to_string(guide)?;
    let (_, failures) = guide
        .split_once("## What failures look like")
        .context("no failures")?;
    let (there, asked) = (names(), asked(failures));
    let unknown: Vec<_> = asked.difference(&there).collect();
    ensure!(asked.len() > 10 && unknown.is_empty(), "{unknown:?}");
    let rows = reference::table_of(&guide, "failure")?;
    ensure!(rows.len() > 10, "{rows:?}");
    for row in &rows {
        let names = row[1].split('`').skip(1).step_by(2);
        let unknown: Vec<_> = names.filter(|name| !Event::NAMES.contains(name)).collect();
        ensure!(unknown.is_empty(), "{unknown:?} in {row:?}");
    }
    Ok(())
}

#[test]
fn every_metric_is_in_the_reference() -> Result<()> {
    let rows = reference::table("metric")?;
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let told: BTreeSet<_> = rows
        .iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone()))
        .collect();
    let there: BTreeSet<_> = families()
        .map(|family| (family.name.to_owned(), kind(family.kind).to_owned()))
        .collect();
    let missing: Vec<_> = there.difference(&told).collect();
    let too_many: Vec<_> = told.difference(&there).collect();
    ensure!(
        missing.is_empty() && too_many.is_empty(),
        "metrics in REFERENCE.md: missing are {missing:?}, too many are {too_many:?}"
    );
    Ok(())
}
