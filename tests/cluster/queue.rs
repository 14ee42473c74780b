//! Who has a place in the queue, and who waits for whom.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_coordination::task::Generation;
use soloist_core::election::{self, Stage};
use soloist_core::placement::TaskPlacement;
use soloist_runtime::activation::ActivationSettings;
use soloist_runtime::contender::{Contender, ContenderHandle, Task, Work};
use soloist_runtime::shutdown::Shutdown;
use soloist_sandbox::{Compiler, Plugin, PluginEngine, PluginSettings};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::proxy::{Loss, Op, Proxy, Traffic};
use soloist_tests::session::OwnSession;
use soloist_tests::{PATIENCE, build, client, eventually};
use tokio::runtime::Handle;
use zookeeper_client::Client;

const CANDIDATES: &str = "/soloist/tasks/beat/candidates";

/// The names of all candidates, in the order in which they joined.
async fn queue(client: &Client) -> Result<Vec<String>> {
    let mut names = client.list_children(CANDIDATES).await?;
    names.sort_by_key(|name| name.rsplit('-').next().map(str::to_owned));
    Ok(names)
}

/// What a host does for [`TASK`], as this generation of it.
pub(crate) async fn work(generation: Option<Generation>) -> Result<Arc<Work>> {
    Ok(Arc::new(work_every("100ms", generation).await?))
}

/// The same, with a plugin that says something every `interval`.
pub(crate) async fn work_every(interval: &str, generation: Option<Generation>) -> Result<Work> {
    let artifacts = build::artifacts()?;
    let (file, compiler) = (
        artifacts.guest("heartbeat"),
        Compiler::Process(artifacts.soloist.clone()),
    );
    let config = [("interval".to_owned(), interval.to_owned())].into();
    let load = move || {
        let engine = Arc::new(PluginEngine::new(compiler)?);
        anyhow::Ok(Plugin::load(
            &engine,
            &file,
            PluginSettings {
                config,
                ..PluginSettings::default()
            },
        )?)
    };
    let activation = ActivationSettings::default();
    Ok(Work {
        plugin: Some(Arc::new(tokio::task::spawn_blocking(load).await??)),
        activation,
        election: election::Settings {
            demote_timeout: activation.demote_timeout,
            successor_delay: Duration::ZERO,
        },
        placement: TaskPlacement::default(),
        generation,
        rollout: None,
    })
}

/// A contender for [`TASK`] within the test, on a session of its own.
pub(crate) fn contender(own: &OwnSession, work: Arc<Work>) -> (Contender, ContenderHandle) {
    let task = Task {
        name: TASK.into(),
        paths: own.paths.clone(),
        once: None,
    };
    Contender::new(task, work, Handle::current())
}

/// Where a contender is can be watched; one that withdraws gives everything back, and its session goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_contender_says_where_it_is_and_withdraws_while_its_session_goes_on() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let own = OwnSession::begin(&cluster, "a").await?;
    let (contender, handle) = contender(&own, work(None).await?);
    let mut status = handle.status();
    ensure!(status.borrow().stage == Stage::Away);
    let contending = tokio::spawn(contender.run(own.view.clone(), Shutdown::new()));
    let leads = status.wait_for(|status| status.stage == Stage::Leading);
    let led = tokio::time::timeout(PATIENCE, leads).await??.clone();
    ensure!(
        led.term.as_ref().is_some_and(|term| term.number == 1),
        "{led:?}"
    );
    handle.withdraw("no longer wanted");
    let left = tokio::time::timeout(PATIENCE, contending).await??;
    ensure!(left == Ok(None), "{left:?}");
    let last = status.borrow().clone();
    ensure!(
        last.stage == Stage::Finished && last.term.is_none(),
        "{last:?}"
    );
    ensure!(led.since < last.since, "{led:?} {last:?}");
    ensure!(queue(&operator).await?.is_empty());
    ensure!(
        client::owner(&operator, &Cluster::master(TASK))
            .await?
            .is_none()
    );
    ensure!(own.view.borrow().session.is_some(), "the session has ended");
    client::close(operator).await;
    Ok(())
}

/// A host that has joined twice is elected and never hears of it; then its first candidate is deleted. It must not wait
/// behind the host in between, which waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_may_hold_the_master_node_waits_for_nobody() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let proxy = Arc::new(Proxy::start(cluster.zookeeper.address(0)).await?);
    let between = cluster.host("b")?;
    let cluster = cluster.through(proxy.connect_string());
    let own = OwnSession::begin(&cluster, "a").await?;
    own.nodes().look(true).await?;
    own.nodes().join().await?;
    let mut between = between.start(&cluster.history)?;
    between.event("standby").await?;
    own.nodes().join().await?;
    let [first, ..] = &queue(&operator).await?[..] else {
        anyhow::bail!("nobody stands")
    };
    // The election is done, its reply is lost, and no connection brings news until the rest has happened.
    let silent = Arc::downgrade(&proxy);
    proxy.lose(Loss::Reply, move |request| {
        let elects = request.op == Op::Multi && request.mentions(&Cluster::master(TASK));
        if let Some(proxy) = silent.upgrade().filter(|_| elects) {
            proxy.set(Traffic::LostToClient);
        }
        elects
    });
    let shutdown = Shutdown::new();
    let (contender, _handle) = contender(&own, work(None).await?);
    let contending = tokio::spawn(contender.run(own.view.clone(), shutdown.clone()));
    proxy.replies_lost(1).await?;
    let owner = client::owner(&operator, &Cluster::master(TASK))
        .await?
        .context("nobody was elected")?;
    ensure!(owner == own.session.id(), "somebody else was elected");
    operator
        .delete(&format!("{CANDIDATES}/{first}"), None)
        .await?;
    let ahead = between
        .event_where("standby", |event| event.text("leader") == Some("a"))
        .await?;
    proxy.set(Traffic::Passes);
    // What the host in between waits for is given back, and it leads.
    between.event("plugin-log").await?;
    ensure!(ahead.at <= between.event("elected").await?.at);
    let joined = eventually("the host to stand again", PATIENCE, async || {
        let queue = queue(&operator).await.ok()?;
        (queue.len() == 2 && queue[1].contains("-a-")).then_some(())
    });
    joined.await?;
    shutdown.trigger();
    contending.await?.ok();
    client::close(operator).await;
    cluster.verdict().check()
}
