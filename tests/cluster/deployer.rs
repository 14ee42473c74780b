//! Hosts take what is deployed while they run, from those whom they trust, and nothing else.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use soloist_core::records::{Readiness, ReadyRecord, RolloutRecord};
use soloist_core::rollout;
use soloist_tests::cluster::Cluster;
use soloist_tests::deployment::{Deployment, Signer};
use soloist_tests::history::Record;
use soloist_tests::host::Host;
use soloist_tests::{PATIENCE, build, eventually};
use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};

fn heartbeat() -> Result<PathBuf> {
    Ok(build::artifacts()?.guest("heartbeat"))
}

/// The configuration of a host that takes the task, with these lines besides.
fn config(cluster: &Cluster, deployment: &Deployment, id: &str, besides: &str) -> Result<String> {
    let kept = cluster
        .file(&format!("{id}.kept"), "")?
        .with_extension("dir");
    let taken = deployment.taken_by(&kept, "state = true")?;
    Ok(format!("{taken}\n{besides}"))
}

/// A host that takes the task, with these lines in its configuration besides.
fn host(cluster: &Cluster, deployment: &Deployment, id: &str, besides: &str) -> Result<Host> {
    let config = config(cluster, deployment, id, besides)?;
    let file = cluster.file(&format!("{id}.toml"), config)?;
    cluster.host_of(id, &file)?.start(&cluster.history)
}

async fn deployment(cluster: &Cluster, task: &str) -> Result<Deployment> {
    Ok(Deployment::new(
        cluster.client().await?,
        task,
        vec![Signer::new()?],
    ))
}

fn is(record: &Record, host: &str, event: &str, task: &str) -> bool {
    record.host == host && record.is_of(event, task)
}

