//! `--log-format json` is an interface: what each line holds.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::certificates::{Certificates, Wanted};
use soloist_tests::cluster::{Cluster, DEAF, TASK, stuck};
use soloist_tests::deployment::{Deployment, Signer};
use soloist_tests::history::{History, What};
use soloist_tests::reference::Schema;
use soloist_tests::zookeeper::{Settings, ZooKeeper};
use soloist_tests::{PATIENCE, build, client, eventually};
use zookeeper_client::{Acls, CreateMode};

/// Writes two lines on stdout and one, without its end, on stderr, by WASI preview 1.
const PRINTS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "first line\nsecond \1b[31mline\nto stderr")
  (data (i32.const 0) "\64\00\00\00\1c\00\00\00")
  (data (i32.const 8) "\80\00\00\00\09\00\00\00")
  (func (export "on_elected")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 40)))
    (drop (call $fd_write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 40))))
  (func (export "on_demoted")))"#;

/// Every event, and each of its fields, is seen in a run; that each line is as REFERENCE.md says, all tests that run hosts see to.
#[tokio::test]
async fn every_event_is_seen_with_each_of_the_fields_that_the_reference_gives_it() -> Result<()> {
    let cluster = Cluster::start().await?;
    let ((), (), (), (), (), (), (), (), (), (), others, led) = tokio::try_join!(
        plugins_that_log_complete_and_fail(&cluster),
        a_leader_that_loses_its_session(&cluster),
        a_plugin_that_cannot_be_stopped(&cluster),
        a_plugin_that_cannot_hear(&cluster),
        a_master_node_that_belongs_to_somebody_else(&cluster),
        nodes_with_other_rights(&cluster),
        a_task_that_has_been_done(&cluster),
        a_configuration_that_changes(&cluster),
        a_process_that_dies(&cluster),
        async {
            tokio::try_join!(
                certificates_that_change(&cluster),
                a_task_that_is_tried_again(&cluster),
                certificates_of_a_listener_that_change(&cluster),
                a_host_that_is_drained(&cluster),
                a_task_that_is_deployed(&cluster),
                crate::placement::story(&cluster)
            )?;
            Ok(())
        },
        async {
            let (refused, shortened, read_only) = tokio::try_join!(
                refused_credentials(),
                a_shortened_session(),
                a_read_only_server()
            )?;
            Ok([refused, shortened, read_only])
        },
        crate::rollout::story(),
    )?;
    let schema = Schema::get()?;
    let about = ["task", "term", "fencing_token"];
    let (mut events, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for told in led {
        let further = told
            .fields
            .iter()
            .filter(|(name, _)| !about.contains(&name.as_str()));
        schema.check_fields(told.event, further)?;
        let names = told.fields.keys();
        fields.extend(names.map(|field| (told.event.to_owned(), field.clone())));
        events.insert(told.event.to_owned());
    }
    for record in others
        .iter()
        .chain([&cluster.history])
        .flat_map(|history| history.since(0))
    {
        ensure!(!matches!(record.what, What::Unreadable(_)), "{record}");
        if let Some(event) = record.event() {
            let names = event
                .line
                .as_object()
                .into_iter()
                .flat_map(|line| line.keys());
            fields.extend(names.map(|field| (event.name.clone(), field.clone())));
            events.insert(event.name.clone());
        }
    }
    let missing: Vec<_> = schema
        .events()
        .into_iter()
        .filter(|event| !events.contains(*event))
        .collect();
    ensure!(missing.is_empty(), "never seen: {missing:?}");
    let seen = |(event, field): &(&str, &str)| {
        fields.contains(&((*event).to_owned(), (*field).to_owned()))
    };
    let missing: Vec<_> = schema
        .fields()
        .into_iter()
        .filter(|field| !seen(field))
        .collect();
    ensure!(missing.is_empty(), "never seen: {missing:?}");
    Ok(())
}

/// A task with the plugin `misbehave`, which does what its name says.
fn misbehaving(what: &str, more: &str) -> Result<String> {
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let allow = "allow = { state = true, tcp = [] }";
    Ok(format!(
        "[[task]]\nname = \"{what}\"\nplugin = {plugin:?}\nconfig = {{ do = \"{what}\" }}\n{allow}\n{more}\n"
    ))
}

async fn plugins_that_log_complete_and_fail(cluster: &Cluster) -> Result<()> {
    let restart = r#"restart = { initial = "10ms", max = "200ms", max_restarts = 1 }"#;
    let tasks = [
        misbehaving("many-fields", "")?,
        misbehaving("print", "")?,
        misbehaving("sandbox", "")?,
        // How many lines were dropped is said with the next one that is not: it comes while the plugin still writes.
        misbehaving("flood", "limits = { log_rate = 2000, log_burst = 10 }")?,
        misbehaving("complete", "on_complete = \"restart\"")?,
        misbehaving("panic", restart)?,
        misbehaving("resign", "")?,
        misbehaving("schedule-slow", "")?,
    ];
    let config = cluster.file("plugins.toml", tasks.concat())?;
    let command = cluster.host_of("logs", &config)?;
    let command = command.flag("--listen", "127.0.0.1:0");
    let mut leader = command.start(&cluster.history)?;
    let omitted = leader
        .event_where("plugin-log", |event| event.line["omitted_fields"] == 8)
        .await?;
    let kept = omitted
        .event()
        .and_then(|event| event.line["fields"].as_object())
        .map(serde_json::Map::len);
    ensure!(kept == Some(32), "{omitted}");
    for field in ["stream", "import", "dropped"] {
        leader
            .event_where("plugin-log", |event| event.line.get(field).is_some())
            .await?;
    }
    leader
        .event_where("plugin-completed", |event| {
            event.duration("restart_in").is_some()
        })
        .await?;
    leader
        .event_where("plugin-failed", |event| event.text("backtrace").is_some())
        .await?;
    leader
        .event_where("slots-missed", |event| {
            event.text("cause") == Some("overlap") && event.line.get("slots").is_some()
        })
        .await?;
    leader
        .event_where("failed", |event| event.duration("retry_in").is_some())
        .await?;
    leader
        .event_where("released", |event| {
            event.duration("stands_again_in").is_some()
        })
        .await?;
    let mut standby = cluster
        .host_of("stands", &config)?
        .start(&cluster.history)?;
    standby.event("standby").await?;
    ensure!(
        standby.terminate().await?.success() && leader.terminate().await?.success(),
        "{}",
        leader.errors()
    );
    leader.event("released").await?;
    leader.event("session-closed").await?;
    Ok(())
}

/// It rests for an hour, and an operator does not wait for that.
async fn a_task_that_is_tried_again(cluster: &Cluster) -> Result<()> {
    let restart = r#"restart = { max = "1h", max_restarts = 0 }"#;
    let config = cluster.file("exit.toml", misbehaving("exit", restart)?)?;
    let mut host = cluster.host_of("rests", &config)?.start(&cluster.history)?;
    host.event("released").await?;
    let args = ["retry", "exit", "--reason", "mended", "--no-wait"];
    let answer = cluster.operator(&[], &args).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    host.event("retried").await.map(drop)
}

async fn a_leader_that_loses_its_session(cluster: &Cluster) -> Result<()> {
    let plugin = cluster.file("deaf.wat", DEAF)?;
    let mut leader = cluster
        .host_of("stands-still", &plugin)?
        .start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let observer = cluster.client().await?;
    leader.pause().await?;
    eventually("the session to expire", PATIENCE, async || {
        client::owner(&observer, &Cluster::master("deaf"))
            .await
            .ok()?
            .is_none()
            .then_some(())
    })
    .await?;
    leader.resume()?;
    leader
        .event_where("revoked", |event| event.duration("overdue").is_some())
        .await?;
    for name in ["session-disconnected", "session-expired"] {
        leader.event(name).await?;
    }
    client::close(observer).await;
    Ok(())
}

async fn a_plugin_that_cannot_be_stopped(cluster: &Cluster) -> Result<()> {
    let granted = tempfile::tempdir()?;
    let mut host = stuck(cluster, "stuck", granted.path())?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    host.terminate().await?;
    host.event("plugin-stuck").await.map(drop)
}

/// It computes, cannot be called meanwhile, and does not import `should_stop`.
async fn a_plugin_that_cannot_hear(cluster: &Cluster) -> Result<()> {
    let cannot_ask: String = DEAF
        .lines()
        .filter(|line| !line.contains("should_stop"))
        .collect();
    let plugin = cluster.file("unheard.wat", &cannot_ask)?;
    let mut host = cluster
        .host_of("unheard", &plugin)?
        .start(&cluster.history)?;
    host.event("plugin-log").await?;
    host.terminate().await?;
    host.event("plugin-unreachable").await?;
    host.event("revoked").await.map(drop)
}

async fn a_master_node_that_belongs_to_somebody_else(cluster: &Cluster) -> Result<()> {
    let stranger = cluster.client_as("somebody:else").await?;
    let theirs = CreateMode::Persistent.with_acls(Acls::creator_all());
    stranger.create("/theirs", b"", &theirs).await?;
    let plugin = build::artifacts()?.guest("heartbeat");
    let mut host = cluster
        .host_of("kept-out", &plugin)?
        .flag("--path", "/theirs/master")
        .start(&cluster.history)?;
    host.event_where("election-error", |event| {
        event.line.get("retry_in").is_some()
    })
    .await?;
    client::close(stranger).await;
    Ok(())
}

/// Some of them may be set right.
async fn nodes_with_other_rights(cluster: &Cluster) -> Result<()> {
    let stranger = cluster.client_as("somebody:else").await?;
    client::make_path(&stranger, "/guarded/tasks/beat/state").await?;
    let theirs = CreateMode::Persistent.with_acls(Acls::creator_all());
    stranger
        .create("/guarded/tasks/beat/state/theirs", b"", &theirs)
        .await?;
    let command = cluster
        .host("guards")?
        .env("SOLOIST_ZOOKEEPER_AUTH", "digest:soloist:secret");
    let mut host = command
        .flag("--acl", "creator")
        .flag("--root", "/guarded")
        .start(&cluster.history)?;
    for name in ["acl-corrected", "acl-differs"] {
        host.event(name).await?;
    }
    client::close(stranger).await;
    Ok(())
}

async fn a_task_that_has_been_done(cluster: &Cluster) -> Result<()> {
    let plugin = cluster.file("done.wat", PRINTS)?;
    let start = |id| {
        cluster
            .host_of(id, &plugin)?
            .flag("--once-for", "today")
            .start(&cluster.history)
    };
    ensure!(start("does")?.ended().await?.success());
    let mut later = start("need-not")?;
    later
        .event_where("completed-before", |event| {
            event.text("what") == Some("today")
        })
        .await?;
    ensure!(later.ended().await?.success(), "{}", later.errors());
    Ok(())
}

async fn a_configuration_that_changes(cluster: &Cluster) -> Result<()> {
    let plugin = build::artifacts()?.guest("heartbeat").display().to_string();
    let good = format!("[[task]]\nname = \"changes\"\nplugin = {plugin:?}\n");
    let file = cluster.file("changes.toml", &good)?;
    let mut host = cluster.host_of("reloads", &file)?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    for (text, event) in [("nothing", "not-reloaded"), (&*good, "reloaded")] {
        cluster.file("changes.toml", text)?;
        host.signal(Signal::HUP)?;
        host.event(event).await?;
    }
    Ok(())
}

/// There is nobody who would speak TLS: certificates are followed without a session as well.
async fn certificates_that_change(cluster: &Cluster) -> Result<()> {
    let certificates = Certificates::new()?;
    let holder = certificates.holder("host", &Wanted::subject("a host"))?;
    let plugin = cluster.file("certified.wat", PRINTS)?;
    let command = holder.variables().into_iter().fold(
        cluster.host_of("certified", &plugin)?,
        |command, (name, path)| command.env(name, path),
    );
    let mut host = command.start(&cluster.history)?;
    host.event("session-connecting").await?;
    std::fs::write(&holder.key, "")?;
    host.event("session-tls-not-reloaded").await?;
    certificates.holder("host", &Wanted::subject("a host"))?;
    host.event("session-tls-reloaded").await.map(drop)
}

async fn certificates_of_a_listener_that_change(cluster: &Cluster) -> Result<()> {
    let certificates = Certificates::new()?;
    let listener = || certificates.holder("listener", &Wanted::names(["127.0.0.1"]));
    let plugin = cluster.file("listens.wat", PRINTS)?;
    let mut host = cluster
        .host_of("listens", &plugin)?
        .flag("--listen", "127.0.0.1:0")
        .flag("--listen-certificate", &listener()?.certificate)
        .flag("--listen-key", &listener()?.key)
        .start(&cluster.history)?;
    host.event("host-listening").await?;
    std::fs::write(listener()?.key, "")?;
    host.event("host-tls-not-reloaded").await?;
    listener()?;
    host.event("host-tls-reloaded").await.map(drop)
}

/// Its process is killed, and then its guardian.
async fn a_process_that_dies(cluster: &Cluster) -> Result<()> {
    let plugin = cluster.file("dies.wat", PRINTS)?;
    let command = cluster.host_of("dies", &plugin)?.guarded();
    let mut host = command.start(&cluster.history)?;
    host.event("activated").await?;
    let from = cluster.history.len();
    host.signal_guarded(Signal::KILL).await?;
    host.event("given-back").await?;
    host.event_after(from, "activated", |_| true).await?;
    host.signal(Signal::KILL)?;
    let lost = |record: &soloist_tests::history::Record| record.is("guardian-lost");
    let what = "the loss of a guardian";
    let history = &cluster.history;
    history.wait_for(from, what, PATIENCE, lost).await.map(drop)
}

async fn a_host_that_is_drained(cluster: &Cluster) -> Result<()> {
    let plugin = cluster.file("drained.wat", PRINTS)?;
    let mut host = cluster
        .host_of("drained", &plugin)?
        .start(&cluster.history)?;
    host.event("activated").await?;
    for args in [
        &["drain", "drained", "--reason", "why"][..],
        &["undrain", "drained"],
    ] {
        let answer = cluster.operator(&[], args).await?;
        ensure!(answer.code == Some(0), "{answer:?}");
    }
    host.event("host-undrained").await.map(drop)
}

/// Its first generation is signed by nobody, and somebody else owns the node below which hosts say how far they are.
async fn a_task_that_is_deployed(cluster: &Cluster) -> Result<()> {
    let stranger = cluster.client_as("somebody:else").await?;
    client::make_path(&stranger, "/soloist/tasks/deployed").await?;
    let theirs = CreateMode::Persistent.with_acls(Acls::creator_all());
    stranger
        .create("/soloist/tasks/deployed/ready", b"", &theirs)
        .await?;
    let operator = cluster.client().await?;
    let deployment = Deployment::new(operator, "deployed", vec![Signer::new()?]);
    let kept = cluster.file("takes.kept", "")?.with_extension("dir");
    let config = cluster.file("takes.toml", deployment.taken_by(&kept, "state = true")?)?;
    let mut host = cluster.host_of("takes", &config)?.start(&cluster.history)?;
    let plugin = build::artifacts()?.guest("heartbeat");
    let (task, manifest) = (serde_json::json!({}), serde_json::json!({}));
    let text = deployment
        .text(&plugin, task.clone(), manifest.clone())
        .await?;
    deployment.deploy_signed(&text, Vec::new()).await?;
    for name in ["generation-unready", "not-standing"] {
        host.event(name).await?;
    }
    host.event_where("deploy-error", |event| event.line.get("retry_in").is_some())
        .await?;
    let text = deployment.text(&plugin, task, manifest).await?;
    deployment.deploy(&text).await?;
    host.event("generation-ready").await?;
    deployment.close().await;
    client::close(stranger).await;
    Ok(())
}

/// The servers know of no credentials of this scheme. Before they are there the host has another error.
async fn refused_credentials() -> Result<History> {
    let settings = Settings::standalone()
        .system_property("zookeeper.DigestAuthenticationProvider.enabled", "false");
    let mut cluster = Cluster::around(ZooKeeper::prepare(settings)?, Duration::from_secs(4))?;
    let command = cluster
        .host("a")?
        .env("SOLOIST_ZOOKEEPER_AUTH", "digest:soloist:secret");
    let mut host = command.start(&cluster.history)?;
    host.event_where("session-error", |event| {
        event.line.get("retry_in").is_some()
    })
    .await?;
    cluster.zookeeper.start_all().await?;
    host.event("session-auth-failed").await?;
    Ok(cluster.history.clone())
}

/// A server agrees to less than before, and that is enough for a lease.
async fn a_shortened_session() -> Result<History> {
    let mut cluster = Cluster::real().await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    cluster
        .zookeeper
        .configure(0, Some(("maxSessionTimeout", "6000")))?;
    cluster.zookeeper.kill(0)?;
    cluster.zookeeper.start_all().await?;
    let shortened = host.event("session-shortened").await?;
    let line = &shortened.event().context("no event")?.line;
    ensure!(
        line["server"] == cluster.servers() && line["session_timeout"] == 6.0,
        "{line}"
    );
    Ok(cluster.history.clone())
}

/// As in `ensemble.rs`; what is of interest here is that the host connects anew.
async fn a_read_only_server() -> Result<History> {
    let settings = Settings::ensemble()
        .system_property("readonlymode.enabled", "true")
        .property("localSessionsEnabled", "true")
        .property("localSessionsUpgradingEnabled", "true");
    let mut cluster = Cluster::with(settings, Duration::from_secs(4)).await?;
    for index in [1, 2] {
        cluster.zookeeper.kill(index)?;
    }
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("session-read-only").await?;
    cluster.zookeeper.start_all().await?;
    host.event_where("session-read-only", |event| {
        event.line.get("retry_in").is_some()
    })
    .await?;
    Ok(cluster.history.clone())
}

/// `println!` just works: what a plugin writes on stdout and stderr becomes `plugin-log` events, line by line.
#[tokio::test]
async fn what_a_plugin_prints_becomes_events() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = cluster.file("prints.wat", PRINTS)?;
    let mut host = cluster
        .host_of("a", &plugin)?
        .flag("--task", TASK)
        .start(&cluster.history)?;
    for text in ["first line", "second \u{1b}[31mline"] {
        let said = host
            .event_where("plugin-log", |event| event.message == text)
            .await?;
        let event = said.event().context("no event")?;
        ensure!(
            event.task.as_deref() == Some(TASK)
                && event.term == Some(1)
                && event.fencing_token.is_some()
        );
    }
    ensure!(host.terminate().await?.success());
    // At the latest when the plugin is gone, an unfinished line is told as well.
    host.event_where("plugin-log", |event| event.message == "to stderr")
        .await?;
    Ok(())
}

/// A file name is enough: `soloist run PLUGIN` names the task after the plugin.
#[tokio::test]
async fn the_task_is_named_after_the_plugin() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = cluster.file("nightly-report.wat", PRINTS)?;
    let mut host = cluster.host_of("a", &plugin)?.start(&cluster.history)?;
    host.event_where("activated", |event| {
        event.task.as_deref() == Some("nightly-report")
    })
    .await?;
    Ok(())
}
