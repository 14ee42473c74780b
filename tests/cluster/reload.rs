//! A host that is told to read its configuration again.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::{Event, Record};
use soloist_tests::host::Host;
use soloist_tests::{PATIENCE, build, eventually};

use crate::shutdown::{compiler_of, is_compiler, slow_plugin};

const FILE: &str = "soloist.toml";

/// A task whose plugin, `heartbeat`, says ten times a second that it leads; with more lines, if need be.
fn task(name: &str, more: &str) -> Result<String> {
    task_of(name, &build::artifacts()?.guest("heartbeat"), more)
}

fn task_of(name: &str, plugin: &Path, more: &str) -> Result<String> {
    let plugin = plugin.to_str().context("no text")?;
    Ok(format!(
        "[[task]]\nname = {name:?}\nplugin = {plugin:?}\nconfig = {{ interval = \"100ms\" }}\n{more}\n"
    ))
}

/// Starts a host with this configuration.
fn start(cluster: &Cluster, tasks: &[String]) -> Result<Host> {
    let file = cluster.file(FILE, tasks.concat())?;
    cluster.host_of("a", &file)?.start(&cluster.history)
}

/// Changes the configuration and has the host read it; gives what it says of that, and where it began.
async fn reload(cluster: &Cluster, host: &mut Host, text: &str) -> Result<(String, usize)> {
    cluster.file(FILE, text)?;
    let from = cluster.history.len();
    host.signal(Signal::HUP)?;
    Ok((said(cluster, host, from).await?, from))
}

/// What the host says of a reload, whatever comes of it.
async fn said(cluster: &Cluster, host: &Host, from: usize) -> Result<String> {
    let pid = host.pid();
    let fits = |record: &Record| record.pid == pid && record.event().is_some_and(is_outcome);
    let what = "what comes of a reload";
    let record = cluster.history.wait_for(from, what, PATIENCE, fits).await?;
    Ok(record.event().context("no event")?.message.clone())
}

fn is_outcome(event: &Event) -> bool {
    ["reloaded", "not-reloaded"].contains(&&*event.name)
}

/// How many tasks the host says were added, removed, replaced and left as they were.
fn counts(cluster: &Cluster, from: usize) -> Vec<[Option<u64>; 4]> {
    let count = |event: &Event| {
        ["added", "removed", "replaced", "unchanged"].map(|field| event.line[field].as_u64())
    };
    let records = cluster.history.since(from);
    let events = records.iter().filter_map(Record::event);
    let reloaded = events.filter(|event| event.name == "reloaded");
    reloaded.map(count).collect()
}

/// Waits for a line of the plugin of that task.
async fn beats(host: &mut Host, from: usize, task: &str) -> Result<Record> {
    of(host, from, "plugin-log", task).await
}

async fn of(host: &mut Host, from: usize, name: &str, task: &str) -> Result<Record> {
    host.event_after(from, name, |event| event.task.as_deref() == Some(task))
        .await
}

fn token(record: &Record) -> Option<u64> {
    record.event()?.fencing_token
}

