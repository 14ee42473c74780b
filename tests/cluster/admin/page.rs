//! What the page of a host asks for, of hosts that contend on real servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::pages::{Events, Pages};
use soloist_tests::proxy::Proxy;
use soloist_tests::{PATIENCE, eventually};
use zookeeper_client::{Acls, CreateMode};

use super::{failing, listening, write_task};

/// What those write into the ensemble who mean harm, as in the tests of `soloist-admin`.
const HOSTILE: [&str; 5] = [
    "<img src=x onerror=alert(1)>",
    "\"}]}'`${alert(1)}\\",
    "\u{202e}txt.exe\u{200b}",
    "javascript:alert(1)",
    "&lt;b&gt;",
];

fn led_by(host: &str) -> impl Fn(&Value) -> bool {
    move |told| told["rows"][0]["leader"]["host"] == host
}

#[tokio::test]
async fn a_standby_shows_a_failover_as_it_happens_and_what_became_of_the_term_before() -> Result<()>
{
    let cluster = Cluster::start().await?;
    let (mut leader, of_leader) = listening(&cluster, "a", "plugin-log").await?;
    let (_standby, of_standby) = listening(&cluster, "b", "standby").await?;
    let mut events = of_standby.listen("/api/live").await?;
    let (name, hello) = events.next().await?;
    ensure!(
        name == "hello" && hello["host"] == "b" && hello["values"] == false,
        "{hello}"
    );
    let both = |told: &Value| led_by("a")(told) && told["rows"][0]["standbys"] == json!(["b"]);
    // A host says how many tasks it leads with its next heartbeat.
    let both = |told: &Value| both(told) && told["hosts"]["rows"][0]["leads"] == 1;
    let told = events.until("tasks", both).await?;
    ensure!(
        told["rows"][0]["task"] == TASK && told["health"]["healthy"] == 1,
        "{told}"
    );
    ensure!(told["hosts"]["all"] == 2, "{told}");
    let lease = |exact: bool| {
        move |tick: &Value| {
            let lease = &tick["leases"][TASK];
            let (left, full) = (lease[0].as_f64(), lease[1].as_f64());
            left > Some(0.0) && left < full && lease[2] == exact
        }
    };
    events.until("tick", lease(false)).await?;
    let mut own = of_leader.listen("/api/live?q=BEA&health=healthy").await?;
    own.until("tick", lease(true)).await?;
    let mut lines = of_leader.listen(&format!("/api/live?task={TASK}")).await?;
    let line = lines
        .until("lines", |told| {
            !told["lines"].as_array().is_none_or(Vec::is_empty)
        })
        .await?;
    ensure!(line["lines"][0]["task"] == TASK, "{line}");

    leader.kill()?;
    events.until("tasks", led_by("b")).await?;
    let task = of_standby.get(&format!("/api/task/{TASK}")).await?;
    let task: Value = serde_json::from_str(&task.body)?;
    ensure!(
        task["row"]["leader"]["term"] == 2 && task["terms"][0]["end"].is_null(),
        "{task}"
    );
    ensure!(
        task["terms"][1]["host"] == "a" && task["terms"][1]["end"]["reason"] == "lost",
        "{task}"
    );
    let terms = of_standby.get("/api/terms").await?;
    let terms: Value = serde_json::from_str(&terms.body)?;
    ensure!(terms["lanes"][0]["terms"] == task["terms"], "{terms}");
    events.until("tick", lease(true)).await?;
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_that_fails_is_shown_with_its_failure() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let task = "task";
    let file = cluster.file("fails.toml", failing(task, 3)?)?;
    let mut host = cluster
        .host_of("a", &file)?
        .flag("--listen", "127.0.0.1:0")
        .start(&cluster.history)?;
    let pages = Pages::of(&mut host).await?;
    let mut events = pages.listen(&format!("/api/live?task={task}")).await?;
    // The last term has failed before its host says when it tries again.
    let failed = |told: &Value| {
        let row = &told["row"];
        row["health"] == "failed" && row["restarts"] == 3 && row["retry_at"].is_string()
    };
    let told = events.until("task", failed).await?;
    let failure = &told["row"]["failure"];
    ensure!(
        failure["cause"] == "error" && failure["detail"].is_string(),
        "{told}"
    );
    // The list is read at its own times.
    eventually("a list with it", PATIENCE, async || {
        let all = pages.get("/api/tasks?health=unwell").await.ok()?;
        let all: Value = serde_json::from_str(&all.body).ok()?;
        (all["matched"] == 1 && all["health"]["failed"] == 1).then_some(())
    })
    .await
}

