//! `soloist deploy`: what is written, what is compared, what goes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use soloist_core::digest::Digest;
use soloist_core::records::Stage;
use soloist_tests::build;
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::zookeeper::Settings;
use zookeeper_client::{Acls, CreateMode};

use super::case::{deploy, envelope, has_failed, plugin, record, succeeds};

/// The record, the generation and the artefact are there, and the second generation is wanted beside the first.
#[tokio::test]
async fn a_generation_is_written_with_its_artefact() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    let text = format!(
        "healthy_after = \"2m\"\n[[task]]\nname = \"beat\"\nplugin = {:?}\nconfig = {{ interval = \"100ms\" }}\n",
        plugin()?
    );
    let file = cluster.file("beat.toml", text)?.display().to_string();
    let args = [
        "deploy",
        &file,
        "--no-wait",
        "--json",
        "--migrates",
        "false",
    ];
    let answer = cluster.operator(&[("USER", "ann")], &args).await?.json()?;
    let digest = Digest::of(&std::fs::read(plugin()?)?);
    ensure!(
        answer["artefact"]["sha256"] == digest.to_string(),
        "{answer}"
    );
    let first = record(&client).await?;
    let generation = first.current.context("no current generation")?;
    ensure!(
        answer["sha256"] == generation.sha256.to_string(),
        "{answer}"
    );
    ensure!(first.changed.by.starts_with("ann@"), "{first:?}");
    ensure!(first.stage == Stage::Probation { inconclusive: 0 });
    let manifest: Value = serde_json::from_str(&envelope(&client, 1).await?.text)?;
    ensure!(manifest["healthy_after"] == "2m" && manifest["migrates"] == false);
    ensure!(
        manifest["task"]["config"]["interval"] == "100ms",
        "{manifest}"
    );
    let head = client
        .check_stat(&format!("/soloist/artefacts/{digest}"))
        .await?;
    ensure!(head.is_some_and(|head| head.num_children > 0), "{head:?}");
    // What differs from it is told before, and what is deployed after.
    let more = text_with(&cluster, "allow.state = true\n")?;
    let diff = succeeds(&cluster, &["diff", &more]).await?;
    ensure!(
        diff.contains("it may more:\n  allow.state = true")
            && diff.contains("- healthy_after = \"2m\""),
        "{diff}"
    );
    has_failed(
        &cluster
            .operator(&[], &["deploy", &more, "--no-wait"])
            .await?,
        1,
        &["allow.state = true", "--accept-grants"],
    )?;
    ensure!(record(&client).await? == first, "something was written");
    succeeds(&cluster, &["deploy", &more, "--no-wait", "--accept-grants"]).await?;
    let second = record(&client).await?;
    ensure!(
        second.current == first.current && second.newest == 2,
        "{second:?}"
    );
    ensure!(second.wanted.is_some_and(|wanted| wanted.number == 2));
    // It is compared with the one that is wanted now.
    succeeds(&cluster, &["deploy", &more, "--no-wait"]).await?;
    client::close(client).await;
    Ok(())
}

fn text_with(cluster: &Cluster, line: &str) -> Result<String> {
    let text = format!(
        "[[task]]\nname = \"beat\"\nplugin = {:?}\n{line}",
        plugin()?
    );
    Ok(cluster.file("more.toml", text)?.display().to_string())
}

/// The text that would be signed is printed byte for byte, and nothing is written.
#[tokio::test]
async fn a_dry_run_prints_what_would_be_deployed() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let answer = deploy_dry(&cluster).await?;
    let manifest: Value = serde_json::from_str(&answer)?;
    ensure!(
        manifest["generation"] == 1 && answer.ends_with("}\n"),
        "{answer}"
    );
    let listed = succeeds(&cluster, &["tasks", "--json"]).await?;
    ensure!(listed == "{\"tasks\":[]}\n", "{listed}");
    Ok(())
}

