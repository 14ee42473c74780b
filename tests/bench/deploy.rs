//! What it takes to deploy a task, to take a bad generation back, and to have many.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;
use soloist_tests::history::Record;
use soloist_tests::host::Host;
use soloist_tests::registry::Registry;
use soloist_tests::zookeeper::Settings;

use crate::memory::Memory;
use crate::table::{Samples, Table};
use crate::{SESSION_TIMEOUT, packets};

const HOSTS: [&str; 3] = ["a", "b", "c"];
const DEPLOYED: usize = 20;
const TAKEN_BACK: usize = 10;
const TASKS: usize = 200;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);

/// Who deploys, and the hosts: so nobody has to sign.
const IDENTITY: &str = "digest:ops:bench";

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let cluster = Cluster::with(settings(), SESSION_TIMEOUT).await?;
    let registry = Registry::start("").await?;
    let mut hosts = Vec::new();
    for id in HOSTS {
        hosts.push(taking(&cluster, id, registry.as_ref())?);
    }
    let plugin = build::artifacts()?.guest("misbehave");
    for (source, what) in [
        ("ensemble:", "in the ensemble"),
        ("file://", "in a directory that all share"),
        ("oci://", "in a registry on the same machine"),
    ] {
        if source == "oci://" && registry.is_none() {
            continue;
        }
        let mut samples = Samples::default();
        for number in 0..DEPLOYED {
            let task = format!("new-{}-{number}", source.len());
            let own = unlike_others(&cluster, &plugin, &task)?;
            let place = match (source, &registry) {
                ("file://", _) => format!("file://{}", own.display()),
                ("oci://", Some(registry)) => pushed(registry, &own, &task)?,
                _ => source.to_owned(),
            };
            let (from, began) = (cluster.history.len(), SystemTime::now());
            deploy(&cluster, &own, &task, "wait", &["--source", &place]).await?;
            let said = first(&cluster, from, "plugin-log", &task).await?;
            samples.add(said.at.duration_since(began)?);
        }
        table.times(
            &format!(
                "`soloist deploy` → first statement of the new task on three hosts, plugin {what}"
            ),
            &samples,
        );
    }
    taken_back(&cluster, &plugin, table).await?;
    for host in &mut hosts {
        host.terminate().await?;
    }
    many(&build::artifacts()?.guest("hello"), table).await
}

fn settings() -> Settings {
    Settings::standalone().system_property("zookeeper.forceSync", "yes")
}

/// Puts a plugin into the registry, and says where it is.
fn pushed(registry: &Registry, plugin: &Path, name: &str) -> Result<String> {
    let image = format!("oci://{}/bench/{name}:1.0", registry.address());
    let plugin = plugin.display().to_string();
    let (output, told) = registry.soloist(&["push", &plugin, &image])?;
    ensure!(output.status.success(), "{told}");
    Ok(image)
}

async fn taken_back(cluster: &Cluster, plugin: &Path, table: &mut Table) -> Result<()> {
    let mut samples = Samples::default();
    for number in 0..TAKEN_BACK {
        let task = format!("bad-{number}");
        let from = cluster.history.len();
        deploy(cluster, plugin, &task, "wait", &[]).await?;
        healthy(cluster, from, &task).await?;
        let from = cluster.history.len();
        deploy(cluster, plugin, &task, "error", &[]).await?;
        let failed = first(cluster, from, "plugin-failed", &task).await?;
        let back = position(cluster, from, "rolled-back", &task).await?;
        let said = first(cluster, back, "plugin-log", &task).await?;
        samples.add(said.at.duration_since(failed.at)?);
    }
    table.times(
        "a bad generation fails for good → first statement of the one before",
        &samples,
    );
    Ok(())
}

/// Many tasks of one plugin, all at once, on one host.
async fn many(plugin: &Path, table: &mut Table) -> Result<()> {
    // A host takes all that is deployed, and there is to be nothing else to compile.
    let cluster = Cluster::with(settings(), SESSION_TIMEOUT).await?;
    let cluster = &cluster;
    for number in 0..TASKS {
        deploy(cluster, plugin, &format!("many-{number}"), "wait", &[]).await?;
    }
    let from = cluster.history.len();
    let before = packets(cluster).await?;
    let began = SystemTime::now();
    let mut host = taking(cluster, "alone", None)?;
    let mut last = began;
    for number in 0..TASKS {
        let said = first(cluster, from, "plugin-log", &format!("many-{number}")).await?;
        last = last.max(said.at);
    }
    let packets = packets(cluster).await? - before;
    let memory = Memory::of(host.pid())?;
    let tasks = u32::try_from(TASKS)?;
    table.row(
        &format!(
            "a host starts and takes {TASKS} deployed tasks: until the last has said something"
        ),
        &format!("{:.2} s", last.duration_since(began)?.as_secs_f64()),
        "",
        "",
    );
    table.row(
        &format!("the same, for each of {TASKS}: packets of the server, received and sent; memory of the host, resident / proportional"),
        &format!("{:.1}; {}", packets / f64::from(tasks), memory.of_each(TASKS as u64).show()),
        "",
        "",
    );
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    Ok(())
}

