//! What deployed tasks rest on: terms that run one generation, manifests that are followed, artefacts in the ensemble.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use soloist_coordination::artefacts::{ArtefactError, Artefacts};
use soloist_coordination::manifests::{Changed, Manifest, Manifests, Node};
use soloist_coordination::task::Generation;
use soloist_core::digest::Digest;
use soloist_core::election::Stage;
use soloist_core::records::{Changed as By, History, RolloutRecord, TermRecord};
use soloist_runtime::contender::Status;
use soloist_runtime::shutdown::Shutdown;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::proxy::{Proxy, Traffic};
use soloist_tests::session::OwnSession;
use soloist_tests::{PATIENCE, client, eventually};
use tokio::sync::watch;
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Permission};

use crate::queue::{contender, work, work_every};

const ROOT: &str = "/soloist";

fn manifest(task: &str) -> String {
    format!("{ROOT}/manifests/{task}")
}

async fn create(client: &Client, path: &str, data: &[u8]) -> Result<()> {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.create(path, data, &options).await?;
    Ok(())
}

fn generation(number: u64, manifest_version: i32) -> Generation {
    Generation {
        number,
        digest: Some(Digest::of(&number.to_be_bytes())),
        manifest_version,
    }
}

/// Waits until the contender leads in this term.
async fn leads(status: &mut watch::Receiver<Status>, number: u64) -> Result<()> {
    let leads = status.wait_for(|status| {
        let term = status.term.as_ref();
        status.stage == Stage::Leading && term.is_some_and(|term| term.number == number)
    });
    tokio::time::timeout(PATIENCE, leads)
        .await
        .context("it never led")??;
    Ok(())
}

/// A term runs the generation that the manifest names when it begins. One that is under way when another takes over is handed
/// over, and its record and the history say which generation it ran.
#[tokio::test(flavor = "multi_thread")]
async fn a_term_runs_the_generation_that_the_manifest_names_when_it_begins() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let own = OwnSession::begin(&cluster, "a").await?;
    Manifests::follow(own.session.clone(), ROOT).await?;
    let path = manifest(TASK);
    create(&operator, &path, b"1").await?;
    // It knows a manifest that is not there any more.
    let first = work(Some(generation(1, 7))).await?;
    let (contender, handle) = contender(&own, first);
    let mut status = handle.status();
    let shutdown = Shutdown::new();
    let contending = tokio::spawn(contender.run(own.view.clone(), shutdown.clone()));
    let electing = status.wait_for(|status| status.stage == Stage::Electing);
    tokio::time::timeout(PATIENCE, electing).await??;
    ensure!(
        client::owner(&operator, &Cluster::master(TASK))
            .await?
            .is_none(),
        "it was elected for a generation that the manifest does not name"
    );
    handle.renew(work(Some(generation(1, 0))).await?);
    leads(&mut status, 1).await?;
    // Of the same generation it need not hear: the term goes on.
    operator.set_data(&path, b"still 1", None).await?;
    handle.renew(work(Some(generation(1, 1))).await?);
    operator.set_data(&path, b"2", None).await?;
    handle.renew(work(Some(generation(2, 2))).await?);
    leads(&mut status, 2).await?;
    let (record, stat) = operator.get_data(&own.paths.term).await?;
    let (record, _) = TermRecord::read(&record, stat.version);
    ensure!(
        record.term.generation == Some(2)
            && record.term.digest == Some(Digest::of(&2_u64.to_be_bytes())),
        "{record:?}"
    );
    let (history, _) = operator.get_data(&own.paths.history).await?;
    let History(ended) = History::read(&history);
    let end = ended[0].end.as_ref().context("it has not ended")?;
    ensure!(ended[0].generation == Some(1), "{ended:?}");
    ensure!(
        (end.reason.as_str(), end.detail.as_deref())
            == ("resigned", Some("generation 2 takes over")),
        "{end:?}"
    );
    shutdown.trigger();
    contending.await?.ok();
    client::close(operator).await;
    Ok(())
}

/// The manifest changes more often than the generation. What kept a host out of the queue ends with another generation only.
#[tokio::test(flavor = "multi_thread")]
async fn a_rest_ends_by_another_generation_and_by_no_other_change() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let own = OwnSession::begin(&cluster, "a").await?;
    Manifests::follow(own.session.clone(), ROOT).await?;
    let path = manifest(TASK);
    create(&operator, &path, b"1").await?;
    let failing = async |version| {
        let mut work = work_every("no interval", Some(generation(1, version))).await?;
        work.activation.restart.max_restarts = 0;
        anyhow::Ok(Arc::new(work))
    };
    let (contender, handle) = contender(&own, failing(0).await?);
    let mut status = handle.status();
    let shutdown = Shutdown::new();
    let contending = tokio::spawn(contender.run(own.view.clone(), shutdown.clone()));
    let led = status.wait_for(|status| status.stage == Stage::Leading);
    tokio::time::timeout(PATIENCE, led).await??;
    let rests = status.wait_for(|status| status.stage == Stage::Away);
    tokio::time::timeout(PATIENCE, rests).await??;
    for version in 1..=20 {
        operator.set_data(&path, b"still 1", None).await?;
        handle.renew(failing(version).await?);
        ensure!(!status.has_changed()?, "{:?}", status.borrow());
    }
    operator.set_data(&path, b"2", None).await?;
    handle.renew(work(Some(generation(2, 21))).await?);
    leads(&mut status, 2).await?;
    shutdown.trigger();
    contending.await?.ok();
    client::close(operator).await;
    Ok(())
}