#[tokio::test]
async fn tasks_come_go_and_are_replaced_while_the_others_go_on() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let first = [task("stays", "")?, task("goes", "")?, task("changes", "")?];
    let mut host = start(&cluster, &first)?;
    for name in ["goes", "changes"] {
        beats(&mut host, 0, name).await?;
    }
    let led = token(&beats(&mut host, 0, "stays").await?);
    let other = cluster.file("other.toml", task("goes", "")?)?;
    let mut next = cluster.host_of("b", &other)?.start(&cluster.history)?;
    next.event("standby").await?;

    // In another order, which is no change.
    let second = [
        task("comes", "")?,
        task("changes", "limits = { memory = \"100MiB\" }")?,
        task("stays", "")?,
    ];
    let (said, from) = reload(&cluster, &mut host, &second.concat()).await?;
    ensure!(
        said == "the configuration is reloaded: added comes; removed goes; replaced changes",
        "{said}"
    );
    ensure!(counts(&cluster, from) == [[Some(1); 4]]);
    let after = cluster.history.len();
    ensure!(token(&beats(&mut host, after, "stays").await?) == led);
    let untouched = ["draining", "released", "elected"];
    let touched = |record: &Record| untouched.iter().any(|name| record.is_of(name, "stays"));
    ensure!(!cluster.history.since(from).iter().any(touched));
    beats(&mut host, from, "comes").await?;
    for name in ["demoted", "released"] {
        of(&mut host, from, name, "goes").await?;
    }
    beats(&mut next, from, "goes").await?;
    let again = beats(&mut host, after, "changes").await?;
    ensure!(
        again.event().and_then(|event| event.term) == Some(2),
        "{again:?}"
    );
    let history = cluster
        .operator(&[], &["history", "changes", "--json"])
        .await?;
    ensure!(
        history.stdout.contains("the configuration has changed"),
        "{history:?}"
    );

    let (said, from) = reload(&cluster, &mut host, &second.concat()).await?;
    ensure!(
        said == "the configuration is reloaded: nothing has changed",
        "{said}"
    );
    ensure!(counts(&cluster, from) == [[Some(0), Some(0), Some(0), Some(3)]]);
    let status = host.terminate().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_or_a_secret_whose_file_has_changed_is_a_change_of_its_task() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let heartbeat = std::fs::read(build::artifacts()?.guest("heartbeat"))?;
    let plugin = cluster.file("plugin.wasm", &heartbeat)?;
    let secret = cluster.file("secret", "not-to-be-told-1")?;
    let granted = format!("allow = {{ secrets = [{{ name = \"S\", file = {secret:?} }}] }}");
    let tasks = [
        task_of("plugin", &plugin, "")?,
        task("secret", &granted)?,
        task("stays", "")?,
    ];
    let text = tasks.concat();
    let mut host = start(&cluster, &tasks)?;
    for name in ["plugin", "secret", "stays"] {
        beats(&mut host, 0, name).await?;
    }
    // The same once more is no change.
    cluster.file("plugin.wasm", &heartbeat)?;
    let (said, _) = reload(&cluster, &mut host, &text).await?;
    ensure!(said.ends_with(": nothing has changed"), "{said}");

    // A custom section means nothing to whoever runs it.
    cluster.file("plugin.wasm", [&heartbeat[..], b"\0\x02\x01x"].concat())?;
    let (said, from) = reload(&cluster, &mut host, &text).await?;
    ensure!(said.ends_with(": replaced plugin"), "{said}");
    beats(&mut host, from, "plugin").await?;

    cluster.file("secret", "not-to-be-told-2")?;
    let (said, from) = reload(&cluster, &mut host, &text).await?;
    ensure!(said.ends_with(": replaced secret"), "{said}");
    of(&mut host, from, "activated", "secret").await?;
    let stays = host.records();
    let elected = stays
        .iter()
        .filter(|record| record.is_of("elected", "stays"));
    ensure!(elected.count() == 1);
    cluster.verdict().check()
}

#[tokio::test]
async fn what_is_wrong_changes_nothing_and_is_told() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let good = task("stays", "")?;
    let mut host = start(&cluster, std::slice::from_ref(&good))?;
    let led = token(&beats(&mut host, 0, "stays").await?);
    let bad = cluster.file("bad.wasm", "no plugin")?;
    let wrong = [
        ("no configuration".to_owned(), "soloist.toml:1:"),
        (format!("{good}colour = 1\n"), "colour"),
        (
            good.clone() + &task("other", "limits = { memory = \"a lot\" }")?,
            "a lot",
        ),
        (good.clone() + &task_of("bad", &bad, "")?, "bad.wasm"),
        (
            good.clone() + &task_of("gone", &PathBuf::from("gone.wasm"), "")?,
            "gone.wasm",
        ),
        (
            format!("[zookeeper]\nroot = \"/other\"\nacl = \"world\"\n{good}"),
            "zookeeper.root, zookeeper.acl cannot change while a host runs: restart it",
        ),
    ];
    for (text, named) in wrong {
        let (said, from) = reload(&cluster, &mut host, &text).await?;
        ensure!(
            said.starts_with("the configuration is not reloaded, and nothing has changed: ")
                && said.contains(named),
            "{named}: {said}"
        );
        let line = host
            .event_after(from, "not-reloaded", |event| event.message == said)
            .await?;
        let level = line
            .event()
            .and_then(|event| event.text("level").map(str::to_owned));
        ensure!(level.as_deref() == Some("error"), "{line:?}");
    }
    let from = cluster.history.len();
    ensure!(token(&beats(&mut host, from, "stays").await?) == led);
    let (said, from) = reload(&cluster, &mut host, &(good + &task("comes", "")?)).await?;
    ensure!(said.ends_with(": added comes"), "{said}");
    beats(&mut host, from, "comes").await?;
    cluster.verdict().check()
}

