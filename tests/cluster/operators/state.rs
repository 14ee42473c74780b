//! `soloist state`: what a plugin keeps, read and written by an operator.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use soloist_coordination::observer::{ObserverError, StateChange, StateGuard, StateRefused};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::{build, client};
use tokio::sync::watch;
use zookeeper_client::{Acls, CreateMode, MultiWriteResult};

use super::case::{fails, observer, succeeds};

/// How often somebody is elected while an operator writes.
const ELECTIONS: usize = 50;

/// Runs `soloist state beat ARGS` with this on its stdin; gives its exit code, stdout and stderr.
async fn state(cluster: &Cluster, args: &[&str], stdin: &[u8]) -> Result<(i32, Vec<u8>, String)> {
    let mut command = std::process::Command::new(&build::artifacts()?.soloist);
    soloist_tests::host::clear_settings(&mut command);
    command.env("SOLOIST_ZOOKEEPER", cluster.servers());
    command.args(["state", TASK]).args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let stdin = stdin.to_vec();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn()?;
        // A command that does not read it may have ended already.
        let _ = child.stdin.take().context("no stdin")?.write_all(&stdin);
        anyhow::Ok(child.wait_with_output()?)
    });
    let output = output.await??;
    Ok((
        output.status.code().context("a signal has ended it")?,
        output.stdout,
        String::from_utf8(output.stderr)?,
    ))
}

/// A task of which nobody runs anything, after its first term.
async fn vacant(cluster: &Cluster) -> Result<()> {
    let mut hosts = cluster.queue(&["a"]).await?;
    ensure!(hosts[0].terminate().await?.success());
    Ok(())
}

/// Bytes come back as they were given, whatever they are; a version that has passed is refused; nothing tells a value.
#[tokio::test]
async fn what_is_written_is_read_byte_for_byte() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    fails(&cluster, &["state", TASK, "list"], &["no task beat"]).await?;
    vacant(&cluster).await?;
    let value = [0, 0xff, b'\n', 0x1b, b'h', b'u', b's', b'h'];
    let (code, told, errors) = state(&cluster, &["set", "odd"], &value).await?;
    let told = String::from_utf8(told)?;
    ensure!(
        code == 0 && told.contains("odd of beat has 8 bytes now"),
        "{told}{errors}"
    );
    ensure!(!told.contains("hush") && !errors.contains("hush"));
    let (code, read, _) = state(&cluster, &["get", "odd"], b"").await?;
    ensure!(code == 0 && read == value, "{read:?}");
    let listed = succeeds(&cluster, &["state", TASK, "list", "--json"]).await?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let version = listed["keys"][0]["version"].to_string();
    ensure!(
        listed["keys"][0]["key"] == "odd" && listed["keys"][0]["bytes"] == 8,
        "{listed}"
    );

    let file = cluster.file("value", "from a file")?.display().to_string();
    let absent = ["set", "odd", "--file", &file, "--if-version", "0"];
    let (code, _, errors) = state(&cluster, &absent, b"").await?;
    ensure!(code == 1 && errors.contains("has changed"), "{errors}");
    let right = ["set", "odd", "--file", &file, "--if-version", &version];
    ensure!(state(&cluster, &right, b"").await?.0 == 0);
    let (code, _, errors) = state(&cluster, &right, b"").await?;
    ensure!(code == 1 && errors.contains("has changed"), "{errors}");
    let into = format!("{file}-read");
    ensure!(
        state(&cluster, &["get", "odd", "--file", &into], b"")
            .await?
            .0
            == 0
    );
    ensure!(std::fs::read(&into)? == b"from a file");
    // It is not written over.
    ensure!(
        state(&cluster, &["get", "odd", "--file", &into], b"")
            .await?
            .0
            == 1
    );

    succeeds(&cluster, &["state", TASK, "delete", "odd"]).await?;
    fails(
        &cluster,
        &["state", TASK, "get", "odd"],
        &["no key of that name"],
    )
    .await?;
    fails(&cluster, &["state", TASK, "delete", "odd"], &["no key"]).await?;
    fails(
        &cluster,
        &["state", TASK, "get", "a/b"],
        &["bad key", "slash"],
    )
    .await
}

