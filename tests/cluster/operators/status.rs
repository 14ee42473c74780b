//! `soloist status`, and how an operator finds the ensemble.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::{History, Record, What};
use soloist_tests::host::Command;
use soloist_tests::ports::Port;
use soloist_tests::{PATIENCE, build, client};
use zookeeper_client::{Acls, CreateMode};

use super::case::{fails, standbys};

/// The leader with its term and token, the standbys in the order of the queue, and all hosts: as text and as JSON.
#[tokio::test]
async fn status_names_the_leader_and_the_standbys_in_order() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let hosts = cluster.queue(&["leader", "b", "a"]).await?;
    let status = cluster.operator(&[], &["status", "--json"]).await?.json()?;
    let observer = cluster.client().await?;
    let token = observer
        .check_stat(&Cluster::master(TASK))
        .await?
        .context("no master node")?
        .czxid;
    let task = &status["tasks"][0];
    ensure!(
        task["task"] == TASK && task["leader"]["host"] == "leader" && task["leader"]["term"] == 1,
        "{status}"
    );
    ensure!(
        task["leader"]["fencing_token"] == token,
        "{status}, where the token is {token}"
    );
    humantime::parse_rfc3339(task["leader"]["since"].as_str().context("no since")?)?;
    ensure!(standbys(task) == ["b", "a"], "{status}");
    let seen: Vec<_> = status["hosts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|host| &host["host"])
        .collect();
    ensure!(seen == ["a", "b", "leader"], "{status}");
    ensure!(
        status["hosts"][2]["pid"] == hosts[0].pid() && status["hosts"][2]["version"].is_string(),
        "{status}"
    );

    // Right after the election: hosts write only now and then how many they lead.
    let leads: Vec<_> = (0..3).map(|at| &status["hosts"][at]["leads"]).collect();
    ensure!(leads == [0, 0, 1], "{status}");

    let text = cluster.operator(&[], &["status", TASK]).await?;
    let lines: Vec<Vec<&str>> = text
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    ensure!(
        text.code == Some(0) && lines[0][..4] == ["TASK", "LEADER", "TERM", "TOKEN"],
        "{text:?}"
    );
    ensure!(
        lines[1][..4] == [TASK, "leader", "1", &token.to_string()],
        "{text:?}"
    );
    ensure!(lines[1].ends_with(&["b,", "a"]), "{text:?}");
    client::close(observer).await;
    Ok(())
}

/// No leader is an answer, not a failure; a task nobody has ever stood for is a mistake.
#[tokio::test]
async fn status_tells_a_task_without_a_leader_from_one_that_is_unknown() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let nothing = cluster.operator(&[], &["status", "--json"]).await?.json()?;
    ensure!(
        nothing == json!({"tasks": [], "hosts": [], "drained": []}),
        "{nothing}"
    );
    fails(
        &cluster,
        &["status", TASK],
        &["no task beat", "/soloist/tasks"],
    )
    .await?;
    fails(&cluster, &["status", "b*"], &["no task", "matches b*"]).await?;
    for mut host in cluster.queue(&["a"]).await? {
        ensure!(host.terminate().await?.success());
    }
    let status = cluster.operator(&[], &["status", "--json"]).await?.json()?;
    let task = json!({
        "task": TASK, "state": "vacant", "health": "vacant", "restarts": 0, "last_failure": null, "failure": null,
        "leader": null, "standbys": [], "hosts": [],
    });
    ensure!(
        status == json!({"tasks": [task], "hosts": [], "drained": []}),
        "{status}"
    );
    ensure!(cluster.operator(&[], &["status"]).await?.code == Some(0));
    fails(&cluster, &["resign", TASK], &["nobody leads"]).await?;
    fails(&cluster, &["resign", "nightly"], &["no task nightly"]).await?;
    fails(&cluster, &["resign", "beet"], &["did you mean beat?"]).await?;
    fails(&cluster, &["history", "nightly"], &["no task nightly"]).await
}