/// Two tasks of one host must never have the same master node, nor for a moment: they have the same session.
#[tokio::test]
async fn a_task_that_takes_over_the_master_node_of_another_waits_for_it() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let path = "path = \"/leader\"";
    let mut host = start(&cluster, &[task("old", path)?])?;
    beats(&mut host, 0, "old").await?;
    let (said, from) = reload(&cluster, &mut host, &task("new", path)?).await?;
    ensure!(said.ends_with(": added new; removed old"), "{said}");
    let released = of(&mut host, from, "released", "old").await?;
    let elected = of(&mut host, from, "elected", "new").await?;
    ensure!(released.at <= elected.at);
    beats(&mut host, from, "new").await?;
    cluster.verdict().check()
}

#[tokio::test]
async fn leaders_lead_on_while_a_plugin_is_compiled_and_the_next_reload_is_not_lost() -> Result<()>
{
    let cluster = Cluster::embedded().await?;
    let good = task("stays", "")?;
    let mut host = start(&cluster, std::slice::from_ref(&good))?;
    let led = token(&beats(&mut host, 0, "stays").await?);
    let slow = cluster.file("slow.wat", slow_plugin())?;
    cluster.file(FILE, good.clone() + &task_of("slow", &slow, "")?)?;
    let from = cluster.history.len();
    host.signal(Signal::HUP)?;
    let pid = host.pid();
    let compiler = eventually("a process that compiles", PATIENCE, async || {
        compiler_of(pid)
    })
    .await?;
    cluster.file(FILE, good.clone() + &task("comes", "")?)?;
    host.signal(Signal::HUP)?;
    let compiling = cluster.history.len();
    ensure!(token(&beats(&mut host, compiling, "stays").await?) == led);
    ensure!(is_compiler(compiler), "the test is too slow for its plugin");
    for told in ["added slow", "added comes; removed slow"] {
        let told = format!("the configuration is reloaded: {told}");
        let reloaded = |record: &Record| {
            let event = record.event();
            event.is_some_and(|event| event.name == "reloaded" && event.message == told)
        };
        // The plugin is one that takes long to compile.
        let history = &cluster.history;
        history
            .wait_for(from, &told, PATIENCE * 3, reloaded)
            .await?;
    }
    beats(&mut host, from, "comes").await?;
    cluster.verdict().check()
}

#[tokio::test]
async fn a_host_that_is_to_stop_while_it_reloads_does_not_wait_for_that() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let good = task("stays", "")?;
    let mut host = start(&cluster, std::slice::from_ref(&good))?;
    beats(&mut host, 0, "stays").await?;
    let slow = cluster.file("slow.wat", slow_plugin())?;
    cluster.file(FILE, good + &task_of("slow", &slow, "")?)?;
    host.signal(Signal::HUP)?;
    let pid = host.pid();
    let compiler = eventually("a process that compiles", PATIENCE, async || {
        compiler_of(pid)
    })
    .await?;
    host.signal(Signal::TERM)?;
    let status = host.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    for name in ["demoted", "released", "session-closed"] {
        host.event(name).await?;
    }
    ensure!(
        !host
            .records()
            .iter()
            .any(|record| record.event().is_some_and(is_outcome)),
        "it went on"
    );
    eventually("no process that compiles", PATIENCE, async || {
        (!is_compiler(compiler)).then_some(())
    })
    .await?;
    cluster.verdict().check()
}

/// There is nothing to be read again: whoever hangs up wants the host to end, and its task to be free at once.
#[tokio::test]
async fn without_a_file_a_host_that_is_hung_up_on_gives_its_task_back() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    host.signal(Signal::HUP)?;
    let status = host.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    for name in ["demoted", "released", "session-closed"] {
        host.event(name).await?;
    }
    cluster.verdict().check()
}

/// Whoever starts a host with `nohup` wants it to outlive the terminal.
#[tokio::test]
async fn a_host_that_was_started_to_ignore_hangups_ignores_them() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut host = cluster.host("a")?.nohup().start(&cluster.history)?;
    host.event("plugin-log").await?;
    host.signal(Signal::HUP)?;
    for _ in 0..5 {
        beats(&mut host, cluster.history.len(), TASK).await?;
    }
    let drained = host.records().iter().any(|record| record.is("draining"));
    ensure!(!drained, "it was asked to stop");
    let status = host.terminate().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    cluster.verdict().check()
}