/// State is a plugin's own: its keys are told, and a value if the host was told to.
#[tokio::test]
async fn keys_are_told_and_values_if_the_host_is_told_to() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    let (_silent, silent) = listening(&cluster, "a", "plugin-log").await?;
    let command = cluster
        .host("b")?
        .flag("--listen", "127.0.0.1:0")
        .arg("--listen-values");
    let mut open = command.start(&cluster.history)?;
    let open = Pages::of(&mut open).await?;
    let state = format!("/soloist/tasks/{TASK}/state");
    client::make_path(&client, &state).await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client
        .create(&format!("{state}/count of é"), b"17", &options)
        .await?;
    let task = open.get(&format!("/api/task/{TASK}")).await?;
    let task: Value = serde_json::from_str(&task.body)?;
    ensure!(task["keys"] == json!(["count of é"]), "{task}");
    let path = format!("/api/state/{TASK}?key=count%20of%20%C3%A9");
    let told: Value = serde_json::from_str(&open.get(&path).await?.body)?;
    ensure!(told["value"] == "17" && told["text"] == true, "{told}");
    let hidden = silent.get(&path).await?;
    ensure!(
        hidden.status == 403 && !hidden.body.contains("17"),
        "{hidden:?}"
    );
    for none in ["?key=no", "?key=..%2F..%2Fterm", "?key=", ""] {
        let none = open.get(&format!("/api/state/{TASK}{none}")).await?;
        ensure!(none.status == 404, "{none:?}");
    }
    client::close(client).await;
    Ok(())
}

/// Anybody who can write to the ensemble may have written the names and records that a page shows.
#[tokio::test]
async fn what_somebody_wrote_into_the_ensemble_is_told_as_text() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    let (_host, pages) = listening(&cluster, "a", "plugin-log").await?;
    for text in HOSTILE {
        let term = json!({ "number": 1, "host": text, "since": text, "state": "active" });
        let failed = json!({ "terms": 1, "term": 1, "host": text, "at": text, "cause": text, "detail": text.repeat(100) });
        let ended = json!([{ "number": 1, "host": text, "since": text, "fencing_token": 1, "end": { "at": text, "reason": text } }]);
        let schedule = json!({ "version": 1, "rule": text, "after": "2026-11-27T00:00:00Z" });
        let nodes = [
            ("term".to_owned(), term),
            ("failed".to_owned(), failed),
            ("history".to_owned(), ended),
            ("schedules".to_owned(), Value::Null),
            (format!("schedules/{text}"), schedule),
        ];
        write_task(&client, text, &nodes).await?;
    }
    let all = eventually("the tasks", PATIENCE, async || {
        let told = pages.get("/api/tasks").await.ok()?;
        let json: Value = serde_json::from_str(&told.body).ok()?;
        (json["tasks"] == HOSTILE.len() + 1).then_some((told, json))
    });
    let (told, json) = all.await?;
    ensure!(
        told.head.contains("nosniff") && told.head.contains("application/json"),
        "{}",
        told.head
    );
    ensure!(
        !told.body.contains(['\u{202e}', '\u{200b}']),
        "{}",
        told.body
    );
    let named = |text: &str| {
        json["rows"]
            .as_array()
            .is_some_and(|rows| rows.iter().any(|row| row["task"] == text))
    };
    ensure!(
        named("<img src=x onerror=alert(1)>") && named("\\u{202e}txt.exe\\u{200b}"),
        "{json}"
    );
    for text in HOSTILE {
        let name: String = text
            .bytes()
            .fold(String::new(), |name, byte| format!("{name}%{byte:02x}"));
        let told = pages.get(&format!("/api/task/{name}")).await?;
        ensure!(
            told.status == 200 && !told.body.contains('\u{202e}'),
            "{told:?}"
        );
        let json: Value = serde_json::from_str(&told.body)?;
        ensure!(json["row"]["health"] == "failed", "{json}");
        ensure!(json["plans"][0]["next"].is_null(), "{json}");
    }
    client::close(client).await;
    Ok(())
}

/// Whoever opens streams, reads slowly or asks for nonsense delays neither the others nor the lease.
#[tokio::test]
async fn streams_are_bounded_and_delay_neither_others_nor_the_lease() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let (host, pages) = listening(&cluster, "alone", "plugin-log").await?;
    let mut read = pages.listen("/api/live").await?;
    read.until("tasks", led_by("alone")).await?;
    // None of them is read.
    let mut streams: Vec<Events> = Vec::new();
    while let Ok(stream) = pages.listen("/api/live").await {
        streams.push(stream);
        ensure!(streams.len() < 32, "there is no end");
    }
    ensure!(streams.len() == 31, "{}", streams.len());
    for path in [
        "/",
        "/page.js",
        "/api/tasks",
        "/livez",
        &format!("/leader/{TASK}"),
    ] {
        let answer = pages.get(path).await?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(
            answer
                .head
                .contains("content-security-policy: default-src 'none'"),
            "{answer:?}"
        );
    }
    for (path, status) in [
        ("/api/", 404),
        ("/api/tasks?size=0&page=99999999", 200),
        ("/api/tasks?page=99999999999999999999999999", 400),
        ("/api/task/..%2F..%2F..", 404),
        ("/api/task/%00", 404),
        ("/api/task/", 404),
        ("/api/live?task=a%2Fb", 400),
        ("/%2e%2e/page.js", 404),
        ("//", 404),
    ] {
        let answer = pages.get(path).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        ensure!(
            answer.head.contains("content-security-policy: "),
            "{path}: {answer:?}"
        );
    }
    let posted = pages
        .send("POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    ensure!(posted.status == 405, "{posted:?}");
    read.until("tick", |_| true).await?;
    drop(streams);
    eventually("a place for one more", PATIENCE, async || {
        pages.listen("/api/live").await.ok()
    })
    .await?;
    let lost = host.records();
    ensure!(
        !lost.iter().any(|record| record.is("draining")),
        "the lease has suffered"
    );
    let (status, told) = pages.leads(TASK).await?;
    ensure!(status == 200 && told["term"] == 1, "{told}");
    Ok(())
}