/// Names and patterns choose tasks; each host says which plugin it has.
#[tokio::test]
async fn tasks_are_chosen_by_names_and_patterns() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let plugin = build::artifacts()?.guest("heartbeat").display().to_string();
    let task =
        |name| format!("[[task]]\nname = \"{name}\"\nplugin = {plugin:?}\nallow.state = true\n");
    let tasks = ["report-a", "report-b", "nightly"].map(task).concat();
    let file = cluster.file("three.toml", tasks)?;
    let mut host = cluster.host_of("a", &file)?.start(&cluster.history)?;
    for task in ["report-a", "report-b", "nightly"] {
        let about = |record: &Record| {
            record.is("activated")
                && record
                    .event()
                    .is_some_and(|it| it.text("task") == Some(task))
        };
        cluster
            .history
            .wait_for(0, "the leader", PATIENCE, about)
            .await?;
    }
    for (asked, found) in [
        (&["report-*"][..], &["report-a", "report-b"][..]),
        (&["*b", "nightly", "report-b"], &["nightly", "report-b"]),
        (&["nightly"], &["nightly"]),
    ] {
        let args = [&["status", "--json"], asked].concat();
        let status = cluster.operator(&[], &args).await?.json()?;
        let names: Vec<_> = status["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|task| task["task"].as_str().unwrap_or_default())
            .collect();
        ensure!(names == found, "{asked:?}: {names:?}");
        for task in status["tasks"].as_array().into_iter().flatten() {
            let host = &task["hosts"][0];
            let digest = host["digest"].as_str().unwrap_or_default();
            ensure!(host["host"] == "a" && digest.len() == 64, "{task}");
        }
    }
    let text = cluster.operator(&[], &["status", "report-*"]).await?.stdout;
    ensure!(
        text.contains("DIGEST") && !text.contains("nightly"),
        "{text}"
    );
    ensure!(host.terminate().await?.success());
    Ok(())
}

/// The configuration of the hosts serves operators as well, whatever its tasks are; flags come before it.
#[tokio::test]
async fn operators_can_use_the_configuration_of_the_hosts() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let _hosts = cluster.queue(&["a"]).await?;
    let task = "[[task]]\nname = \"beat\"\nplugin = \"not-on-this-machine.wasm\"\n";
    let file = |name, servers: &str| {
        cluster.file(
            name,
            format!("[zookeeper]\nservers = {servers:?}\nconnect_timeout = \"5s\"\n{task}"),
        )
    };
    let right = file("right.toml", cluster.servers())?;
    let nobody = Port::reserve()?;
    let wrong = file("wrong.toml", &nobody.address().to_string())?;
    let (right, wrong) = (right.display().to_string(), wrong.display().to_string());
    let ask = async |args: &[&str]| {
        let mut command = std::process::Command::new(&build::artifacts()?.soloist);
        soloist_tests::host::clear_settings(&mut command);
        command.args(["status", TASK]).args(args);
        anyhow::Ok(tokio::task::spawn_blocking(move || command.output()).await??)
    };
    ensure!(ask(&["--config-file", &right]).await?.status.code() == Some(0));
    let unreachable = ask(&["--config-file", &wrong]).await?;
    let message = String::from_utf8_lossy(&unreachable.stderr).into_owned();
    ensure!(
        unreachable.status.code() == Some(3) && message.contains(&nobody.address().to_string()),
        "{message}"
    );
    ensure!(
        ask(&["--config-file", &wrong, "--zookeeper", cluster.servers()])
            .await?
            .status
            .code()
            == Some(0)
    );
    let bad = ask(&["--config-file", &right, "--root", "nowhere"]).await?;
    let message = String::from_utf8_lossy(&bad.stderr).into_owned();
    ensure!(
        bad.status.code() == Some(2) && message.contains("--root"),
        "{message}"
    );
    Ok(())
}