/// The limits of plugins hold for operators.
#[tokio::test]
async fn limits_hold_for_operators() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    vacant(&cluster).await?;
    let (code, _, errors) = state(&cluster, &["set", "big"], &vec![b'x'; 600 * 1024]).await?;
    ensure!(code == 1 && errors.contains("too large"), "{errors}");
    let client = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client::make_path(&client, "/soloist/tasks/beat/state").await?;
    for keys in (0..1_000).collect::<Vec<_>>().chunks(250) {
        let mut multi = client.new_multi_writer();
        for key in keys {
            multi.add_create(&format!("/soloist/tasks/beat/state/{key}"), b"", &options)?;
        }
        multi.commit().await?;
    }
    let (code, _, errors) = state(&cluster, &["set", "more"], b"1").await?;
    ensure!(code == 1 && errors.contains("as many keys"), "{errors}");
    ensure!(state(&cluster, &["set", "7"], b"1").await?.0 == 0);
    client::close(client).await;
    Ok(())
}

/// While somebody leads, only `--force` changes anything; what is written then is there for the plugin.
#[tokio::test]
async fn nothing_is_changed_under_a_leader_without_force() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let _hosts = cluster.queue(&["a"]).await?;
    let (code, _, errors) = state(&cluster, &["set", "key"], b"1").await?;
    ensure!(
        code == 1 && errors.contains("a leads task beat") && errors.contains("--force"),
        "{errors}"
    );
    ensure!(state(&cluster, &["get", "key"], b"").await?.0 == 1);
    ensure!(state(&cluster, &["set", "key", "--force"], b"1").await?.0 == 0);
    let (code, _, errors) = state(&cluster, &["delete", "key"], b"").await?;
    ensure!(code == 1 && errors.contains("a leads"), "{errors}");
    // Somebody has deleted the master node: until its plugin has stopped, the leader has its candidate.
    ensure!(state(&cluster, &["get", "key"], b"").await?.1 == b"1");
    cluster.verdict().check()
}

/// Somebody is elected again and again while an operator writes: nothing is written while somebody leads.
#[tokio::test]
async fn nothing_is_written_in_a_term_that_begins_meanwhile() -> Result<()> {
    let cluster = Cluster::start().await?;
    vacant(&cluster).await?;
    let (client, observer) = (cluster.client().await?, observer(&cluster).await?);
    let (record, master) = ("/soloist/tasks/beat/term", Cluster::master(TASK));
    let (released, _) = client.get_data(record).await?;
    let mut active: Value = serde_json::from_slice(&released)?;
    active["state"] = "active".into();
    let active = active.to_string();
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    // The versions of what was written, and how often nothing was.
    let outcomes = watch::Sender::new((Vec::new(), 0));
    let writes = async {
        loop {
            let change = StateChange::Set(b"x");
            let changed = observer.change_state(TASK, "key", change, StateGuard::default());
            match changed.await {
                Ok(version) => outcomes.send_modify(|(written, _)| written.push(version)),
                Err(ObserverError::State(
                    StateRefused::Led { .. } | StateRefused::Unsteady { .. },
                )) => outcomes.send_modify(|(_, refused)| *refused += 1),
                Err(error) => break error,
            }
        }
    };
    let leads = async {
        let mut heard = outcomes.subscribe();
        let mut terms = Vec::new();
        for _ in 0..ELECTIONS {
            // The operator is about to write again.
            let count = heard.borrow_and_update().0.len();
            heard.wait_for(|(written, _)| written.len() > count).await?;
            let mut elected = client.new_multi_writer();
            elected.add_create(&master, b"{}", &ephemeral)?;
            elected.add_set_data(record, active.as_bytes(), None)?;
            let from = transaction(&elected.commit().await?)?;
            let count = heard.borrow_and_update().1;
            heard.wait_for(|(_, refused)| *refused > count).await?;
            let mut ended = client.new_multi_writer();
            ended.add_delete(&master, None)?;
            ended.add_set_data(record, &released, None)?;
            terms.push(from..transaction(&ended.commit().await?)?);
        }
        anyhow::Ok(terms)
    };
    let terms = tokio::select! {
        terms = leads => terms?,
        error = writes => return Err(error.into()),
    };
    let written = outcomes.borrow().0.clone();
    for version in &written {
        let within = terms.iter().find(|term| term.contains(version));
        ensure!(within.is_none(), "{version} was written in {within:?}");
    }
    ensure!(written.len() >= ELECTIONS, "{written:?}");
    client::close(client).await;
    observer.close().await;
    Ok(())
}

/// The transaction whose results those are.
fn transaction(results: &[MultiWriteResult]) -> Result<u64> {
    match results.last() {
        Some(MultiWriteResult::SetData { stat }) => Ok(stat.mzxid.unsigned_abs()),
        _ => bail!("no node was set"),
    }
}