/// Waits until a host says so of a task, from that position of the history on. Gives the line.
async fn told(
    cluster: &Cluster,
    from: usize,
    host: &str,
    event: &str,
    task: &str,
) -> Result<Value> {
    let what = format!("{event} of {host}");
    let fits = |record: &Record| is(record, host, event, task);
    let found = cluster
        .history
        .wait_for(from, &what, PATIENCE, fits)
        .await?;
    Ok(found.event().context("no event")?.line.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_comes_and_goes_while_hosts_run_and_others_are_not_touched() -> Result<()> {
    let cluster = Cluster::start().await?;
    let deployment = deployment(&cluster, "report").await?;
    let own = format!("[[task]]\nname = \"own\"\nplugin = {:?}\n", heartbeat()?);
    let first = host(&cluster, &deployment, "a", &own)?;
    told(&cluster, 0, "a", "activated", "own").await?;
    let second = host(&cluster, &deployment, "b", "")?;
    let text = deployment.text(&heartbeat()?, json!({}), json!({})).await?;
    deployment.deploy(&text).await?;
    let activated = |record: &Record| record.is_of("activated", "report");
    let led = cluster
        .history
        .wait_for(0, "somebody to lead", PATIENCE, activated)
        .await?;
    let standby = if led.host == "a" { "b" } else { "a" };
    told(&cluster, 0, standby, "standby", "report").await?;
    let status = cluster
        .operator(&[], &["status", "report", "--json"])
        .await?
        .json()?;
    ensure!(status.to_string().contains(&led.host), "{status}");

    let from = cluster.history.len();
    deployment
        .change(|record, by| rollout::undeploy(Some(record), by))
        .await?;
    told(&cluster, from, &led.host, "released", "report").await?;
    told(&cluster, from, standby, "not-standing", "report").await?;
    eventually("nobody to stand", PATIENCE, async || {
        let client = cluster.client().await.ok()?;
        let candidates = client
            .list_children(&deployment.paths.candidates)
            .await
            .ok()?;
        let ready = client.list_children(&deployment.paths.ready).await.ok()?;
        soloist_tests::client::close(client).await;
        (candidates.is_empty() && ready.is_empty()).then_some(())
    })
    .await?;
    let of_own = cluster.history.since(0);
    let ends = of_own
        .iter()
        .filter(|it| it.is_of("demoted", "own"))
        .count();
    ensure!(ends == 0, "the other task was touched");
    deployment.close().await;
    for mut host in [first, second] {
        host.terminate().await?;
    }
    ensure!(
        cluster.verdict().violations.is_empty(),
        "{:?}",
        cluster.verdict()
    );
    Ok(())
}

/// What a host says of a generation that it does not take.
async fn refusal(deployment: &Deployment, host: &str) -> Result<String> {
    let client = deployment.client();
    let path = format!("{}/{host}", deployment.paths.ready);
    let reason = eventually("the host to say why not", PATIENCE, async || {
        let (data, _) = client.get_data(&path).await.ok()?;
        match ReadyRecord::read(&data)?.readiness {
            Readiness::Unready { reason } => Some(reason),
            _ => None,
        }
    })
    .await?;
    Ok(reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_can_write_to_the_ensemble_runs_nothing() -> Result<()> {
    let cluster = Cluster::start().await?;
    let heartbeat = heartbeat()?;
    let mallory = Signer::new()?;
    for (case, why) in [
        ("unsigned", "0 of the 1 keys"),
        ("stranger", "which this host does not trust"),
        ("other-text", "does not fit the text"),
        ("digest", "it is not the artefact that was asked for"),
        ("widened", "[deploy.allow] of this host does not allow"),
        ("source", "no entry in `sources`"),
        ("unknown-key", "sudo"),
    ] {
        let deployment = deployment(&cluster, case).await?;
        let mut host = host(&cluster, &deployment, case, "")?;
        let (task, manifest) = match case {
            "widened" => (
                json!({"allow": {"http": ["https://evil.example"]}}),
                json!({}),
            ),
            "source" => (
                json!({}),
                json!({"artefact": {"sha256": "0".repeat(64), "source": "https://evil.example/a.wasm"}}),
            ),
            "digest" => {
                let source = format!("file://{}", heartbeat.display());
                let artefact = json!({"sha256": "0".repeat(64), "source": source});
                (json!({}), json!({ "artefact": artefact }))
            }
            "unknown-key" => (json!({}), json!({"sudo": true})),
            _ => (json!({}), json!({})),
        };
        let text = deployment.text(&heartbeat, task, manifest).await?;
        match case {
            "unsigned" => deployment.deploy_signed(&text, vec![]).await?,
            "stranger" => {
                let signature = mallory.sign(&text)?;
                deployment.deploy_signed(&text, vec![signature]).await?
            }
            "other-text" => {
                let changed = text.replace("ann@ops", "mallory");
                let signature = deployment.sign(&text)?;
                deployment.deploy_signed(&changed, vec![signature]).await?
            }
            _ => deployment.deploy(&text).await?,
        };
        let reason = refusal(&deployment, case).await?;
        ensure!(reason.contains(why), "{case}: {reason}");
        let activated = cluster.history.since(0);
        let activated = activated.iter().any(|it| it.is_of("activated", case));
        ensure!(!activated, "{case} ran");
        deployment.close().await;
        host.terminate().await?;
    }
    Ok(())
}

/// A signature is good for ever, a generation is not: not even a host that was restarted runs an old one again.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_generation_is_not_accepted_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let deployment = deployment(&cluster, "replayed").await?;
    let mut running = host(&cluster, &deployment, "a", "")?;
    let text = deployment.text(&heartbeat()?, json!({}), json!({})).await?;
    let first = deployment.deploy(&text).await?;
    told(&cluster, 0, "a", "activated", "replayed").await?;
    // Whoever can write to the ensemble may do without the leader.
    let set = async |generation| {
        let becomes = |record: &RolloutRecord, changed| {
            let mut record = record.clone();
            (record.current, record.wanted, record.changed) = (Some(generation), None, changed);
            Ok(record)
        };
        deployment.change(becomes).await
    };
    let text = deployment
        .text(&heartbeat()?, json!({"config": {"x": "2"}}), json!({}))
        .await?;
    let second = deployment.deploy(&text).await?;
    let from = cluster.history.len();
    set(second).await?;
    told(&cluster, from, "a", "activated", "replayed").await?;

    set(first).await?;
    let reason = refusal(&deployment, "a").await?;
    ensure!(reason.contains("generation 1 is old"), "{reason}");
    running.terminate().await?;
    let mut restarted = host(&cluster, &deployment, "a", "")?;
    let reason = refusal(&deployment, "a").await?;
    ensure!(reason.contains("generation 1 is old"), "{reason}");
    let from = cluster.history.len();
    set(second).await?;
    told(&cluster, from, "a", "activated", "replayed").await?;
    restarted.terminate().await?;
    deployment.close().await;
    Ok(())
}

/// Waits until a host has said that the manifest is no record.
async fn told_of_no_record(cluster: &Cluster, from: usize) -> Result<()> {
    let passes_over = |record: &Record| {
        let line = record.event().map(|event| event.line.to_string());
        line.is_some_and(|line| line.contains("manifest report is passed over"))
    };
    let what = "the host to pass the record over";
    cluster
        .history
        .wait_for(from, what, PATIENCE, passes_over)
        .await?;
    Ok(())
}

/// The file says what the host takes, now: a key that is taken out ends what it has signed, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_does_not_allow_any_more_ends_and_a_name_is_either_in_the_file_or_deployed()
-> Result<()> {
    let cluster = Cluster::start().await?;
    let deployment = deployment(&cluster, "report").await?;
    let mut running = host(&cluster, &deployment, "a", "")?;
    let trusting = config(&cluster, &deployment, "a", "")?;
    let text = deployment.text(&heartbeat()?, json!({}), json!({})).await?;
    deployment.deploy(&text).await?;
    told(&cluster, 0, "a", "activated", "report").await?;

    // The name of a task that was deployed cannot be taken by the file.
    let own = format!("[[task]]\nname = \"report\"\nplugin = {:?}\n", heartbeat()?);
    cluster.file("a.toml", format!("{trusting}\n{own}"))?;
    let mut from = cluster.history.len();
    running.signal(Signal::HUP)?;
    let refused = running.event_after(from, "not-reloaded", |_| true).await?;
    let refused = refused.event().context("no event")?.line.to_string();
    ensure!(refused.contains("task report is deployed"), "{refused}");

    // What cannot be judged anew goes on.
    let path = deployment.paths.generation(1);
    let (generation, _) = deployment.client().get_data(&path).await?;
    deployment.client().delete(&path, None).await?;
    cluster.file("a.toml", format!("{trusting}env = [\"TZ\"]\n"))?;
    from = cluster.history.len();
    running.signal(Signal::HUP)?;
    let goes_on = told(&cluster, from, "a", "deploy-error", "report").await?;
    ensure!(
        goes_on.to_string().contains("generation 1 goes on"),
        "{goes_on}"
    );
    ensure!(
        cluster
            .history
            .since(from)
            .iter()
            .all(|it| !it.is_of("draining", "report"))
    );
    // Whoever has taken the node away, and written what is no record, keeps nothing running that is not trusted any more.
    let manifest = &deployment.paths.manifest;
    let (record, _) = deployment.client().get_data(manifest).await?;
    deployment.client().set_data(manifest, b"{", None).await?;
    told_of_no_record(&cluster, from).await?;
    let other = Signer::new()?;
    let distrusting = trusting.replace(&deployment.signers()[0].key, &other.key);
    cluster.file("a.toml", &distrusting)?;
    from = cluster.history.len();
    running.signal(Signal::HUP)?;
    told(&cluster, from, "a", "released", "report").await?;

    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    deployment
        .client()
        .create(&path, &generation, &options)
        .await?;
    deployment
        .client()
        .set_data(manifest, &record, None)
        .await?;
    let reason = refusal(&deployment, "a").await?;
    ensure!(reason.contains("does not trust"), "{reason}");
    cluster.file("a.toml", &trusting)?;
    from = cluster.history.len();
    running.signal(Signal::HUP)?;
    told(&cluster, from, "a", "activated", "report").await?;
    running.terminate().await?;

    // Nor can one that the file has be deployed to this host.
    let mut running = host(&cluster, &deployment, "b", &own)?;
    from = cluster.history.len();
    told(&cluster, 0, "b", "activated", "report").await?;
    let reason = refusal(&deployment, "b").await?;
    ensure!(
        reason.contains("b.toml") && reason.contains("has a task report as well"),
        "{reason}"
    );
    ensure!(
        cluster
            .history
            .since(from)
            .iter()
            .all(|it| !it.is_of("demoted", "report"))
    );
    running.terminate().await?;
    deployment.close().await;
    Ok(())
}

/// Where the ACL says who may deploy, what others have written is not taken, nor made to look right.
#[tokio::test(flavor = "multi_thread")]
async fn unsigned_manifests_are_taken_from_those_who_have_the_identity() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client_as("ann:hunter2").await?;
    let own = [Acl::new(Permission::ALL, AuthId::authed())];
    let deployment = Deployment::new(operator, "guarded", vec![]).writing_as(own.to_vec());
    let zookeeper = "[zookeeper]\nauth = \"digest:ann:hunter2\"\nacl = \"creator\"\n";
    let mut running = host(&cluster, &deployment, "a", zookeeper)?;
    let text = deployment.text(&heartbeat()?, json!({}), json!({})).await?;
    deployment.deploy(&text).await?;
    // Its leader writes nothing more.
    told(&cluster, 0, "a", "generation-healthy", "guarded").await?;

    // A stranger found a place that was open: as in a tree that was made before there was an ACL.
    let open = [Acl::new(Permission::ALL, AuthId::anyone())];
    let theirs = deployment.writing_as(open.to_vec());
    let text = theirs
        .text(&heartbeat()?, json!({"config": {"x": "evil"}}), json!({}))
        .await?;
    let evil = theirs.deploy(&text).await?;
    theirs
        .change(|record, changed| {
            let mut record = record.clone();
            (record.current, record.wanted, record.changed) = (Some(evil), None, changed);
            Ok(record)
        })
        .await?;
    let reason = refusal(&theirs, "a").await?;
    ensure!(
        reason.contains("others may have written generation 2"),
        "{reason}"
    );
    running.terminate().await?;
    // A host that starts sets rights right, but not these.
    let mut running = host(&cluster, &theirs, "b", zookeeper)?;
    let reason = refusal(&theirs, "b").await?;
    ensure!(
        reason.contains("others may have written generation 2"),
        "{reason}"
    );
    running.terminate().await?;
    theirs.close().await;
    Ok(())
}

/// A drained host prepares what is deployed. It stands for it when it is drained no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_deployed_while_a_host_is_drained_is_left_to_others() -> Result<()> {
    let cluster = Cluster::start().await?;
    let deployment = deployment(&cluster, "report").await?;
    let _drained = host(&cluster, &deployment, "a", "")?;
    let connected = |record: &Record| record.host == "a" && record.is("session-connected");
    let wait = cluster
        .history
        .wait_for(0, "a session", PATIENCE, connected);
    wait.await?;
    let answer = cluster.operator(&[], &["drain", "a"]).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let text = deployment.text(&heartbeat()?, json!({}), json!({})).await?;
    deployment.deploy(&text).await?;
    told(&cluster, 0, "a", "generation-ready", "report").await?;
    let _other = host(&cluster, &deployment, "b", "")?;
    told(&cluster, 0, "b", "activated", "report").await?;
    let records = cluster.history.since(0);
    let stood =
        ["standby", "elected"].map(|event| records.iter().any(|it| is(it, "a", event, "report")));
    ensure!(
        stood == [false, false],
        "a drained host has stood: {records:?}"
    );
    let answer = cluster.operator(&[], &["undrain", "a"]).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    told(&cluster, 0, "a", "standby", "report").await?;
    cluster.verdict().check()
}