/// Whoever shows the other token has a leader resign; the host that is asked need not be that leader.
#[tokio::test]
async fn an_order_is_carried_out_for_who_shows_the_token_for_orders() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let token = "the-token-for-orders";
    let file = cluster.file("orders", token)?;
    let (mut leader, plain) = listening(&cluster, "a", "plugin-log").await?;
    let command = cluster.host("b")?.flag("--listen", "127.0.0.1:0");
    let mut standby = command
        .flag("--listen-admin-token-file", file)
        .start(&cluster.history)?;
    let pages = Pages::of(&mut standby).await?;
    standby.event("standby").await?;
    let order = async |pages: &Pages, token: &str, body: &str| {
        let head = format!(
            "POST /api/order/{TASK} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        pages.send(&(head + body)).await
    };
    let resign = r#"{"order":"resign","to":"b","reason":"tried"}"#;
    let wrong = order(&pages, "not-the-token-for-orders", resign).await?;
    ensure!(wrong.status == 401, "{wrong:?}");
    let none = order(&plain, token, resign).await?;
    ensure!(none.status == 405, "{none:?}");
    let done = order(&pages, token, resign).await?;
    ensure!(
        done.status == 200 && done.body.contains("b leads"),
        "{done:?}"
    );
    let task = pages.get(&format!("/api/task/{TASK}")).await?;
    let task: Value = serde_json::from_str(&task.body)?;
    let end = &task["terms"][1]["end"];
    ensure!(
        end["reason"] == "resigned" && end["detail"] == "tried",
        "{task}"
    );
    let refused = order(&pages, token, r#"{"order":"pause"}"#).await?;
    ensure!(
        refused.status == 409 && refused.body.contains("deploy"),
        "{refused:?}"
    );
    ensure!(leader.terminate().await?.success());
    cluster.verdict().check()
}

/// Whoever guesses names has the ensemble read one node for each, and not the names of all tasks.
#[tokio::test]
async fn a_name_that_no_task_has_is_looked_for_among_no_others() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let cluster = cluster.through(proxy.connect_string());
    let (_host, pages) = listening(&cluster, "a", "plugin-log").await?;
    let [listed, read] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let counts = [Arc::clone(&listed), Arc::clone(&read)];
    // Nothing is lost.
    proxy.lose_reply_to(move |request| {
        let paths = ["/soloist/tasks", "/soloist/tasks/nobody/term"];
        for (count, path) in counts.iter().zip(paths) {
            count.fetch_add(usize::from(request.mentions(path)), SeqCst);
        }
        false
    });
    let answer = pages.get("/api/task/nobody").await?;
    ensure!(answer.status == 404, "{answer:?}");
    let counts = (listed.load(SeqCst), read.load(SeqCst));
    ensure!(counts == (0, 1), "{counts:?}");
    Ok(())
}

/// With nobody who looks there is no session of the page, and it comes and goes with those who look.
#[tokio::test]
async fn the_ensemble_is_read_while_somebody_looks_and_no_longer() -> Result<()> {
    let cluster = Cluster::real().await?;
    let (_host, pages) = listening(&cluster, "a", "plugin-log").await?;
    let connections = async || {
        let told = cluster.zookeeper.ask(0, "cons").await.ok()?;
        Some(told.lines().filter(|line| line.contains("sid=")).count())
    };
    // The host's questions to the server are over: it has one session.
    let before = eventually("the session of the host alone", PATIENCE, async || {
        connections().await.filter(|now| *now == 1)
    })
    .await?;
    let events = pages.listen("/api/live").await?;
    eventually("a session of the page", PATIENCE, async || {
        connections().await.filter(|now| *now == before + 1)
    })
    .await?;
    let second = pages.listen("/api/live").await?;
    pages.get("/api/tasks").await?;
    ensure!(
        connections().await == Some(before + 1),
        "not one session for all"
    );
    drop((events, second));
    eventually("the end of that session", PATIENCE, async || {
        connections().await.filter(|now| *now == before)
    })
    .await?;
    Ok(())
}