#[tokio::test]
async fn a_configuration_whose_task_is_done_once_is_read_once() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let file = cluster.file(FILE, task("once", "")?)?;
    let command = cluster.host_of("a", &file)?.arg("--once");
    let mut host = command.start(&cluster.history)?;
    beats(&mut host, 0, "once").await?;
    let from = cluster.history.len();
    host.signal(Signal::HUP)?;
    host.event_after(from, "", |event| {
        event.message.starts_with("SIGHUP is ignored")
    })
    .await?;
    let status = host.terminate().await?;
    ensure!(status.code() == Some(1), "{status}: {}", host.errors());
    cluster.verdict().check()
}

/// A file can be right for the session timeout that the host asks for, and leave no room in what a server agrees to.
#[tokio::test]
async fn what_the_session_has_no_time_for_is_refused_before_anything_stops() -> Result<()> {
    let mut cluster = Cluster::real().await?;
    let mut host = start(&cluster, &[task("stays", "")?])?;
    beats(&mut host, 0, "stays").await?;
    let zookeeper = &mut cluster.zookeeper;
    zookeeper.configure(0, Some(("maxSessionTimeout", "6000")))?;
    zookeeper.kill(0)?;
    zookeeper.start_all().await?;
    let shortened = host.event("session-shortened").await?;
    ensure!(
        shortened
            .event()
            .is_some_and(|event| event.line["session_timeout"] == 6.0)
    );

    // 4 s of the 6.4 s that 10 s leave besides a tick, heartbeats and the error of clocks, and of the 3.6 s that 6 s leave.
    let long = task("stays", "demote_timeout = \"4s\"")?;
    let refused = "the configuration is not reloaded, and nothing has changed: the ensemble agrees to a shorter session than \
                   this needs: no room for a lease: session timeout 6s ";
    let (said, from) = reload(&cluster, &mut host, &long).await?;
    ensure!(said.starts_with(refused), "{said}");
    beats(&mut host, from, "stays").await?;

    // The next session will be no longer.
    cluster.zookeeper.kill(0)?;
    host.event_after(from, "session-expired", |_| true).await?;
    let (said, from) = reload(&cluster, &mut host, &long).await?;
    ensure!(said.starts_with(refused), "{said}");
    cluster.zookeeper.start_all().await?;
    beats(&mut host, from, "stays").await?;
    cluster.verdict().check()
}

/// Whoever has mended a plugin that fails does not wait for the pause that it has earned.
#[tokio::test]
async fn a_task_that_has_failed_for_good_is_stood_for_at_once_when_it_has_changed() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let text = "(module (func (export \"on_elected\") unreachable) (func (export \"on_demoted\")))";
    let bad = cluster.file("bad.wat", text)?;
    let pause = "restart = { max_restarts = 0, initial = \"1h\", max = \"1h\" }";
    let mut host = start(
        &cluster,
        &[task_of("mended", &bad, pause)?, task("stays", "")?],
    )?;
    for name in ["failed", "released"] {
        of(&mut host, 0, name, "mended").await?;
    }
    let mended = [task("mended", pause)?, task("stays", "")?].concat();
    let (said, from) = reload(&cluster, &mut host, &mended).await?;
    ensure!(said.ends_with(": replaced mended"), "{said}");
    beats(&mut host, from, "mended").await?;
    cluster.verdict().check()
}

#[tokio::test]
async fn two_tasks_exchange_their_master_nodes() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let paths = ["path = \"/leaders/1\"", "path = \"/leaders/2\""];
    let tasks = |a: usize| -> Result<_> { Ok([task("a", paths[a])?, task("b", paths[1 - a])?]) };
    let mut host = start(&cluster, &tasks(0)?)?;
    for name in ["a", "b"] {
        beats(&mut host, 0, name).await?;
    }
    let (said, from) = reload(&cluster, &mut host, &tasks(1)?.concat()).await?;
    ensure!(said.ends_with(": replaced a, b"), "{said}");
    let mut released = Vec::new();
    for name in ["a", "b"] {
        released.push(of(&mut host, from, "released", name).await?.at);
    }
    for name in ["a", "b"] {
        let elected = of(&mut host, from, "elected", name).await?;
        ensure!(released.iter().all(|at| *at <= elected.at), "{elected:?}");
        beats(&mut host, from, name).await?;
    }
    cluster.verdict().check()
}