async fn deploy_dry(cluster: &Cluster) -> Result<String> {
    succeeds(
        cluster,
        &["deploy", &plugin()?, "--task", TASK, "--dry-run"],
    )
    .await
}

/// The last ten generations are kept and those that may be needed, and of the artefacts those that a generation names.
#[tokio::test]
async fn old_generations_and_what_only_they_name_go() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    let other = build::artifacts()?.guest("hello").display().to_string();
    for number in 1..=13 {
        let plugin = if number == 2 {
            other.clone()
        } else {
            plugin()?
        };
        let args = ["deploy", &plugin, "--task", TASK, "--no-wait"];
        succeeds(&cluster, &args).await?;
        if number == 2 {
            let kept = client.list_children("/soloist/artefacts").await?;
            ensure!(kept.len() == 2, "{kept:?}");
        }
    }
    let mut kept: Vec<u64> = client
        .list_children("/soloist/tasks/beat/generations")
        .await?
        .iter()
        .map(|name| Ok(name.parse()?))
        .collect::<Result<_>>()?;
    kept.sort_unstable();
    // The first one is the current one: nobody has run any.
    ensure!(kept == [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], "{kept:?}");
    let digest = Digest::of(&std::fs::read(plugin()?)?).to_string();
    let kept = client.list_children("/soloist/artefacts").await?;
    ensure!(kept == [digest], "{kept:?}");
    client::close(client).await;
    Ok(())
}

/// Numbers are not used again, though somebody has deleted the record: the generations are still there.
#[tokio::test]
async fn numbers_go_on_where_only_the_record_was_deleted() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    deploy(&cluster, &[]).await?;
    deploy(&cluster, &[]).await?;
    client.delete("/soloist/manifests/beat", None).await?;
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    ensure!(record(&client).await?.newest == 3);
    ensure!(deploy(&cluster, &["--generation", "17"]).await?.code == Some(0));
    ensure!(record(&client).await?.newest == 17);
    has_failed(
        &deploy(&cluster, &["--generation", "17"]).await?,
        1,
        &["generation 17 is no newer than 17", "18"],
    )?;
    client::close(client).await;
    Ok(())
}

/// What hosts say of a generation is shown while it is waited for, and nothing that they wrote can drive a terminal.
#[tokio::test]
async fn what_keeps_hosts_from_a_generation_is_shown() -> Result<()> {
    let cluster = Cluster::with(Settings::embedded(), Duration::from_secs(10)).await?;
    let client = cluster.client().await?;
    client::make_path(&client, "/soloist/tasks/beat/ready").await?;
    let says = async |host: &str, text: &[u8]| {
        let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        let path = format!("/soloist/tasks/beat/ready/{host}");
        client.create(&path, text, &options).await
    };
    says("a", br#"{"generation":1,"state":"ready"}"#).await?;
    let reason = br#"{"generation":1,"state":"unready","reason":"no \u001b[2J disk"}"#;
    says("b", reason).await?;
    says("c", &vec![b'x'; 1_000_000]).await?;
    let plugin = plugin()?;
    let args = ["deploy", &plugin, "--task", TASK, "--timeout", "300ms"];
    let answer = cluster.operator(&[], &args).await?;
    let words = [
        "1 of 2 hosts are ready",
        "b: no \\u{1b}[2J disk",
        "soloist tasks show beat",
    ];
    has_failed(&answer, 4, &words)?;
    ensure!(!answer.stdout.contains('\u{1b}') && answer.stderr.len() < 2000);
    let shown = succeeds(&cluster, &["tasks", "show", TASK]).await?;
    for part in ["a     1           ready", "no \\u{1b}[2J disk", "unknown"] {
        ensure!(shown.contains(part), "no {part:?}: {shown}");
    }
    ensure!(!shown.contains('\u{1b}') && shown.len() < 10_000, "{shown}");
    client::close(client).await;
    Ok(())
}