/// A host that takes whatever those deploy who have its identity, from that registry as well.
fn taking(cluster: &Cluster, id: &str, registry: Option<&Registry>) -> Result<Host> {
    let kept = cluster
        .file(&format!("{id}.kept"), "")?
        .with_extension("dir");
    fs::create_dir_all(&kept)?;
    let kept = kept.display().to_string();
    let registry = registry.map(|it| format!("oci://{}/", it.address()));
    let sources: Vec<_> = ["ensemble:", "file:///"]
        .into_iter()
        .chain(registry.as_deref())
        .collect();
    let config = format!(
        "[zookeeper]\nauth = {IDENTITY:?}\nacl = \"creator\"\n[deploy]\nenabled = true\nunsigned = true\ntasks = [\"*\"]\n\
         sources = {sources:?}\ndirectory = {kept:?}\n[deploy.allow]\nstate = true\n"
    );
    let file = cluster.file(&format!("{id}.toml"), config)?;
    // On machines of their own, no host finds what another or the operator has fetched.
    let cache = file.with_extension("cache").display().to_string();
    let command = cluster.host_of(id, &file)?.env("XDG_CACHE_HOME", cache);
    command.start(&cluster.history)
}

async fn deploy(
    cluster: &Cluster,
    plugin: &Path,
    task: &str,
    what: &str,
    more: &[&str],
) -> Result<()> {
    let plugin = plugin.display().to_string();
    let written = format!(
        "healthy_after = \"100ms\"\n[[task]]\nname = {task:?}\nplugin = {plugin:?}\nconfig = {{ do = {what:?} }}\n\
         restart = {{ max_restarts = 0 }}\nallow = {{ state = true, tcp = [], dirs = [] }}\n"
    );
    let file = cluster.file(&format!("deployed-{task}.toml"), written)?;
    let file = file.display().to_string();
    let mut args = vec!["deploy", &file, "--no-wait"];
    args.extend(more);
    order(cluster, &args).await
}

async fn order(cluster: &Cluster, args: &[&str]) -> Result<()> {
    let identity = [
        ("SOLOIST_ZOOKEEPER_AUTH", IDENTITY),
        ("SOLOIST_ACL", "creator"),
    ];
    let answer = cluster.operator(&identity, args).await?;
    ensure!(answer.code == Some(0), "{args:?}: {answer:?}");
    Ok(())
}

/// Waits until a leader has found the generation healthy.
async fn healthy(cluster: &Cluster, from: usize, task: &str) -> Result<()> {
    first(cluster, from, "generation-healthy", task)
        .await
        .map(drop)
}

async fn first(cluster: &Cluster, from: usize, event: &str, task: &str) -> Result<Record> {
    let what = format!("{event} of {task}");
    let fits = |record: &Record| record.is_of(event, task);
    cluster.history.wait_for(from, &what, PATIENCE, fits).await
}

/// The position after the first such record.
async fn position(cluster: &Cluster, from: usize, event: &str, task: &str) -> Result<usize> {
    first(cluster, from, event, task).await?;
    let records = cluster.history.since(from);
    let position = records.iter().position(|record| record.is_of(event, task));
    Ok(from + position.context("it was there")? + 1)
}

/// A copy of a plugin that no other is like, so that every host has to fetch and compile it.
fn unlike_others(cluster: &Cluster, plugin: &Path, name: &str) -> Result<PathBuf> {
    let mut bytes = fs::read(plugin)?;
    // A section of its own kind, which says nothing: its length, that of its name, and its name.
    let length = u8::try_from(name.len())?;
    ensure!(length < 0x7f, "{name} is too long");
    bytes.extend([0, length + 1, length]);
    bytes.extend(name.as_bytes());
    cluster.file(&format!("{name}.wasm"), bytes)
}
