//! What an ACL keeps others from: whoever lacks the identity of the hosts can change nothing that an election rests on.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use soloist_coordination::deployed::DeployedNodes;
use soloist_core::records::{self, TaskPaths};
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::{Command, Host};
use soloist_tests::session::OwnSession;
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Error, Permission};

const IDENTITY: &str = "SOLOIST_ZOOKEEPER_AUTH";
const OURS: &str = "digest:soloist:secret";
const TASK_NODE: &str = "/soloist/tasks/beat";

fn host(cluster: &Cluster, id: &str, identity: &str, acl: &str) -> Result<Command> {
    Ok(cluster.host(id)?.env(IDENTITY, identity).flag("--acl", acl))
}

/// A leader and a standby with our identity, and an order to resign that means nothing to them.
async fn guarded(cluster: &Cluster, acl: &str) -> Result<(Host, Host)> {
    let mut leader = host(cluster, "a", OURS, acl)?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = host(cluster, "b", OURS, acl)?.start(&cluster.history)?;
    standby.event("standby").await?;
    let owner = owner(cluster).await?;
    let options = CreateMode::Persistent.with_acls(Acls::creator_all());
    owner
        .create(&format!("{TASK_NODE}/resign"), br#"{"term":0}"#, &options)
        .await?;
    client::close(owner).await;
    Ok((leader, standby))
}

async fn owner(cluster: &Cluster) -> Result<Client> {
    cluster.client_as("soloist:secret").await
}

/// All nodes below the root, parents first.
async fn nodes(client: &Client) -> Result<Vec<String>> {
    let mut nodes = vec!["/soloist".to_owned()];
    let mut next = 0;
    while let Some(path) = nodes.get(next).cloned() {
        nodes.extend(
            client
                .list_children(&path)
                .await?
                .into_iter()
                .map(|child| format!("{path}/{child}")),
        );
        next += 1;
    }
    Ok(nodes)
}

fn refused<T>(what: &str, path: &str, result: Result<T, Error>) -> Result<()> {
    match result {
        Err(Error::NoAuth) => Ok(()),
        Err(error) => Err(error)
            .with_context(|| format!("to {what} {path} fails, but not for want of permission")),
        Ok(_) => anyhow::bail!("a stranger may {what} {path}"),
    }
}

/// Nothing below the root can be overwritten, deleted, opened up or given children by `stranger`.
async fn nothing_can_be_changed(stranger: &Client, nodes: &[String]) -> Result<()> {
    let open_to_all = [Acl::new(Permission::ALL, AuthId::anyone())];
    for path in nodes {
        refused(
            "overwrite",
            path,
            stranger.set_data(path, b"{}", None).await,
        )?;
        refused(
            "set the ACL of",
            path,
            stranger.set_acl(path, &open_to_all, None).await,
        )?;
        // The permission to delete is that of the parent, and above the root is not ours to guard.
        if path != "/soloist" {
            refused("delete", path, stranger.delete(path, None).await)?;
            let mut multi = stranger.new_multi_writer();
            multi.add_delete(path, None)?;
            refused(
                "delete by multi",
                path,
                multi.commit().await.map_err(Error::from),
            )?;
        }
    }
    let open = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    let sequential = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let candidate = format!("{TASK_NODE}/candidates/c-0000000000000001-z-");
    refused(
        "create",
        &candidate,
        stranger.create(&candidate, b"", &sequential).await,
    )?;
    for path in [
        "/soloist/hosts/z",
        "/soloist/tasks/z",
        "/soloist/tasks/beat/z",
        "/soloist/z",
    ] {
        refused("create", path, stranger.create(path, b"", &open).await)?;
    }
    Ok(())
}

/// The nodes that an election rests on are among those that were tried.
fn complete(nodes: &[String]) -> Result<()> {
    for node in [
        "/master",
        "/term",
        "/history",
        "/resign",
        "/candidates",
        "/candidates/c-",
    ] {
        ensure!(
            nodes
                .iter()
                .any(|path| path.starts_with(&format!("{TASK_NODE}{node}"))),
            "no {node} among {nodes:?}"
        );
    }
    for node in ["/soloist/hosts/a", "/soloist/hosts/b"] {
        ensure!(
            nodes.iter().any(|path| path == node),
            "no {node} among {nodes:?}"
        );
    }
    Ok(())
}

/// `creator`: a stranger can neither read nor change anything; hosts of one identity fail over as ever.
#[tokio::test]
async fn a_stranger_can_do_nothing_to_nodes_of_their_creator() -> Result<()> {
    let cluster = Cluster::start().await?;
    let (mut leader, mut standby) = guarded(&cluster, "creator").await?;
    let owner = owner(&cluster).await?;
    let nodes = nodes(&owner).await?;
    complete(&nodes)?;
    for credentials in [None, Some("soloist:wrong"), Some("other:secret")] {
        let stranger =
            client::connect_as(cluster.servers(), cluster.session_timeout, credentials).await?;
        for path in &nodes {
            refused("read", path, stranger.get_data(path).await)?;
            refused("list", path, stranger.list_children(path).await)?;
        }
        nothing_can_be_changed(&stranger, &nodes).await?;
        client::close(stranger).await;
    }
    let operator = cluster.operator(&[], &["status", TASK]).await?;
    let named = operator.stderr.contains("/soloist/") && operator.stderr.contains("auth");
    ensure!(operator.code == Some(1) && named, "{operator:?}");
    // Nobody has noticed anything.
    ensure!(nodes == self::nodes(&owner).await?);
    ensure!(leader.terminate().await?.success());
    standby.event("plugin-log").await?;
    client::close(owner).await;
    cluster.verdict().check()
}

/// `creator-world-read`: a stranger can read everything and change nothing.
#[tokio::test]
async fn a_stranger_can_read_what_the_world_may_read_and_no_more() -> Result<()> {
    let cluster = Cluster::start().await?;
    let (mut leader, mut standby) = guarded(&cluster, "creator-world-read").await?;
    let stranger = cluster.client().await?;
    let owner = owner(&cluster).await?;
    let nodes = nodes(&owner).await?;
    complete(&nodes)?;
    for path in nodes.iter().filter(|path| !path.ends_with("/resign")) {
        stranger
            .get_data(path)
            .await
            .with_context(|| format!("a stranger cannot read {path}"))?;
    }
    nothing_can_be_changed(&stranger, &nodes).await?;
    let status = cluster.status().await?;
    ensure!(status["leader"]["host"] == "a", "{status}");
    let resign = cluster.operator(&[], &["resign", TASK]).await?;
    let named =
        resign.stderr.contains("/soloist/tasks/beat/resign") && resign.stderr.contains("auth");
    ensure!(resign.code == Some(1) && named, "{resign:?}");
    ensure!(leader.terminate().await?.success());
    standby.event("plugin-log").await?;
    client::close(stranger).await;
    client::close(owner).await;
    let verdict = cluster.verdict();
    ensure!(verdict.activities.len() == 2, "{:?}", verdict.activities);
    verdict.check()
}

/// A tree that everybody could change: once a host with an ACL has started nobody else can, whatever was there already.
#[tokio::test]
async fn a_tree_that_was_made_without_an_acl_is_set_right() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut open = cluster.host("open")?.start(&cluster.history)?;
    open.event("plugin-log").await?;
    ensure!(open.terminate().await?.success());
    let stranger = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client::make_path(&stranger, &format!("{TASK_NODE}/state")).await?;
    let mut multi = stranger.new_multi_writer();
    for key in 0..100 {
        multi.add_create(&format!("{TASK_NODE}/state/key-{key}"), b"1", &options)?;
    }
    multi.add_create(&format!("{TASK_NODE}/resign"), br#"{"term":0}"#, &options)?;
    multi.commit().await?;
    let mut leader = host(&cluster, "a", OURS, "creator-world-read")?.start(&cluster.history)?;
    let corrected = leader.event("acl-corrected").await?;
    let event = corrected.event().context("no event")?;
    ensure!(
        event.line["nodes"].as_u64() >= Some(108) && event.text("node") == Some("/soloist"),
        "{event:?}"
    );
    leader.event("plugin-log").await?;
    let mut standby = host(&cluster, "b", OURS, "creator-world-read")?.start(&cluster.history)?;
    standby.event("standby").await?;
    // An order from before is taken away when somebody is elected.
    let owner = owner(&cluster).await?;
    let (ours, read) = (
        Acl::new(Permission::ALL, AuthId::authed()),
        Acl::new(Permission::READ, AuthId::anyone()),
    );
    let guarded = [ours, read];
    let guarded = CreateMode::Persistent.with_acls(Acls::new(&guarded));
    owner
        .create(&format!("{TASK_NODE}/resign"), br#"{"term":0}"#, &guarded)
        .await?;
    client::close(owner).await;
    let nodes = nodes(&stranger).await?;
    complete(&nodes)?;
    nothing_can_be_changed(&stranger, &nodes).await?;
    ensure!(leader.terminate().await?.success());
    standby.event("plugin-log").await?;
    // What is right is not talked about, and nothing was in the way.
    ensure!(
        standby
            .records()
            .iter()
            .all(|record| !record.is("acl-corrected") && !record.is("acl-differs"))
    );
    client::close(stranger).await;
    cluster.verdict().check()
}

/// What somebody else guards cannot be set right: that is said, and hinders nobody.
#[tokio::test]
async fn a_node_that_a_host_may_not_set_right_is_named() -> Result<()> {
    let cluster = Cluster::start().await?;
    let stranger = cluster.client_as("stranger:secret").await?;
    client::make_path(&stranger, &format!("{TASK_NODE}/state")).await?;
    let options = CreateMode::Persistent.with_acls(Acls::creator_all());
    let key = format!("{TASK_NODE}/state/key");
    stranger.create(&key, b"", &options).await?;
    let mut host = host(&cluster, "a", OURS, "creator")?.start(&cluster.history)?;
    let differs = host.event("acl-differs").await?;
    let event = differs.event().context("no event")?;
    ensure!(
        event.line["nodes"] == 1 && event.text("node") == Some(&*key),
        "{event:?}"
    );
    ensure!(
        event.line["level"] == "error" && event.message.contains("setAcl"),
        "{event:?}"
    );
    host.event("plugin-log").await?;
    client::close(stranger).await;
    ensure!(host.terminate().await?.success());
    cluster.verdict().check()
}

/// An operator with the identity of the hosts, from the environment or a file, can ask and order; it is never shown.
#[tokio::test]
async fn an_operator_with_the_identity_of_the_hosts_can_ask_and_order() -> Result<()> {
    let cluster = Cluster::start().await?;
    let (_leader, mut standby) = guarded(&cluster, "creator").await?;
    let file = cluster
        .file("identity", format!("{OURS}\n"))?
        .display()
        .to_string();
    let status = cluster
        .operator(&[("SOLOIST_AUTH_FILE", &file)], &["status", "--json"])
        .await?
        .json()?;
    ensure!(status["tasks"][0]["leader"]["host"] == "a", "{status}");
    let variables = [(IDENTITY, OURS), ("SOLOIST_ACL", "creator")];
    let resign = cluster
        .operator(&variables, &["resign", TASK, "--to", "b"])
        .await?;
    ensure!(
        resign.code == Some(0) && resign.stdout.contains("b leads beat now in term 2"),
        "{resign:?}"
    );
    standby.event("plugin-log").await?;
    let wrong = cluster
        .operator(&[(IDENTITY, "digest:soloist:hunter2")], &["history", TASK])
        .await?;
    ensure!(
        wrong.code == Some(1) && !wrong.stderr.contains("hunter2"),
        "{wrong:?}"
    );
    cluster.verdict().check()
}

/// A host of another identity says which node it may not touch, and never leads, not even when nobody else does.
#[tokio::test]
async fn a_host_of_another_identity_never_leads() -> Result<()> {
    let cluster = Cluster::start().await?;
    let (mut leader, mut standby) = guarded(&cluster, "creator").await?;
    let mut other =
        host(&cluster, "z", "digest:other:secret", "creator")?.start(&cluster.history)?;
    let names = |message: &str| message.contains("/soloist/hosts/z") && message.contains("auth");
    other
        .event_where("session-error", |event| names(&event.message))
        .await?;
    for host in [&mut standby, &mut leader] {
        ensure!(host.terminate().await?.success());
    }
    // Once more with all places vacant.
    let vacant = cluster.history.len();
    other
        .event_after(vacant, "session-error", |event| names(&event.message))
        .await?;
    ensure!(
        other
            .records()
            .iter()
            .all(|record| !record.is("elected") && !record.is("standby"))
    );
    ensure!(other.terminate().await?.success(), "{}", other.errors());
    cluster.verdict().check()
}

/// Whoever may make nodes beside the one that was read could put one in its place that looks guarded: then neither is gone by.
#[tokio::test]
async fn unsigned_text_and_its_rights_are_those_of_one_node() -> Result<()> {
    const ROOT: &str = "/soloist";
    let cluster = Cluster::embedded().await?;
    let own = OwnSession::begin(&cluster, "a").await?;
    let client = cluster.client().await?;
    let paths = Arc::new(TaskPaths::new(ROOT, "report", None));
    let path = paths.generation(1);
    client::make_path(&client, records::parent(&path).context("it has none")?).await?;
    let nodes = DeployedNodes::new(Arc::clone(&own.session), paths);
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let create = async || client.create(&path, b"text", &options).await.map(drop);
    let read = async || nodes.generation(1).await?.context("it is not there");
    create().await?;
    let node = read().await?;
    ensure!(nodes.is_guarded(1, &node, ROOT).await?);
    client.delete(&path, None).await?;
    create().await?;
    ensure!(
        !nodes.is_guarded(1, &node, ROOT).await?,
        "it is another node"
    );
    let node = read().await?;
    client.set_data(&path, b"text", None).await?;
    ensure!(
        !nodes.is_guarded(1, &node, ROOT).await?,
        "it was written since"
    );
    let node = read().await?;
    ensure!(nodes.is_guarded(1, &node, ROOT).await?);
    let rights = [
        Acl::new(Permission::READ, AuthId::anyone()),
        Acl::new(Permission::ALL, AuthId::new("digest", "ann:x")),
    ];
    client.set_acl(&path, &rights, None).await?;
    ensure!(
        !nodes.is_guarded(1, &node, ROOT).await?,
        "others may write it"
    );
    client::close(client).await;
    Ok(())
}