/// A record that somebody has written.
fn record(by: &str) -> RolloutRecord {
    RolloutRecord::before_the_first(By::new(by, ""))
}

fn read(task: &str, node: Option<(&str, i32)>) -> Manifest {
    Manifest {
        task: task.to_owned(),
        node: node.map_or(Node::Gone, |(by, version)| {
            Node::Record(Box::new(record(by)), version)
        }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_watch_follows_all_manifests() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let cluster = cluster.through(proxy.connect_string());
    let own = OwnSession::begin(&cluster, "a").await?;
    let (mut manifests, all) = Manifests::follow(own.session.clone(), ROOT).await?;
    ensure!(all.is_empty(), "{all:?}");
    create(&operator, &manifest("report"), &record("1").encode()?).await?;
    ensure!(
        manifests.changed().await? == Some(Changed::Some(vec![read("report", Some(("1", 0)))]))
    );
    let second = record("2").encode()?;
    operator
        .set_data(&manifest("report"), &second, None)
        .await?;
    ensure!(
        manifests.changed().await? == Some(Changed::Some(vec![read("report", Some(("2", 1)))]))
    );
    operator.delete(&manifest("report"), None).await?;
    ensure!(manifests.changed().await? == Some(Changed::Some(vec![read("report", None)])));
    // What changes while it hears nothing is read when it hears again.
    proxy.set(Traffic::Cut);
    create(&operator, &manifest("import"), &record("1").encode()?).await?;
    eventually("all to be read", PATIENCE, async || {
        match manifests.changed().await.ok()?? {
            Changed::All(all) => (all == [read("import", Some(("1", 0)))]).then_some(()),
            // It has heard that the connection is lost, which a proxy takes its time for.
            Changed::Some(none) if none.is_empty() => {
                proxy.set(Traffic::Passes);
                None
            }
            Changed::Some(_) => None,
        }
    })
    .await?;
    // The watch is there again.
    operator
        .set_data(&manifest("import"), &second, None)
        .await?;
    eventually("the next change to be heard", PATIENCE, async || {
        let changed = manifests.changed().await.ok()??;
        (changed == Changed::Some(vec![read("import", Some(("2", 1)))])).then_some(())
    })
    .await?;
    // One that the host may not read, or cannot, does not hide the others, nor does what lies below one.
    let nobody = [Acl::new(
        Permission::ALL,
        AuthId::new("digest", "ann:bm9ib2R5"),
    )];
    let options = CreateMode::Persistent.with_acls(Acls::new(&nobody));
    operator.create(&manifest("secret"), b"", &options).await?;
    create(&operator, &manifest("import/below"), b"").await?;
    create(&operator, &manifest("long"), &vec![b' '; 500_000]).await?;
    let (_, mut others) = Manifests::follow(own.session.clone(), ROOT).await?;
    others.sort_by(|one, other| one.task.cmp(&other.task));
    ensure!(
        others[0] == read("import", Some(("2", 1))) && others.len() == 3,
        "{others:?}"
    );
    ensure!(
        matches!(&others[1].node, Node::Unreadable(why) if why.contains("500000 bytes")),
        "{others:?}"
    );
    ensure!(
        matches!(&others[2].node, Node::Unreadable(why) if why.contains("/manifests/secret")),
        "{others:?}"
    );
    client::close(operator).await;
    Ok(())
}

/// Bytes that cannot be compressed: nineteen chunks.
fn artefact() -> Vec<u8> {
    (0..1_200_000_u32 / 32)
        .flat_map(|number| {
            let digest = Digest::of(&number.to_be_bytes()).to_string();
            let bytes: Vec<u8> = (0..32)
                .map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            bytes
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artefact_is_kept_whole_or_not_at_all() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let own = OwnSession::begin(&cluster, "a").await?;
    let artefacts = Artefacts::of(&own.session, ROOT);
    let artefact = artefact();
    let digest = Digest::of(&artefact);
    let path = format!("{ROOT}/artefacts/{digest}");
    ensure!(matches!(
        artefacts.get(digest).await,
        Err(ArtefactError::Missing(_))
    ));
    // An upload that was cut off is nothing, and another one is done beside it.
    for above in [ROOT, &format!("{ROOT}/artefacts"), &path] {
        // Some of them are there.
        let _ = create(&operator, above, b"").await;
    }
    create(&operator, &format!("{path}/abc-0000"), b"half").await?;
    ensure!(artefacts.stored(digest).await?.is_none());
    ensure!(matches!(
        artefacts.get(digest).await,
        Err(ArtefactError::Missing(_))
    ));
    let stored = artefacts.put(digest, &artefact).await?;
    ensure!(stored.packed > 1_000_000, "{stored:?}");
    ensure!(artefacts.get(digest).await? == artefact);
    ensure!(operator.list_children(&path).await?.len() == 20);
    // It is there: nothing is written again.
    let again = artefacts.put(digest, &artefact).await?;
    ensure!(format!("{again:?}") == format!("{stored:?}"));
    let kept = artefacts.sweep(i64::MAX).await?;
    ensure!(kept.len() == 1 && kept[0].0 == digest, "{kept:?}");

    // Somebody writes its head again.
    let (head, _) = operator.get_data(&path).await?;
    operator.set_data(&path, &head, None).await?;
    // Whoever relied on it before it was removed is refused by its version.
    ensure!(artefacts.remove(&stored).await.is_ok());
    ensure!(
        artefacts.stored(digest).await?.is_some(),
        "another version was removed"
    );
    let (_, now) = artefacts.sweep(0).await?.remove(0);
    artefacts.remove(&now).await?;
    ensure!(
        operator
            .list_children(&format!("{ROOT}/artefacts"))
            .await?
            .is_empty()
    );
    // What is left of uploads goes when it is old.
    create(&operator, &path, b"").await?;
    create(&operator, &format!("{path}/abc-0000"), b"half").await?;
    artefacts.sweep(0).await?;
    ensure!(operator.list_children(&path).await?.len() == 1);
    artefacts.sweep(i64::MAX).await?;
    ensure!(
        operator
            .list_children(&format!("{ROOT}/artefacts"))
            .await?
            .is_empty()
    );
    let large = vec![0; 64 * 1024 * 1024 + 1];
    let refused = artefacts.put(Digest::of(&large), &large).await.unwrap_err();
    ensure!(refused.to_string().contains("oci://"), "{refused}");
    client::close(operator).await;
    Ok(())
}

/// Whatever anybody makes of it is said, and its bytes are never more than its head says.
#[tokio::test(flavor = "multi_thread")]
async fn an_artefact_that_is_damaged_is_said_with_what_to_do() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let own = OwnSession::begin(&cluster, "a").await?;
    let artefacts = Artefacts::of(&own.session, ROOT);
    let artefact = artefact();
    let digest = Digest::of(&artefact);
    let path = format!("{ROOT}/artefacts/{digest}");
    artefacts.put(digest, &artefact).await?;
    let (head, _) = operator.get_data(&path).await?;
    let chunk = operator
        .list_children(&path)
        .await?
        .into_iter()
        .find(|name| name.ends_with("-0001"))
        .context("no chunk")?;
    operator
        .set_data(&format!("{path}/{chunk}"), b"changed", None)
        .await?;
    let damaged = artefacts.get(digest).await.unwrap_err().to_string();
    ensure!(
        damaged.contains(&path) && damaged.contains("delete the node"),
        "{damaged}"
    );
    for (wrong, told) in [
        ("{}", "no record"),
        (
            r#"{"version":2,"upload":"a","chunks":1,"packed":1,"bytes":1}"#,
            "version 2",
        ),
        (
            r#"{"version":1,"upload":"../x","chunks":1,"packed":1,"bytes":1}"#,
            "no upload has",
        ),
        (
            r#"{"version":1,"upload":"a","chunks":99,"packed":1,"bytes":1}"#,
            "no upload has",
        ),
        (
            r#"{"version":1,"upload":"a","chunks":1,"packed":1,"bytes":99999999999}"#,
            "no upload has",
        ),
    ] {
        operator.set_data(&path, wrong.as_bytes(), None).await?;
        let damaged = artefacts.get(digest).await.unwrap_err().to_string();
        ensure!(damaged.contains(told), "{wrong}: {damaged}");
    }
    // What a newer program has written is not written over.
    let newer = br#"{"version":2,"anything":["else"]}"#;
    operator.set_data(&path, newer, None).await?;
    let refused = artefacts.put(digest, &artefact).await.unwrap_err();
    ensure!(refused.to_string().contains("update it"), "{refused}");
    ensure!(operator.get_data(&path).await?.0 == newer);
    // It is not taken for kept, whatever its head says: whoever deploys it again mends it.
    operator.set_data(&path, &head, None).await?;
    artefacts.put(digest, &artefact).await?;
    ensure!(artefacts.get(digest).await? == artefact);
    client::close(operator).await;
    Ok(())
}