/// Every change is printed, until SIGINT ends it with success.
#[tokio::test]
async fn status_can_be_watched() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut hosts = cluster.queue(&["a", "b"]).await?;
    let seen = History::default();
    let command = Command::new("watcher", &build::artifacts()?.soloist)
        .arg("status")
        .arg("--watch")
        .arg("--json");
    let mut watcher = command
        .flag("--zookeeper", cluster.servers())
        .start(&seen)?;
    let until = async |what: &str, leader: Value, behind: &[&str]| {
        let fits = |record: &Record| match &record.what {
            What::Unreadable(line) => serde_json::from_str::<Value>(line).is_ok_and(|status| {
                let task = &status["tasks"][0];
                task["leader"].get("host").unwrap_or(&Value::Null) == &leader
                    && standbys(task) == behind
            }),
            _ => false,
        };
        seen.wait_for(0, what, PATIENCE, fits).await
    };
    until("the beginning", json!("a"), &["b"]).await?;
    ensure!(hosts[0].terminate().await?.success());
    until("the handover", json!("b"), &[]).await?;
    ensure!(hosts[1].terminate().await?.success());
    until("the end", Value::Null, &[]).await?;
    watcher.signal(Signal::INT)?;
    let status = watcher.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", watcher.errors());
    let printed: Vec<_> = seen
        .since(0)
        .into_iter()
        .map(|record| format!("{:?}", record.what))
        .collect();
    ensure!(
        printed.windows(2).all(|pair| pair[0] != pair[1]),
        "printed again without a change: {printed:#?}"
    );
    Ok(())
}

/// A foreign program that leads is shown as what it wrote, made safe to print; it cannot be asked to resign.
#[tokio::test]
async fn a_foreign_leader_is_shown_as_what_it_wrote() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let node = "/legacy/report/master";
    let foreign = cluster.client().await?;
    client::make_path(&foreign, "/legacy/report").await?;
    let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    let (stat, _) = foreign
        .create(node, br#"{"host":"10.0.0.1\u001b[2J","term":7}"#, &options)
        .await?;
    let mut host = cluster
        .host("a")?
        .flag("--path", node)
        .start(&cluster.history)?;
    host.event("standby").await?;
    let seen = cluster.status().await?;
    let leader = &seen["leader"];
    ensure!(
        leader["host"] == "10.0.0.1\u{1b}[2J" && leader["term"] == Value::Null,
        "{seen}"
    );
    ensure!(
        leader["fencing_token"] == stat.czxid && standbys(&seen) == ["a"],
        "{seen}"
    );
    let text = cluster.operator(&[], &["status"]).await?;
    ensure!(
        text.stdout.contains("10.0.0.1\\u{1b}[2J") && text.stdout.contains("foreign"),
        "{text:?}"
    );
    ensure!(!text.stdout.contains('\u{1b}'), "{text:?}");
    fails(
        &cluster,
        &["resign", TASK],
        &["10.0.0.1\\u{1b}[2J", "no host of Soloist"],
    )
    .await?;
    client::close(foreign).await;
    host.event("plugin-log").await?;
    let seen = cluster.status().await?;
    ensure!(
        seen["leader"]["host"] == "a" && seen["leader"]["term"] == 1,
        "{seen}"
    );
    cluster.verdict().check()
}

/// Nobody answers: exit code 3, soon after the limit.
#[tokio::test]
async fn an_ensemble_that_does_not_answer_has_an_exit_code_of_its_own() -> Result<()> {
    build::artifacts()?;
    let nobody = Port::reserve()?;
    let address = nobody.address().to_string();
    for command in [&["status"][..], &["history", TASK], &["resign", TASK]] {
        let mut soloist = std::process::Command::new(&build::artifacts()?.soloist);
        soloist_tests::host::clear_settings(&mut soloist);
        soloist
            .args(command)
            .args(["--zookeeper", &address, "--connect-timeout", "300ms"]);
        let output = tokio::task::spawn_blocking(move || soloist.output()).await??;
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(3) && message.contains(&address),
            "{command:?}: {message}"
        );
    }
    Ok(())
}
